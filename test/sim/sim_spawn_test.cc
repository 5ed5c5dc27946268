// Spawning and stealing: everything runs, once, and sees what its spawner wrote.
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

// --- from fibers: a tree ---

constexpr uint32_t kWidth = 3;
constexpr uint32_t kTree = 1 + kWidth + kWidth * kWidth;

struct Tree {
  Scheduler scheduler;
  Once fibers[kTree];
  Countdown running{kTree};
  Tree() { exits = &running; }
};
Tree* tree;

void grow(uint32_t index) {
  tree->fibers[index].run(index);
  for (uint32_t child = index * kWidth + 1; child <= index * kWidth + kWidth; ++child) {
    if (child >= kTree) break;
    tree->fibers[child].prepare(child);
    const SpawnError error = tree->scheduler.go([child] { grow(child); }, any_options());
    SIM_CHECK(error == SpawnError::kNone, "a spawn failed");
    if (one_in(4)) yield();
  }
}

void spawn_from_fibers() {
  Tree all;
  tree = &all;
  all.fibers[0].prepare(0);
  all.scheduler.go([] { grow(0); }, any_options());
  all.running.wait();
  for (Once& fiber : all.fibers) SIM_CHECK(fiber.has_run(), "a fiber never ran");
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kTree);
}

// --- from threads outside ---

constexpr uint32_t kOutsiders = 2;
constexpr uint32_t kEach = 6;

struct Outside {
  Scheduler scheduler;
  Once fibers[kOutsiders * kEach];
  Countdown running{kOutsiders * kEach};
  Outside() { exits = &running; }
};
Outside* outside;

void spawn_some(void* raw) {
  const auto first = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(raw));
  for (uint32_t i = first; i < first + kEach; ++i) {
    outside->fibers[i].prepare(i);
    const SpawnError error =
        outside->scheduler.go([i] { outside->fibers[i].run(i); }, any_options());
    SIM_CHECK(error == SpawnError::kNone, "a spawn failed");
    if (one_in(3)) pause_thread(20'000);
  }
}

void spawn_from_outside() {
  Outside all;
  outside = &all;
  os::Thread threads[kOutsiders];
  for (uint32_t i = 0; i < kOutsiders; ++i) {
    void* first = reinterpret_cast<void*>(uintptr_t{i * kEach});
    SIM_CHECK(os::start_thread(&threads[i], "outsider", 0, spawn_some, first) == 0, "no thread");
  }
  all.running.wait();
  for (os::Thread thread : threads) os::join_thread(thread);
  for (Once& fiber : all.fibers) SIM_CHECK(fiber.has_run(), "a fiber never ran");
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kOutsiders * kEach);
}

// --- stealing ---

constexpr uint32_t kLoad = 5;

struct Busy {
  Scheduler scheduler;
  Once fibers[kLoad];
  Countdown stolen{kLoad};
  Countdown running{kLoad + 1};
  Busy() { exits = &running; }
};
Busy* busy;

// Keeps its processor; unless the others steal, nothing of what it has queued ever runs. All of it
// has to happen before the monitor would help out.
void hold_processor() {
  const uint64_t began = os::now_ns();
  for (uint32_t i = 0; i < kLoad; ++i) {
    busy->fibers[i].prepare(i);
    busy->scheduler.go(
        [i] {
          busy->fibers[i].run(i);
          busy->stolen.arrive();
        },
        options_of(StackClass::kStandard));
  }
  while (busy->stolen.left() != 0) {
    SIM_CHECK(os::now_ns() < began + 8'000'000, "nobody steals");
    spin_hint();
  }
}

void steal_from_busy() {
  Busy all;
  busy = &all;
  all.scheduler.go(hold_processor, options_of(StackClass::kStandard));
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kLoad + 1);
}

}  // namespace

TEST_CASE("every fiber that fibers spawn runs once, and sees what was written before") {
  CHECK(run_seeds({"spawn from fibers", spawn_from_fibers, 500, {}}));
}

TEST_CASE("every fiber that threads outside spawn runs once, and sees what was written before") {
  CHECK(run_seeds({"spawn from outside", spawn_from_outside, 500, {}}));
}

TEST_CASE("what is queued behind a busy fiber is stolen") {
  Settings settings = exact_time();
  settings.cpus = 3;
  CHECK(run_seeds({"steal", steal_from_busy, 500, settings}));
}

}  // namespace heddle::sim
