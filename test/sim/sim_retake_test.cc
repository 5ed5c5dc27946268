// Processors that are taken from blocking calls: whoever has one next has all of it, and alone.
#include "core/blocking.h"
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kCallers = 24;

// --- a processor that is taken right after its machine used it ---

struct Taken {
  Scheduler scheduler;
  Plain<uint32_t> ended[2];  // by processor: whoever holds it has this alone
  Atomic<uint32_t> left{kCallers};
};
Taken* taken;

// Returns at about the moment at which the monitor comes for the processor: when it has seen the
// call, and looks again.
void return_as_it_is_taken() {
  constexpr uint64_t kMonitorTickNs = 50'000;
  const Atomic<uint64_t>& looked_at = Machine::current()->processor->now_ns;
  const uint64_t before = looked_at.load_relaxed();
  uint64_t seen = before;
  for (int i = 0; i < 10 && seen == before; ++i) {
    pause_thread(10'000);
    seen = looked_at.load_relaxed();
  }
  os::sleep_until(seen + kMonitorTickNs + random_below(one_in(2) ? 50 : 500));
}

void end_with_processor() {
  Taken all;
  taken = &all;
  SpawnOptions options;
  options.on_exit = [](Fiber*, ExitStatus) {
    Plain<uint32_t>& ended = taken->ended[Machine::current()->processor->index];
    ended.write(ended.read("what a processor's holder has") + 1, "what a processor's holder has");
    taken->left.fetch_add_relaxed(UINT32_MAX);  // orders nothing
  };
  const uint64_t began = os::now_ns();
  for (uint32_t i = 0; i < kCallers; ++i) {
    const auto run = [i] {
      if (i % 2 == 0) {
        blocking(return_as_it_is_taken);
      } else {
        pause_thread(2'000);  // outside of the runtime, where its processor may be taken
      }
    };
    all.scheduler.go(run, options);
  }
  while (all.left.load_relaxed() != 0) {
    SIM_CHECK(os::now_ns() < began + 1'000'000'000, "a fiber was lost");
    pause_thread(100'000);
  }
  all.scheduler.shutdown();
  uint32_t ended = 0;
  for (Plain<uint32_t>& each : all.ended) ended += each.read("what a processor's holder has");
  SIM_CHECK(ended == kCallers, "the end of a fiber was lost");
}

// --- back from a call, to the processor of a machine that sleeps ---

// The machine that slept with it may not look after it any more: it would spin from the moment at
// which it wanted to wake up, and the steps of this run are limited.
void return_and_stay() {
  blocking([] { pause_thread(2'000'000); });
  os::sleep_until(os::now_ns() + 300'000'000);
}

struct Returning {
  Scheduler scheduler;
  Countdown running{kCallers};
  Returning() { exits = &running; }
};

void return_to_sleepers() {
  Returning all;
  all.scheduler.go(return_and_stay, options_of(StackClass::kStandard));
  for (uint32_t i = 1; i < kCallers; ++i) {
    all.scheduler.go([] {}, options_of(StackClass::kStandard));
  }
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kCallers);
}

}  // namespace

TEST_CASE("whoever holds a processor sees what the last holder did with it") {
  CHECK(run_seeds({"taken after a call", end_with_processor, 500, exact_time()}));
}

TEST_CASE("who returns to the processor of a sleeper has it alone") {
  Settings settings = exact_time();
  settings.cpus = 1;
  CHECK(run_seeds({"return to sleepers", return_to_sleepers, 500, settings}));
}

}  // namespace heddle::sim
