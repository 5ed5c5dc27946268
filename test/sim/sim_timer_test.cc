// Sleep and timers: never early, never forgotten, fired or stopped but not both.
#include "core/timer.h"
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

// How much later than its deadline something may happen if nobody is descheduled on the way.
constexpr uint64_t kSlackNs = 1'000'000;

// --- fibers that sleep ---

constexpr uint32_t kSleepers = 6;

struct Sleeping {
  Scheduler scheduler;
  Atomic<uint64_t> deadline[kSleepers];  // 0: does not sleep
  Countdown running{kSleepers};
  Sleeping() { exits = &running; }
};
Sleeping* sleeping;

uint64_t random_delay_ns() noexcept {
  static const uint32_t kScales[] = {500, 50'000, 5'000'000, 200'000'000};
  return random_below(kScales[random_below(4)]);
}

void sleep_often(uint32_t index) {
  for (int round = 0; round < 3; ++round) {
    const uint64_t deadline = os::now_ns() + random_delay_ns();
    sleeping->deadline[index].store_relaxed(deadline);
    sleep_until(deadline);
    SIM_CHECK(os::now_ns() >= deadline, "a sleep was early");
    sleeping->deadline[index].store_relaxed(0);
  }
}

bool check_sleepers = false;

// Everybody sleeps: not past the deadline of any of them.
void nobody_is_forgotten(uint64_t left_ns) {
  const uint64_t until = left_ns == os::kNever ? os::kNever : time_now_ns() + left_ns;
  for (const Atomic<uint64_t>& each : sleeping->deadline) {
    const uint64_t deadline = newest(each);
    SIM_CHECK(deadline == 0 || until < deadline + kSlackNs, "a sleeper was forgotten");
  }
}

void fibers_sleep() {
  Sleeping all;
  sleeping = &all;
  on_everybody_asleep(check_sleepers ? nobody_is_forgotten : nullptr);
  for (uint32_t i = 0; i < kSleepers; ++i) {
    all.scheduler.go([i] { sleep_often(i); }, any_options());
  }
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kSleepers);
}

void sleep_exactly() {
  check_sleepers = true;
  fibers_sleep();
}

// --- timers with callbacks, started and stopped by anybody ---

constexpr uint32_t kTimers = 8;

struct Timer {
  TimerHandle handle;
  uint64_t deadline_ns = 0;
  Plain<uint32_t> prepared;
  Atomic<uint32_t> outcome{0};  // 1 fired, 2 stopped
  Atomic<uint64_t> expected{0};
};

struct Timers {
  Scheduler scheduler;
  Timer timers[kTimers];
  Countdown settled{kTimers};
};
Timers* timers;

void settle(Timer* timer, uint32_t outcome) {
  SIM_CHECK(timer->outcome.exchange_acq_rel(outcome) == 0, "a timer fired and was stopped");
  timer->expected.store_relaxed(0);
  timers->settled.arrive();
}

void fire(void* raw) noexcept {
  auto* timer = static_cast<Timer*>(raw);
  SIM_CHECK(os::now_ns() >= timer->deadline_ns, "a timer fired early");
  SIM_CHECK(timer->prepared.read("a timer's argument") == 1, "a timer fired without its argument");
  settle(timer, 1);
}

void start_and_stop(uint32_t index) {
  Timer* timer = &timers->timers[index];
  timer->prepared.write(1, "a timer's argument");
  timer->deadline_ns = os::now_ns() + random_delay_ns();
  timer->expected.store_relaxed(timer->deadline_ns);
  timer->handle = start_timer(timers->scheduler, timer->deadline_ns, fire, timer);
  SIM_CHECK(timer->handle.node != nullptr, "no memory for a timer");
  if (one_in(2)) return;
  if (one_in(2)) sleep_for(random_delay_ns());
  if (stop_timer(timers->scheduler, timer->handle)) settle(timer, 2);
}

void no_timer_is_forgotten(uint64_t left_ns) {
  const uint64_t until = left_ns == os::kNever ? os::kNever : time_now_ns() + left_ns;
  for (const Timer& timer : timers->timers) {
    const uint64_t deadline = newest(timer.expected);
    SIM_CHECK(deadline == 0 || until < deadline + kSlackNs, "a timer was forgotten");
  }
}

void timers_of_all_kinds() {
  Timers all;
  timers = &all;
  on_everybody_asleep(no_timer_is_forgotten);
  os::Thread outsider;
  os::start_thread(
      &outsider, "outsider", 0,
      [](void*) {
        for (uint32_t i = 0; i < kTimers; i += 2) start_and_stop(i);
      },
      nullptr);
  for (uint32_t i = 1; i < kTimers; i += 2) all.scheduler.go([i] { start_and_stop(i); });
  if (one_in(2)) all.scheduler.set_processors(1);
  os::join_thread(outsider);
  all.settled.wait();
  all.scheduler.shutdown();
}

}  // namespace

TEST_CASE("a sleep is never early and never forgotten") {
  CHECK(run_seeds({"sleep", sleep_exactly, 500, exact_time()}));
}

TEST_CASE("a sleep is never early, however late threads run") {
  CHECK(run_seeds({"sleep with time jumps", fibers_sleep, 500, {}}));
}

TEST_CASE("a timer fires or is stopped, whoever started it") {
  CHECK(run_seeds({"timers", timers_of_all_kinds, 500, exact_time()}));
}

}  // namespace heddle::sim
