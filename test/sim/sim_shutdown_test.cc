// The end of the runtime against everything else, and what failing systems calls may cost.
#include "core/timer.h"
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

// --- shutdown while fibers spawn, park, sleep and are readied ---

struct Ending {
  Scheduler scheduler;
  Atomic<uint32_t> over{0};
};
Ending* ending;

void go_on_for_ever(uint32_t depth) {
  for (;;) {
    SIM_CHECK(ending->over.load_relaxed() == 0, "a fiber runs after the shutdown");
    switch (random_below(6)) {
      case 0:
        sleep_for(1 + random_below(10'000));
        break;
      case 1:
        os::sleep_until(os::now_ns() + random_below(100'000));
        break;
      case 2:
        sleep_for(os::kNever);
        break;
      case 3:
        if (depth < 2) ending->scheduler.go([depth] { go_on_for_ever(depth + 1); });
        break;
      default:
        yield();
        break;
    }
  }
}

void start_endless(uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    SpawnOptions options = any_options();
    options.on_exit = nullptr;
    ending->scheduler.go(
        [i] {
          if (i == 0) {
            go_on_for_ever(0);
          }
          for (;;) {
            SIM_CHECK(ending->over.load_relaxed() == 0, "a fiber runs after the shutdown");
            if (one_in(2)) {
              sleep_for(1 + random_below(10'000));
            } else {
              yield();
            }
          }
        },
        options);
  }
}

void shut_down_at_work() {
  for (int life = 0; life < 2; ++life) {
    Ending all;
    ending = &all;
    os::Thread outsider;
    os::start_thread(
        &outsider, "outsider", 0,
        [](void*) {
          for (int i = 0; i < 3; ++i) {
            start_endless(1);
            pause_thread(10'000);
          }
        },
        nullptr);
    start_endless(3);
    pause_thread(40'000);
    if (one_in(2)) os::join_thread(outsider), outsider.handle = 0;
    SIM_CHECK(all.scheduler.shutdown(), "a shutdown without a time limit gave up");
    all.over.store_relaxed(1);
    if (outsider.handle != 0) os::join_thread(outsider);
    SIM_CHECK(all.scheduler.go([] {}) == SpawnError::kShutDown, "a spawn after the shutdown");
  }
}

// --- memory of the former life is used again ---

void live_twice() {
  for (int life = 0; life < 2; ++life) {
    Ending all;
    ending = &all;
    start_endless(2);
    Countdown running(4);
    exits = &running;
    for (uint32_t i = 0; i < 4; ++i) {
      const auto brief = [] {
        yield();
        sleep_for(1 + random_below(1'000));
      };
      all.scheduler.go(brief, any_options());
    }
    running.wait();
    all.scheduler.shutdown();
    all.over.store_relaxed(1);
  }
}

// --- at the very moment at which somebody goes to sleep ---

// Their machines search, go to sleep with their processors, or retire and wait without one.
void shut_down_at_sleepers() {
  static const uint32_t kPauses[] = {100, 2'000, 30'000};
  for (int life = 0; life < 4; ++life) {
    Scheduler scheduler;
    for (uint32_t i = 0; i < 3; ++i) scheduler.go([] { pause_thread(3'000); });
    pause_thread(kPauses[random_below(3)]);
    if (one_in(2)) scheduler.set_processors(1);
    pause_thread(kPauses[random_below(3)]);
    // An idle machine looks again by itself, but much later.
    SIM_CHECK(scheduler.shutdown(20'000'000), "a machine sleeps on");
  }
}

// Where everything sleeps, the monitor sleeps without end from now on.
void shut_down_at_monitor() {
  constexpr uint64_t kUntilDeepNs = 66'000'000;  // the first look after 50 ms without work
  Scheduler scheduler;
  const uint64_t began = os::now_ns();
  if (one_in(2)) scheduler.go([] {});
  os::sleep_until(began + kUntilDeepNs + random_below(one_in(4) ? 20'000'000 : 5'000));
  scheduler.shutdown();
}

// --- threads and memory that are refused ---

struct Refused {
  Scheduler scheduler;
  Once fibers[8];
  Countdown running{8};
  Atomic<uint32_t> without_stack{0};
};
Refused* refused;

void count_exit(Fiber*, ExitStatus status) {
  if (status == ExitStatus::kNoStack) refused->without_stack.fetch_add_acq_rel(1);
  refused->running.arrive();
}

void run_short_of_everything() {
  Refused all;
  refused = &all;
  uint32_t not_spawned = 0;
  for (uint32_t i = 0; i < 8; ++i) {
    SpawnOptions options = options_of(StackClass::kStandard, one_in(2) ? 16 * 1024 : 0);
    options.on_exit = count_exit;
    all.fibers[i].prepare(i);
    const auto brief = [i] {
      refused->fibers[i].run(i);
      yield();
      sleep_for(1 + random_below(10'000));
    };
    const SpawnError error = all.scheduler.go(brief, options);
    SIM_CHECK(error == SpawnError::kNone || error == SpawnError::kOutOfMemory, "another error");
    if (error == SpawnError::kNone) continue;
    ++not_spawned;
    all.running.arrive();
  }
  // If not even the first machine's thread could be had, the next attempt is somebody else's.
  while (all.running.left() != 0) {
    all.scheduler.wake_if_needed();
    pause_thread(1'000'000);
  }
  uint32_t ran = 0;
  for (Once& fiber : all.fibers) ran += fiber.has_run() ? 1 : 0;
  SIM_CHECK(ran + not_spawned + all.without_stack.load_acquire() == 8, "a fiber was lost");
  all.scheduler.shutdown();
}

Settings refusing(uint32_t threads_one_in, uint32_t memory_one_in) noexcept {
  Settings settings;
  settings.refused_thread_one_in = threads_one_in;
  settings.refused_memory_one_in = memory_one_in;
  return settings;
}

}  // namespace

TEST_CASE("a shutdown ends everything that is at work, and nothing runs afterwards") {
  CHECK(run_seeds({"shutdown", shut_down_at_work, 500, {}}));
}

TEST_CASE("a second life of the runtime uses what the first has left behind") {
  CHECK(run_seeds({"second life", live_twice, 500, {}}));
}

TEST_CASE("a shutdown ends machines that are about to sleep") {
  Settings settings = exact_time();
  settings.cpus = 3;
  CHECK(run_seeds({"shutdown against sleep", shut_down_at_sleepers, 500, settings}));
}

TEST_CASE("a shutdown ends a monitor that is about to sleep") {
  CHECK(run_seeds({"shutdown against the monitor", shut_down_at_monitor, 500, exact_time()}));
}

TEST_CASE("without threads or memory the rest goes on, and nothing is lost") {
  CHECK(run_seeds({"refused", run_short_of_everything, 500, refusing(3, 3)}));
}

}  // namespace heddle::sim
