// Parking and waking: every wait ends once, by the one who claimed it, and never by accident.
#include "core/park.h"

#include <csignal>
#include <thread>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

Atomic<uint32_t> cancelled_exits{0};
Atomic<uint32_t> done_exits{0};

SpawnOptions counting_exits(StackClass stack_class = StackClass::kStandard) {
  cancelled_exits.store_relaxed(0);
  done_exits.store_relaxed(0);
  SpawnOptions options = of_class(stack_class);
  options.on_exit = [](Fiber*, ExitStatus status) {
    CHECK(status != ExitStatus::kNoStack);
    (status == ExitStatus::kCancelled ? cancelled_exits : done_exits).fetch_add_acq_rel(1);
  };
  return options;
}

template <typename F>
bool throws_cancelled(F wait) {
  try {
    wait();
  } catch (const Cancelled&) {
    return true;
  }
  return false;
}

}  // namespace

// Pitfall 9: a signal may come before, during and after the park.
TEST_CASE("no signal is lost, from OS threads or between fibers") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(2));
    const uint32_t rounds = scaled(3'000, 300);
    Signal to_fiber;
    Atomic<uint32_t> answered{0};
    spawn(
        scheduler,
        [&] {
          for (uint32_t i = 0; i < rounds; ++i) {
            to_fiber.wait();
            answered.store_release(i + 1);
          }
        },
        of_class(stack_class));
    for (uint32_t i = 0; i < rounds; ++i) {
      for (uint32_t n = 0; n < i % 50; ++n) spin_hint();
      to_fiber.send(scheduler);
      while (answered.load_acquire() != i + 1) spin_hint();
    }
    struct Pair {
      Signal ping;
      Signal pong;
    };
    std::vector<Pair> pairs(4);
    for (Pair& pair : pairs) {
      spawn(
          scheduler,
          [&pair, &scheduler, rounds] {
            for (uint32_t i = 0; i < rounds; ++i) {
              pair.ping.send(scheduler);
              pair.pong.wait();
            }
          },
          of_class(stack_class));
      spawn(scheduler, [&pair, &scheduler, rounds] {
        for (uint32_t i = 0; i < rounds; ++i) {
          pair.ping.wait();
          pair.pong.send(scheduler);
        }
      });
    }
    finish(scheduler);
  }
}

TEST_CASE("a wait ends for one of many who ready it") {
  Scheduler scheduler(with_processors(2));
  const uint32_t rounds = scaled(300, 100);
  ParkingPlace place;
  Atomic<uint32_t> woken{0};
  spawn(scheduler, [&] {
    for (uint32_t i = 0; i < rounds; ++i) {
      place.park();
      woken.fetch_add_acq_rel(1);
    }
  });
  Atomic<uint32_t> claims{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      uint64_t epoch = 0;
      while (claims.load_acquire() < rounds) {
        const uint64_t now = place.epoch();
        if (now == epoch) {
          os::yield_thread();
          continue;
        }
        epoch = now;
        if (scheduler.ready(place.fiber(), epoch)) claims.fetch_add_acq_rel(1);
        CHECK(!scheduler.ready(place.fiber(), epoch));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  finish(scheduler);
  CHECK_EQ(claims.load_acquire(), rounds);
  CHECK_EQ(woken.load_acquire(), rounds);
}

// Pitfall 9: a wake-up that is kept from an earlier wait finds another epoch.
TEST_CASE("stale and made-up epochs ready no one") {
  Scheduler scheduler(with_processors(1));
  ParkingPlace place;
  spawn(scheduler, [&] {
    for (int i = 0; i < 3; ++i) place.park();
  });
  const uint64_t first = place.await();
  Fiber* const fiber = place.fiber();
  CHECK(!scheduler.ready(fiber, first + 1));
  CHECK(!scheduler.ready(fiber, first - 1));
  CHECK(!scheduler.ready(fiber, 0));
  CHECK(scheduler.ready(fiber, first));
  CHECK(!scheduler.ready(fiber, first));
  const uint64_t second = place.await(first);
  CHECK(second > first);
  CHECK(!scheduler.ready(fiber, first));
  CHECK(scheduler.ready(fiber, second));
  const uint64_t third = place.await(second);
  CHECK(scheduler.ready(fiber, third));
  await_all_exits(scheduler);
  CHECK(!scheduler.ready(fiber, third));
  finish(scheduler);
}

TEST_CASE("a wake-up for an earlier fiber does not reach the next one of the same descriptor") {
  Scheduler scheduler(with_processors(1));
  // From a fiber, so that descriptors come from the processor's own stock.
  spawn(scheduler, [&scheduler] {
    std::vector<std::pair<Fiber*, uint64_t>> earlier;
    uint32_t lives = 0;
    for (int life = 0; life < 50; ++life) {
      ParkingPlace place;
      spawn(scheduler, [&place] { place.park(); });
      while (place.epoch() == 0) yield();
      for (const auto& [fiber, epoch] : earlier) {
        if (fiber != place.fiber()) continue;
        ++lives;
        CHECK(place.epoch() > epoch);
        CHECK(!scheduler.ready(fiber, epoch));
      }
      earlier.emplace_back(place.fiber(), place.epoch());
      CHECK(place.ready(scheduler));
      while (place.fiber()->state() != WaiterState::kFree) yield();
    }
    CHECK(lives > 0);
  });
  finish(scheduler);
}

TEST_CASE("a park that its commit takes back goes on at once") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    Atomic<uint32_t> commits{0};
    spawn(
        scheduler,
        [&commits] {
          for (int i = 0; i < 100; ++i) {
            park(
                WaitReason::kPark,
                [](Fiber* fiber, void* count) noexcept {
                  CHECK_EQ(fiber->state(), WaiterState::kWaiting);
                  static_cast<Atomic<uint32_t>*>(count)->fetch_add_relaxed(1);
                  return false;
                },
                &commits);
          }
        },
        of_class(stack_class));
    finish(scheduler);
    CHECK_EQ(commits.load_relaxed(), 100u);
  }
}

