// Timers with callbacks, and fibers that sleep: never early, in order, stopped for good.
#include "core/timer.h"

#include <csignal>
#include <memory>
#include <vector>

#include <sys/time.h>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

constexpr uint64_t kMs = 1'000'000;

struct Counted {
  Atomic<uint32_t> fired{0};
  uint64_t fired_at_ns = 0;
  static void count(void* self) noexcept {
    static_cast<Counted*>(self)->fired_at_ns = os::now_ns();
    static_cast<Counted*>(self)->fired.fetch_add_acq_rel(1);
  }
};

}  // namespace

// Row 41.
TEST_CASE("a fiber never sleeps shorter than it asked for") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(2));
    constexpr uint64_t kFibers = 60;
    Countdown running(kFibers);
    for (uint64_t i = 0; i < kFibers; ++i) {
      spawn(
          scheduler,
          [&running, i] {
            for (uint64_t duration_ns : {i * 50'000, i * 1'000, i, 20 * kMs / (i + 1)}) {
              const uint64_t began_ns = os::now_ns();
              sleep_for(duration_ns);
              CHECK(os::now_ns() >= began_ns + duration_ns);
              const uint64_t deadline_ns = os::now_ns() + duration_ns;
              sleep_until(deadline_ns);
              CHECK(os::now_ns() >= deadline_ns);
            }
            running.arrive();
          },
          of_class(stack_class));
    }
    running.wait();
    await_all_exits(scheduler);
  }
}

