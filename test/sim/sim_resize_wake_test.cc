// Processors that come and go while nobody else would help: whoever changes their number wakes
// those who have something to do from then on.
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kRounds = 8;
// Well before the monitor would help out.
constexpr uint64_t kSoonNs = 5'000'000;

struct Changed {
  Scheduler scheduler;
  Countdown running;
  Atomic<uint32_t> served{0};
  explicit Changed(uint32_t fibers) : running(fibers) {
    current = this;
    exits = &running;
  }
  // Keeps the processor until somebody else has served.
  void await_served(uint32_t count) noexcept {
    const uint64_t began = os::now_ns();
    while (served.load_acquire() != count) {
      SIM_CHECK(os::now_ns() < began + kSoonNs, "nobody was woken");
      spin_hint();
    }
  }
  static Changed* current;
};
Changed* Changed::current;

uint32_t own_processor() noexcept { return Machine::current()->processor->index; }

void spin(uint32_t turns) noexcept {
  for (; turns > 0; --turns) spin_hint();
}

// --- a processor more ---

// What was queued when there was one processor is for the new one.
void add_processors_and_stay() {
  Changed* all = Changed::current;
  for (uint32_t round = 1; round <= kRounds; ++round) {
    all->scheduler.set_processors(1);
    while (own_processor() != 0) yield();
    all->scheduler.go([] { Changed::current->served.fetch_add_acq_rel(1); },
                      options_of(StackClass::kStandard));
    all->scheduler.set_processors(2);
    all->await_served(round);
    spin(random_below(one_in(2) ? 300 : 20));
  }
}

void grow_at_work() {
  Changed all(kRounds + 1);
  all.scheduler.go(add_processors_and_stay, options_of(StackClass::kStandard));
  all.running.wait();
  all.scheduler.shutdown();
}

// --- a processor less ---

// Runs on the processor that retires, and goes on elsewhere.
void move_away() {
  Changed* all = Changed::current;
  if (own_processor() == 2) {
    all->scheduler.set_processors(2);
    spin(random_below(one_in(2) ? 300 : 20));
    yield();
  }
  all->served.fetch_add_acq_rel(1);
}

void remove_processors_and_stay() {
  Changed* all = Changed::current;
  for (uint32_t round = 1; round <= kRounds; ++round) {
    all->scheduler.set_processors(2);
    while (own_processor() == 2) yield();
    all->scheduler.set_processors(3);
    all->scheduler.go(move_away, options_of(StackClass::kStandard));
    all->await_served(round);
    spin(random_below(one_in(2) ? 300 : 20));
  }
}

void shrink_at_work() {
  Changed all(kRounds + 1);
  all.scheduler.go(remove_processors_and_stay, options_of(StackClass::kStandard));
  all.running.wait();
  all.scheduler.shutdown();
}

// --- timers ---

constexpr uint32_t kSleepers = 3;
constexpr uint64_t kSlackNs = 1'000'000;

struct Sleeping {
  Scheduler scheduler;
  Atomic<uint64_t> deadline[kSleepers];  // 0: does not sleep
  Countdown running{kSleepers};
  Sleeping() { exits = &running; }
};
Sleeping* sleeping;

void sleep_once(uint32_t index) {
  const uint64_t deadline = os::now_ns() + random_below(one_in(2) ? 50'000 : 5'000'000);
  sleeping->deadline[index].store_relaxed(deadline);
  sleep_until(deadline);
  sleeping->deadline[index].store_relaxed(0);
}

void nobody_is_forgotten(uint64_t left_ns) {
  const uint64_t until = left_ns == os::kNever ? os::kNever : time_now_ns() + left_ns;
  for (const Atomic<uint64_t>& each : sleeping->deadline) {
    const uint64_t deadline = newest(each);
    SIM_CHECK(deadline == 0 || until < deadline + kSlackNs, "a sleeper was forgotten");
  }
}

void timers_are_inherited() {
  Sleeping all;
  sleeping = &all;
  on_everybody_asleep(nobody_is_forgotten);
  for (uint32_t round = 0; round < kRounds; ++round) {
    new (&all.running) Countdown(kSleepers);
    all.scheduler.set_processors(3);
    for (uint32_t i = 0; i < kSleepers; ++i) {
      all.scheduler.go([i] { sleep_once(i); }, any_options());
      if (one_in(2)) pause_thread(3'000);
    }
    pause_thread(30'000);
    all.scheduler.set_processors(1 + random_below(2));
    all.running.wait();
  }
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kRounds * kSleepers);
}

Settings with_cpus(uint32_t cpus) noexcept {
  Settings settings = exact_time();
  settings.cpus = cpus;
  return settings;
}

}  // namespace

TEST_CASE("a new processor takes over what waits behind a busy one") {
  CHECK(run_seeds({"grow at work", grow_at_work, 500, with_cpus(2)}));
}

TEST_CASE("what a retired processor gives away is run while others sleep") {
  CHECK(run_seeds({"shrink at work", shrink_at_work, 500, with_cpus(3)}));
}

TEST_CASE("timers of retired processors fire in time") {
  CHECK(run_seeds({"resize and sleep", timers_are_inherited, 500, with_cpus(3)}));
}

}  // namespace heddle::sim