// Pitfall 8: whoever is told of the wait may resume the fiber at once.
TEST_CASE("a wait is published after its stack was left") {
  Scheduler scheduler(with_processors(1));
  struct Seen {
    bool on_stack = true;
    bool has_stack_pointer = false;
  };
  static Seen seen;
  seen = Seen{};
  spawn(scheduler, [] {
    yield();  // so that it has a stack of its own
    park(
        WaitReason::kPark,
        [](Fiber* fiber, void*) noexcept {
          const char* here = static_cast<char*>(__builtin_frame_address(0));
          const char* bottom = fiber->stack->bottom;
          seen.on_stack = here >= bottom && here < static_cast<char*>(fiber->stack->top());
          seen.has_stack_pointer = fiber->stack_pointer > bottom;
          return false;
        },
        nullptr);
  });
  finish(scheduler);
  CHECK(!seen.on_stack);
  CHECK(seen.has_stack_pointer);
}

TEST_CASE("why a fiber waits can be seen while it does") {
  Scheduler scheduler(with_processors(1));
  for (WaitReason reason : {WaitReason::kPark, WaitReason::kSleep, WaitReason::kLatch}) {
    ParkingPlace place;
    spawn(scheduler, [&place, reason] {
      place.park(reason);
      CHECK_EQ(current_fiber()->wait_reason, WaitReason::kNone);
    });
    place.await();
    CHECK_EQ(place.fiber()->wait_reason, reason);
    CHECK_EQ(place.fiber()->state(), WaiterState::kWaiting);
    CHECK(place.ready(scheduler));
    await_all_exits(scheduler);
  }
  CHECK_EQ(wait_reason_name(WaitReason::kSleep), "sleep");
}

TEST_CASE("a fiber goes through its states from spawn to end") {
  Scheduler scheduler(with_processors(1));
  Countdown busy(1);
  Countdown let_go(1);
  spawn(scheduler, [&] {  // holds the only processor
    busy.arrive();
    let_go.wait();
  });
  busy.wait();
  ParkingPlace place;
  static ParkingPlace* where;
  where = &place;
  SpawnError error = SpawnError::kNone;
  Fiber* fiber = scheduler.spawn(
      SpawnOptions{},
      [](Fiber* self) {
        CHECK(self == current_fiber());
        CHECK_EQ(self->state(), WaiterState::kRunning);
        where->park();
        CHECK_EQ(self->state(), WaiterState::kRunning);
      },
      nullptr, 0, &error);
  REQUIRE(fiber != nullptr);
  CHECK_EQ(fiber->state(), WaiterState::kRunnable);
  let_go.arrive();
  const uint64_t epoch = place.await();
  CHECK_EQ(fiber->state(), WaiterState::kWaiting);
  CHECK(scheduler.ready(fiber, epoch));
  wait_until([&] { return fiber->state() == WaiterState::kFree; });
  CHECK_EQ(fiber->epoch(), epoch);
  finish(scheduler);
}

TEST_CASE("cancel ends a wait with Cancelled, in every kind of wait") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(2));
    const SpawnOptions options = counting_exits(stack_class);
    ParkingPlace place;
    spawn(scheduler, [&] { place.park(); }, options);
    place.await();
    scheduler.cancel(place.fiber());
    Atomic<Fiber*> sleeper{nullptr};
    spawn(
        scheduler,
        [&] {
          sleeper.store_release(current_fiber());
          sleep_for(os::kNever);
        },
        options);
    wait_until([&] { return sleeper.load_acquire() != nullptr; });
    scheduler.cancel(sleeper.load_relaxed());
    finish(scheduler);
    CHECK_EQ(cancelled_exits.load_acquire(), 2u);
    CHECK_EQ(done_exits.load_acquire(), 0u);
  }
}

