// The number of processors changed under load: nothing is lost, nothing runs twice.
#include "core/blocking.h"
#include "core/timer.h"
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kWorkers = 6;
constexpr uint32_t kChanges = 8;

struct Resized {
  Scheduler scheduler;
  Once children[kWorkers];
  Countdown running{2 * kWorkers};
  Atomic<uint32_t> fired{0};
  Resized() { exits = &running; }
};
Resized* resized;

void work(uint32_t index) {
  Plain<uint32_t> own(index);
  for (int round = 0; round < 5; ++round) {
    switch (random_below(5)) {
      case 0:
        sleep_for(1 + random_below(50'000));
        break;
      case 1:
        blocking([] { pause_thread(50'000); });
        break;
      case 2:
        checkpoint();
        break;
      default:
        yield();
        break;
    }
    SIM_CHECK(own.read("a worker's own variable") == index, "a stack has changed");
    if (round == 2) {
      resized->children[index].prepare(index);
      const auto child = [index] { resized->children[index].run(index); };
      resized->scheduler.go(child, any_options());
    }
  }
}

void change_often(void*) {
  for (uint32_t i = 0; i < kChanges; ++i) {
    resized->scheduler.set_processors(1 + random_below(4));
    if (one_in(2)) pause_thread(20'000);
  }
}

void resize_under_load() {
  Resized all;
  resized = &all;
  os::Thread changer;
  os::start_thread(&changer, "changer", 0, change_often, nullptr);
  const TimerCallback fire = [](void*) noexcept { resized->fired.fetch_add_acq_rel(1); };
  uint32_t stopped = 0;
  TimerHandle timers[kWorkers];
  for (uint32_t i = 0; i < kWorkers; ++i) {
    all.scheduler.go([i] { work(i); }, any_options());
    timers[i] = start_timer(all.scheduler, os::now_ns() + random_below(60'000), fire, nullptr);
    if (one_in(3)) pause_thread(10'000);
  }
  if (one_in(2)) change_often(nullptr);
  all.running.wait();
  os::join_thread(changer);
  for (const TimerHandle& timer : timers) stopped += stop_timer(all.scheduler, timer) ? 1 : 0;
  while (all.fired.load_acquire() + stopped != kWorkers) pause_thread(1'000'000);
  for (Once& child : all.children) SIM_CHECK(child.has_run(), "a child was lost");
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, 2 * kWorkers);
}

// --- changed by a fiber, of whose own processor it may be the end ---

void resize_from_fibers() {
  Resized all;
  resized = &all;
  for (uint32_t i = 0; i < 2 * kWorkers; ++i) {
    const auto change = [i] {
      resized->scheduler.set_processors(1 + (i + random_below(2)) % 3);
      yield();
      if (one_in(3)) sleep_for(1 + random_below(5'000));
    };
    all.scheduler.go(change, any_options());
  }
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, 2 * kWorkers);
}

// --- run stacks of processors that are no more ---

constexpr uint32_t kLives = 12;  // of the second processor
constexpr uint32_t kCompact = 2;

struct Reused {
  Scheduler scheduler;
  Countdown running{kLives * kCompact};
  Reused() { exits = &running; }
};

// Compact fibers of later processors run on the stacks that former ones have left.
void run_stacks_are_used_again() {
  Reused all;
  StackPool& memory = stack_pool(stack_size_log2(256 * 1024));
  for (uint32_t life = 1; life <= kLives; ++life) {
    all.scheduler.set_processors(2);
    for (uint32_t i = 0; i < kCompact; ++i) {
      all.scheduler.go([] { pause_thread(3'000); }, options_of(StackClass::kCompact));
    }
    for (uint32_t left = (kLives - life) * kCompact; all.running.left() != left;) {
      pause_thread(3'000);
    }
    all.scheduler.set_processors(1);
  }
  SIM_CHECK(memory.use().in_use <= 2 * Processor::kRunStacks, "run stacks are left to nobody");
  all.scheduler.shutdown();
}

// --- and it goes to sleep meanwhile ---

struct Waking {
  Scheduler scheduler;
  Unserved unserved;
  Countdown running{kChanges};
  Waking() { exits = &running; }
};
Waking* waking;

void resize_at_sleepers() {
  Waking all;
  waking = &all;
  on_everybody_asleep([](uint64_t left_ns) { waking->unserved.check(left_ns); });
  os::Thread changer;
  os::start_thread(
      &changer, "changer", 0,
      [](void*) {
        for (uint32_t i = 0; i < kChanges; ++i) {
          waking->scheduler.set_processors(1 + random_below(3));
          pause_thread(10'000);
        }
      },
      nullptr);
  for (uint32_t i = 0; i < kChanges; ++i) {
    waking->unserved.add();
    const auto serve = [] {
      if (one_in(2)) yield();
      waking->unserved.serve();
    };
    all.scheduler.go(serve, any_options());
    pause_thread(10'000);
  }
  os::join_thread(changer);
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kChanges);
}

}  // namespace

TEST_CASE("the number of processors changes under load and nothing is lost") {
  CHECK(run_seeds({"resize", resize_under_load, 500, {}}));
}

TEST_CASE("fibers change the number of processors that run them") {
  CHECK(run_seeds({"resize from fibers", resize_from_fibers, 500, {}}));
}

TEST_CASE("run stacks outlive their processors and are used again") {
  CHECK(run_seeds({"resize and run stacks", run_stacks_are_used_again, 500, {}}));
}

TEST_CASE("no wake-up is lost while processors come and go") {
  CHECK(run_seeds({"resize against idle", resize_at_sleepers, 500, exact_time()}));
}

}  // namespace heddle::sim