TEST_CASE("signals do not shorten a sleep, of a fiber or of a thread") {
  static Atomic<uint32_t> signals{0};
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = [](int) { signals.fetch_add_relaxed(1); };
  REQUIRE(sigaction(SIGALRM, &action, &before) == 0);
  const itimerval every_ms{{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &every_ms, nullptr);
  {
    Scheduler scheduler(with_processors(1));
    Countdown done(1);
    const uint64_t deadline_ns = os::now_ns() + 30 * kMs;
    spawn(scheduler, [&] {
      sleep_until(deadline_ns);
      CHECK(os::now_ns() >= deadline_ns);
      done.arrive();
    });
    sleep_until(deadline_ns);  // on a thread outside the runtime
    CHECK(os::now_ns() >= deadline_ns);
    done.wait();
  }
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  CHECK(signals.load_relaxed() > 0);
}

// Row 42.
TEST_CASE("sleeping fibers go on in the order of their deadlines") {
  Scheduler scheduler(with_processors(1));
  constexpr uint32_t kFibers = 200;
  std::vector<uint32_t> order;  // written on the one processor only
  Countdown running(kFibers);
  Atomic<uint64_t> base_ns{0};
  for (uint32_t i = 0; i < kFibers; ++i) {
    const uint32_t place = i * 77 % kFibers;
    spawn(scheduler, [&, place] {
      while (base_ns.load_acquire() == 0) yield();
      sleep_until(base_ns.load_acquire() + place * 10'000);
      order.push_back(place);
      running.arrive();
    });
  }
  wait_until([&] { return stats_of(scheduler).started == kFibers; });
  base_ns.store_release(os::now_ns() + 100 * kMs);  // all sleep long before the first goes on
  running.wait();
  for (uint32_t i = 0; i < kFibers; ++i) CHECK_EQ(order[i], i);
}

// Row 43.
TEST_CASE("a stopped timer never fires, and stopping it again says so") {
  Scheduler scheduler(with_processors(2));
  Counted counted;
  std::vector<TimerHandle> timers;
  for (int i = 0; i < 200; ++i) {
    timers.push_back(start_timer(scheduler, os::now_ns() + 20 * kMs, Counted::count, &counted));
    CHECK(timers.back().node != nullptr);
  }
  uint32_t stopped = 0;
  for (const TimerHandle& timer : timers) stopped += stop_timer(scheduler, timer);
  for (const TimerHandle& timer : timers) CHECK(!stop_timer(scheduler, timer));
  Counted last;
  start_timer(scheduler, os::now_ns() + 25 * kMs, Counted::count, &last);
  wait_until([&] { return last.fired.load_acquire() == 1; });
  CHECK_EQ(counted.fired.load_acquire() + stopped, 200u);
  CHECK(!stop_timer(scheduler, TimerHandle{}));
}

TEST_CASE("the handle of a timer that has fired does not stop the next one in its place") {
  Scheduler scheduler(with_processors(1));
  Countdown done(1);
  Counted first;
  Counted second;
  spawn(scheduler, [&] {
    const TimerHandle old = start_timer(scheduler, 0, Counted::count, &first);
    while (first.fired.load_acquire() == 0) yield();
    TimerHandle fresh;
    std::vector<TimerHandle> others;
    for (int i = 0; i < 2000; ++i) {  // until the same memory comes again
      fresh = start_timer(scheduler, os::now_ns() + 5 * kMs, Counted::count, &second);
      if (fresh.node == old.node) break;
      others.push_back(fresh);
    }
    for (const TimerHandle& other : others) CHECK(stop_timer(scheduler, other));
    CHECK(fresh.node == old.node);
    CHECK(!stop_timer(scheduler, old));
    while (second.fired.load_acquire() == 0) yield();
    CHECK(!stop_timer(scheduler, fresh));
    done.arrive();
  });
  done.wait();
  await_all_exits(scheduler);
  CHECK_EQ(first.fired.load_acquire(), 1u);
  CHECK_EQ(second.fired.load_acquire(), 1u);
}

TEST_CASE("a timer fires once, not early, wherever it was started") {
  Scheduler scheduler(with_processors(2));
  constexpr uint32_t kTimers = 100;
  auto counted = std::make_unique<Counted[]>(kTimers);
  auto deadlines = std::make_unique<uint64_t[]>(kTimers);
  const auto start = [&](uint32_t i) {
    deadlines[i] = os::now_ns() + (i % 10) * kMs / 2;
    start_timer(scheduler, deadlines[i], Counted::count, &counted[i]);
  };
  for (uint32_t i = 0; i < kTimers / 2; ++i) start(i);
  for (uint32_t i = kTimers / 2; i < kTimers; ++i) spawn(scheduler, [&start, i] { start(i); });
  await_all_exits(scheduler);
  for (uint32_t i = 0; i < kTimers; ++i) {
    wait_until([&] { return counted[i].fired.load_acquire() != 0; });
    CHECK(counted[i].fired_at_ns >= deadlines[i]);
  }
  os::sleep_until(os::now_ns() + 10 * kMs);
  for (uint32_t i = 0; i < kTimers; ++i) CHECK_EQ(counted[i].fired.load_acquire(), 1u);
}

// Row 43: every timer is either stopped or fires, whichever comes first.
TEST_CASE("a stop that races with the deadline has one outcome") {
  Scheduler scheduler(with_processors(2));
  const uint32_t rounds = scaled(2'000, 300);
  Counted counted;
  uint32_t stopped = 0;
  uint32_t seed = 1;
  for (uint32_t i = 0; i < rounds; ++i) {
    seed = seed * 1'664'525 + 1'013'904'223;
    const TimerHandle timer =
        start_timer(scheduler, os::now_ns() + (seed >> 18), Counted::count, &counted);
    const uint64_t until_ns = os::now_ns() + (seed >> 4) % 30'000;
    while (os::now_ns() < until_ns) spin_hint();
    stopped += stop_timer(scheduler, timer);
  }
  wait_until([&] { return counted.fired.load_acquire() + stopped >= rounds; });
  os::sleep_until(os::now_ns() + kMs);
  CHECK_EQ(counted.fired.load_acquire() + stopped, rounds);
}

// Row 44.
TEST_CASE("a deadline that has passed, or no duration, only yields") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    Countdown done(1);
    spawn(
        scheduler,
        [&] {
          sleep_until(0);
          sleep_until(os::now_ns() - 1);
          sleep_until(os::now_ns());
          sleep_for(0);
          sleep_for(1);
          done.arrive();
        },
        of_class(stack_class));
    done.wait();
    await_all_exits(scheduler);
  }
  sleep_until(0);
  sleep_for(0);
}

TEST_CASE("a sleep without end, or of centuries, lasts until it is cancelled") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    static Atomic<uint32_t> cancelled;
    cancelled.store_relaxed(0);
    SpawnOptions options = of_class(stack_class);
    options.on_exit = [](Fiber*, ExitStatus status) {
      CHECK_EQ(status, ExitStatus::kCancelled);
      cancelled.fetch_add_acq_rel(1);
    };
    static const uint64_t kDurations[] = {os::kNever, os::kNever - 1, os::kNever / 2,
                                          uint64_t{1} << 62};
    std::vector<Fiber*> fibers;
    for (const uint64_t& duration_ns : kDurations) {
      SpawnError error = SpawnError::kNone;
      const uint64_t* from = &duration_ns;
      fibers.push_back(scheduler.spawn(
          options,
          [](Fiber* fiber) {
            uint64_t* own;
            std::memcpy(&own, fiber->payload, sizeof own);
            sleep_for(*own);
            CHECK(false);
          },
          &from, sizeof from, &error));
      REQUIRE(fibers.back() != nullptr);
    }
    wait_until([&] { return stats_of(scheduler).parked == 4; });
    os::sleep_until(os::now_ns() + 2 * kMs);
    CHECK_EQ(stats_of(scheduler).exited, 0u);
    for (Fiber* fiber : fibers) scheduler.cancel(fiber);
    await_all_exits(scheduler);
    CHECK_EQ(cancelled.load_acquire(), 4u);
  }
}