TEST_CASE("a running fiber that is cancelled notices at its next wait or checkpoint, and at all") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    const SpawnOptions options = counting_exits(stack_class);
    Atomic<Fiber*> running{nullptr};
    Atomic<bool> was_cancelled{false};
    spawn(
        scheduler,
        [&] {
          running.store_release(current_fiber());
          while (!was_cancelled.load_acquire()) spin_hint();
          CHECK(throws_cancelled([] { checkpoint(); }));
          CHECK(throws_cancelled([] { yield(); }));
          CHECK(throws_cancelled([] { sleep_for(os::kNever); }));
          CHECK(throws_cancelled([] { sleep_for(0); }));
          ParkingPlace unused;
          CHECK(throws_cancelled([&unused] { unused.park(); }));
          CHECK_EQ(unused.epoch(), 0u);       // it never was in the wait
          spawn(scheduler, [] { yield(); });  // which is no place to be cancelled
        },
        options);
    wait_until([&] { return running.load_acquire() != nullptr; });
    scheduler.cancel(running.load_acquire());
    was_cancelled.store_release(true);
    finish(scheduler);
    CHECK_EQ(done_exits.load_acquire(), 1u);
  }
}

TEST_CASE("a queued fiber that is cancelled starts, and ends at its first wait") {
  Scheduler scheduler(with_processors(1));
  const SpawnOptions options = counting_exits();
  Countdown busy(1);
  Countdown let_go(1);
  spawn(scheduler, [&] {
    busy.arrive();
    let_go.wait();
  });
  busy.wait();
  static bool started;
  started = false;
  SpawnError error = SpawnError::kNone;
  Fiber* fiber = scheduler.spawn(
      options,
      [](Fiber*) {
        started = true;
        yield();
        CHECK(false);
      },
      nullptr, 0, &error);
  scheduler.cancel(fiber);
  let_go.arrive();
  finish(scheduler);
  CHECK(started);
  CHECK_EQ(cancelled_exits.load_acquire(), 1u);
}

TEST_CASE("a fiber that was readied and then cancelled ends by the cancellation") {
  Scheduler scheduler(with_processors(1));
  const SpawnOptions options = counting_exits();
  ParkingPlace place;
  spawn(scheduler, [&] { place.park(); }, options);
  place.await();
  Countdown busy(1);
  Countdown let_go(1);
  spawn(scheduler, [&] {
    busy.arrive();
    let_go.wait();
  });
  busy.wait();
  CHECK(place.ready(scheduler));
  scheduler.cancel(place.fiber());
  let_go.arrive();
  finish(scheduler);
  CHECK_EQ(cancelled_exits.load_acquire(), 1u);
}

TEST_CASE("a cancellation does not reach the next fiber of the same descriptor") {
  Scheduler scheduler(with_processors(1));
  const SpawnOptions options = counting_exits();
  for (int i = 0; i < 20; ++i) {
    ParkingPlace place;
    spawn(scheduler, [&] { place.park(); }, options);
    place.await();
    scheduler.cancel(place.fiber());
    await_all_exits(scheduler);
  }
  CHECK_EQ(cancelled_exits.load_acquire(), 20u);
  for (int i = 0; i < 100; ++i) spawn(scheduler, [] { yield(); }, options);
  finish(scheduler);
  CHECK_EQ(cancelled_exits.load_acquire(), 20u);
  CHECK_EQ(done_exits.load_acquire(), 100u);
}

TEST_CASE("a cancelled fiber unwinds: its destructors run") {
  Scheduler scheduler(with_processors(1));
  ParkingPlace place;
  Atomic<uint32_t> destroyed{0};
  spawn(scheduler, [&] {
    struct Guard {
      Atomic<uint32_t>& count;
      ~Guard() { count.fetch_add_relaxed(1); }
    };
    Guard outer{destroyed};
    try {
      Guard inner{destroyed};
      place.park();
    } catch (...) {
      destroyed.fetch_add_relaxed(10);
      throw;
    }
  });
  place.await();
  scheduler.cancel(place.fiber());
  finish(scheduler);
  CHECK_EQ(destroyed.load_relaxed(), 12u);
}

TEST_CASE("threads outside the runtime sleep, yield and pass checkpoints as threads do") {
  CHECK(current_fiber() == nullptr);
  yield();
  checkpoint();
  const uint64_t began_ns = os::now_ns();
  sleep_for(2'000'000);
  CHECK(os::now_ns() >= began_ns + 2'000'000);
  CHECK(!lock_to_thread());
}

TEST_CASE("a task that runs on a thread of its own is cancelled through its flag") {
  Atomic<uint8_t> flag{0};
  Countdown asleep(1);
  std::thread thread([&] {
    os::thread_slot().cancel_flag = &flag;
    checkpoint();
    sleep_for(1000);
    asleep.arrive();
    CHECK(throws_cancelled([] { sleep_for(3'600'000'000'000); }));
    CHECK(throws_cancelled([] { checkpoint(); }));
    os::thread_slot().cancel_flag = nullptr;
    checkpoint();
  });
  asleep.wait();
  flag.store_release(1);
  thread.join();
}

CHILD_CASE("parks on a thread that runs no fiber") {
  ParkingPlace place;
  place.park();
}

TEST_CASE("a park on a thread that runs no fiber ends the process by name") {
  const ChildResult child = run_child("parks on a thread that runs no fiber");
  CHECK_EQ(child.signal, SIGABRT);
  CHECK(child.output.find("park is called on a fiber") != std::string::npos);
}

}  // namespace heddle::test
