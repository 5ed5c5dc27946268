// Processors that change hands: blocking calls, hogs, fibers locked to their thread.
#include "core/blocking.h"
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

// --- blocking calls, more of them than processors ---

constexpr uint32_t kBlockers = 5;

struct Blocking {
  Scheduler scheduler;
  Once calls[kBlockers];
  Countdown running{2 * kBlockers};
  Atomic<uint32_t> inside{0};
  Blocking() { exits = &running; }
};
Blocking* calls;

// Ends only when every other fiber is inside a call as well: each needs an OS thread.
uint32_t wait_for_others(uint32_t index) {
  calls->calls[index].run(index);
  calls->inside.fetch_add_acq_rel(1);
  os::futex_wake(calls->inside, INT32_MAX);
  for (uint32_t seen; (seen = calls->inside.load_acquire()) != kBlockers;) {
    os::futex_wait(calls->inside, seen, os::kNever);
  }
  return index + 1;
}

void call(uint32_t index) {
  Plain<uint32_t> result(0);
  calls->calls[index].prepare(index);
  result.write(blocking(wait_for_others, index), "a call's result");
  yield();
  SIM_CHECK(result.read("a call's result") == index + 1, "a call's result was lost");
}

void block_everybody() {
  Blocking all;
  calls = &all;
  for (uint32_t i = 0; i < kBlockers; ++i) {
    all.scheduler.go([i] { call(i); }, any_options());
    all.scheduler.go([] { yield(); }, any_options());
  }
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, 2 * kBlockers);
}

// --- short calls and exceptions in between ---

struct Short {
  Scheduler scheduler;
  Countdown running{kBlockers};
  Short() { exits = &running; }
};
Short* brief;

void call_often(uint32_t index) {
  for (uint32_t round = 0; round < 3; ++round) {
    bool caught = false;
    try {
      blocking([] {
        pause_thread(200'000);
        if (one_in(2)) throw 7;
      });
    } catch (int value) {
      SIM_CHECK(value == 7, "another exception than the call's");
      yield();
      caught = true;
    }
    if (caught) sleep_for(1'000 * index);
    // Not marked as blocking: the runtime takes it for a computation.
    if (one_in(4)) os::sleep_until(os::now_ns() + random_below(40'000'000));
    checkpoint();
  }
}

void block_briefly() {
  Short all;
  brief = &all;
  for (uint32_t i = 0; i < kBlockers; ++i) {
    all.scheduler.go([i] { call_often(i); }, any_options());
  }
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kBlockers);
}

// --- hogs ---

constexpr uint32_t kHogs = 3;
constexpr uint32_t kServed = 4;

struct Hogs {
  Scheduler scheduler;
  Once fibers[kServed];
  Countdown served{kServed};
  Countdown running{2 * kHogs + kServed};
  Hogs() { exits = &running; }
};
Hogs* hogs;

// Computes until others have run, and never yields: they run only if its processor is taken.
void hog() {
  Plain<uint32_t> own(1);
  const uint64_t began = os::now_ns();
  while (hogs->served.left() != 0) {
    os::sleep_until(os::now_ns() + 1'000'000);
    SIM_CHECK(os::now_ns() < began + 2'000'000'000, "a hog keeps its processor");
  }
  SIM_CHECK(own.read("a hog's own variable") == 1, "a stack has changed");
  switch (random_below(4)) {
    case 0:
      yield();
      break;
    case 1:
      sleep_for(random_below(100'000));
      break;
    case 2:
      break;  // the spawn below is its first call
    default:
      checkpoint();
      break;
  }
  hogs->scheduler.go([] {}, options_of(StackClass::kStandard));
}

void take_from_hogs() {
  Hogs all;
  hogs = &all;
  // Everything has been idle for so long that the monitor sleeps without end.
  if (one_in(2)) os::sleep_until(os::now_ns() + 70'000'000);
  for (uint32_t i = 0; i < kHogs; ++i) all.scheduler.go(hog, any_options());
  pause_thread(10'000);
  for (uint32_t i = 0; i < kServed; ++i) {
    all.fibers[i].prepare(i);
    const auto serve = [i] {
      hogs->fibers[i].run(i);
      hogs->served.arrive();
    };
    all.scheduler.go(serve, any_options());
    if (one_in(3)) pause_thread(30'000'000);
  }
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, 2 * kHogs + kServed);
}

// --- locked to their threads ---

constexpr uint32_t kLocked = 3;

struct Locked {
  Scheduler scheduler;
  Signal signals[kLocked];
  Countdown running{2 * kLocked};
  Locked() { exits = &running; }
};
Locked* locked;

void stay_on_thread(uint32_t index) {
  if (index % 2 == 0) SIM_CHECK(lock_to_thread(), "a standard fiber can be locked");
  const uint32_t thread = running_thread();
  Plain<uint32_t> own(index);
  for (int round = 0; round < 4; ++round) {
    switch (random_below(4)) {
      case 0:
        yield();
        break;
      case 1:
        sleep_for(1 + random_below(50'000));
        break;
      case 2:
        blocking([] { pause_thread(300'000); });
        break;
      default:
        break;
    }
    SIM_CHECK(running_thread() == thread, "a locked fiber has moved to another thread");
    SIM_CHECK(own.read("a locked fiber's own variable") == index, "a stack has changed");
  }
  locked->signals[index].wait();
  SIM_CHECK(running_thread() == thread, "a locked fiber has moved to another thread");
}

void lock_fibers() {
  Locked all;
  locked = &all;
  for (uint32_t i = 0; i < kLocked; ++i) {
    SpawnOptions options = options_of(StackClass::kStandard);
    options.lock_to_thread = i % 2 != 0;
    all.scheduler.go([i] { stay_on_thread(i); }, options);
    const auto wake = [i] {
      if (one_in(2)) sleep_for(random_below(100'000));
      locked->signals[i].send(locked->scheduler);
    };
    all.scheduler.go(wake, any_options());
  }
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, 2 * kLocked);
}

}  // namespace

TEST_CASE("fibers in blocking calls keep no processor from others") {
  CHECK(run_seeds({"hand-off", block_everybody, 500, {}}));
}

TEST_CASE("short calls, exceptions and long computations lose nothing") {
  CHECK(run_seeds({"short calls", block_briefly, 500, {}}));
}

TEST_CASE("a hog loses its processor and comes back") {
  CHECK(run_seeds({"hogs", take_from_hogs, 500, {}}));
}

TEST_CASE("a locked fiber never changes its thread, and others go on meanwhile") {
  CHECK(run_seeds({"lock to thread", lock_fibers, 500, {}}));
}

}  // namespace heddle::sim
