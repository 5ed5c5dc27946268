// Fibers that keep a processor for too long: they lose it, others run, and they come back.
#include <memory>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

constexpr uint64_t kMs = 1'000'000;
// Go bounds the wait of others by about two slices; a machine at work gets more.
constexpr uint64_t kPatienceNs = 2'000 * kMs;

}  // namespace

// Row 22.
TEST_CASE("a tight loop cannot stop the others of its processor") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    Atomic<bool> other_ran{false};
    const uint64_t began_ns = os::now_ns();
    spawn(
        scheduler,
        [&] {
          while (!other_ran.load_acquire()) spin_hint();
        },
        of_class(stack_class));
    spawn(scheduler, [&] { other_ran.store_release(true); }, of_class(stack_class));
    finish(scheduler);
    CHECK(os::now_ns() - began_ns < kPatienceNs);
    CHECK(stats_of(scheduler).hand_offs <= 1);
  }
}

TEST_CASE("several hogs at once cannot stop the others either") {
  Scheduler scheduler(with_processors(2));
  Atomic<uint32_t> others_ran{0};
  constexpr uint32_t kOthers = 50;
  for (int i = 0; i < 4; ++i) {
    spawn(scheduler, [&] {
      while (others_ran.load_acquire() < kOthers) spin_hint();
    });
  }
  for (uint32_t i = 0; i < kOthers; ++i) {
    spawn(scheduler, [&] {
      yield();
      others_ran.fetch_add_acq_rel(1);
    });
  }
  finish(scheduler);
  CHECK_EQ(others_ran.load_acquire(), kOthers);
}

TEST_CASE("a hog cannot hold back timers, nor what its own queue has") {
  Scheduler scheduler(with_processors(1));
  Atomic<uint32_t> ran{0};
  spawn(scheduler, [&] { sleep_for(kMs), ran.fetch_add_acq_rel(1); });
  spawn(scheduler, [&] {
    yield();
    for (int i = 0; i < 10; ++i) spawn(scheduler, [&] { ran.fetch_add_acq_rel(1); });
    while (ran.load_acquire() != 11) spin_hint();
  });
  finish(scheduler);
}

// Row 67, as far as there is no channel: each kind of runtime call may be the first one.
TEST_CASE("a hog that has lost its processor comes back through any runtime call") {
  for (StackClass stack_class : kStackClasses) {
    for (int call = 0; call < 7; ++call) {
      Scheduler scheduler(with_processors(1));
      ParkingPlace place;
      Atomic<uint32_t> others{0};
      spawn(scheduler, [&] {
        place.park();
        others.fetch_add_acq_rel(1);
      });
      place.await();
      spawn(
          scheduler,
          [&, call] {
            Fiber* const self = current_fiber();
            int local = call;
            spawn(scheduler, [&] { others.fetch_add_acq_rel(1); });
            while (others.load_acquire() == 0) spin_hint();  // only without the processor
            switch (call) {
              case 0:
                yield();
                break;
              case 1:
                checkpoint();
                break;
              case 2:
                sleep_for(1000);
                break;
              case 3:
                spawn(scheduler, [] {});
                break;
              case 4:
                CHECK(place.ready(scheduler));
                break;
              case 5:
                blocking([] {});
                break;
              default:
                break;  // it just ends
            }
            CHECK(current_fiber() == self);
            CHECK_EQ(local, call);
            if (call != 4) CHECK(place.ready(scheduler));
          },
          of_class(stack_class));
      finish(scheduler);
      CHECK_EQ(others.load_acquire(), 2u);
      CHECK(stats_of(scheduler).hand_offs >= 1);
    }
  }
}

TEST_CASE("a checkpoint yields when the slice is over, and not before") {
  Scheduler scheduler(with_processors(1));
  Atomic<uint32_t> others{0};
  Atomic<bool> stop{false};
  spawn(scheduler, [&] {
    // At once after the start no slice can be over.
    for (int i = 0; i < 100; ++i) checkpoint();
    CHECK_EQ(others.load_acquire(), 0u);
    while (others.load_acquire() < 5) checkpoint();
    stop.store_release(true);
  });
  spawn(scheduler, [&] {
    while (!stop.load_acquire()) {
      others.fetch_add_acq_rel(1);
      yield();
    }
  });
  finish(scheduler);
}

TEST_CASE("loops that pass checkpoints share one processor") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    constexpr uint32_t kFibers = 3;
    Atomic<uint32_t> turns[kFibers];
    Atomic<bool> stop{false};
    for (uint32_t i = 0; i < kFibers; ++i) {
      spawn(
          scheduler,
          [&, i] {
            const Fiber* last = nullptr;
            static Atomic<const Fiber*> running{nullptr};
            const Fiber* self = current_fiber();
            while (!stop.load_acquire()) {
              last = running.exchange_acq_rel(self);
              if (last != self) turns[i].fetch_add_acq_rel(1);
              checkpoint();
            }
          },
          of_class(stack_class));
    }
    wait_until([&] {
      bool all = true;
      for (const Atomic<uint32_t>& each : turns) all &= each.load_acquire() >= 3;
      return all;
    });
    stop.store_release(true);
    finish(scheduler);
  }
}

TEST_CASE("a hog that is alone keeps its processor") {
  Scheduler scheduler(with_processors(1));
  spawn(scheduler, [] {
    const uint64_t until_ns = os::now_ns() + 60 * kMs;
    while (os::now_ns() < until_ns) spin_hint();
  });
  finish(scheduler);
  CHECK_EQ(stats_of(scheduler).hand_offs, 0u);
}

TEST_CASE("a locked fiber that is a hog loses its processor and goes on on its own thread") {
  Scheduler scheduler(with_processors(1));
  Atomic<uint32_t> others{0};
  SpawnOptions options;
  options.lock_to_thread = true;
  spawn(
      scheduler,
      [&] {
        const void* own = running_thread();
        for (uint32_t i = 1; i <= 3; ++i) {
          spawn(scheduler, [&] { others.fetch_add_acq_rel(1); });
          while (others.load_acquire() < i) spin_hint();
          yield();
          CHECK(running_thread() == own);
        }
      },
      options);
  finish(scheduler);
}

namespace {

// Two pairs share a processor for a while; true if neither got five times as far as the other.
bool pairs_share_fairly() {
  Scheduler scheduler(with_processors(1));
  struct Pair {
    Signal ping;
    Signal pong;
    Atomic<uint64_t> rounds{0};
  };
  Pair pairs[2];
  for (Pair& pair : pairs) {
    spawn(scheduler, [&scheduler, &pair] {
      for (;;) {
        pair.ping.send(scheduler);
        pair.pong.wait();
        pair.rounds.fetch_add_relaxed(1);
      }
    });
    spawn(scheduler, [&scheduler, &pair] {
      for (;;) {
        pair.ping.wait();
        pair.pong.send(scheduler);
      }
    });
  }
  os::sleep_until(os::now_ns() + 300 * kMs);
  const uint64_t first = pairs[0].rounds.load_relaxed();
  const uint64_t second = pairs[1].rounds.load_relaxed();
  CHECK(scheduler.shutdown());
  return first < 5 * second && second < 5 * first;
}

}  // namespace

// Row 23, pitfall 13: two fibers that wake each other always run next, and inherit the slice. A
// slice is a stretch of time, of which a busy machine may give one pair less than the other.
TEST_CASE("fibers that wake each other leave another such pair its share") {
  bool fair = false;
  for (int attempt = 0; attempt < 5 && !fair; ++attempt) fair = pairs_share_fairly();
  CHECK(fair);
}

}  // namespace heddle::test