TEST_CASE("a timer without a deadline never fires and can be stopped") {
  Scheduler scheduler(with_processors(1));
  Counted counted;
  const TimerHandle never = start_timer(scheduler, os::kNever, Counted::count, &counted);
  const TimerHandle late = start_timer(scheduler, os::kNever - 1, Counted::count, &counted);
  Counted other;
  start_timer(scheduler, 0, Counted::count, &other);
  wait_until([&] { return other.fired.load_acquire() == 1; });
  CHECK(stop_timer(scheduler, never));
  CHECK(stop_timer(scheduler, late));
  CHECK_EQ(counted.fired.load_acquire(), 0u);
}

// Row 45, with a bound that a machine at work meets too.
TEST_CASE("a million sleeps of no time and as many of the least") {
  const uint32_t sleeps = scaled(1'000'000, 50'000);
  Scheduler scheduler(with_processors(2));
  constexpr uint32_t kFibers = 100;
  const uint64_t began_ns = os::now_ns();
  for (uint32_t i = 0; i < kFibers; ++i) {
    spawn(scheduler, [count = sleeps / kFibers] {
      for (uint32_t n = 0; n < count; ++n) sleep_for(0);
      for (uint32_t n = 0; n < count; ++n) sleep_until(1);
    });
  }
  await_all_exits(scheduler);
  CHECK(os::now_ns() - began_ns < 20'000 * kMs);
}

// Row 46: hogs that hand the processor to each other for ever.
TEST_CASE("timers fire although other fibers keep the processor busy") {
  Scheduler scheduler(with_processors(1));
  Atomic<bool> stop{false};
  struct Pair {
    Signal ping;
    Signal pong;
  } pair;
  Atomic<uint32_t> rounds{0};
  Atomic<bool> last{false};
  spawn(scheduler, [&] {
    while (!stop.load_acquire()) {
      pair.ping.send(scheduler);
      pair.pong.wait();
      rounds.fetch_add_relaxed(1);
    }
    last.store_release(true);
    pair.ping.send(scheduler);
  });
  spawn(scheduler, [&] {
    for (pair.ping.wait(); !last.load_acquire(); pair.ping.wait()) pair.pong.send(scheduler);
  });
  for (int i = 0; i < 2; ++i) {
    spawn(scheduler, [&] {
      while (!stop.load_acquire()) yield();
    });
  }
  Counted counted;
  start_timer(scheduler, os::now_ns() + kMs, Counted::count, &counted);
  Countdown slept(1);
  spawn(scheduler, [&] {
    for (int i = 0; i < 10; ++i) sleep_for(200'000);
    slept.arrive();
  });
  slept.wait();
  wait_until([&] { return counted.fired.load_acquire() == 1; });
  wait_until([&] { return rounds.load_relaxed() > 10; });
  stop.store_release(true);
  await_all_exits(scheduler);
}

TEST_CASE("a sleeping processor takes a timer from outside that is earlier than its own") {
  Scheduler scheduler(with_processors(1));
  Counted late;
  Counted early;
  const TimerHandle far =
      start_timer(scheduler, os::now_ns() + 3'600'000 * kMs, Counted::count, &late);
  wait_until([&] { return stats_of(scheduler).idle_processors == 1; });
  start_timer(scheduler, os::now_ns() + 2 * kMs, Counted::count, &early);
  wait_until([&] { return early.fired.load_acquire() == 1; });
  CHECK(stop_timer(scheduler, far));
}

}  // namespace heddle::test
