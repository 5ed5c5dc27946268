// The processor count changes while everything runs, and nothing is lost or stranded.
#include <memory>
#include <thread>
#include <vector>

#include "core/timer.h"
#include "test/native/runtime_support.h"

namespace heddle::test {

// Row 66.
TEST_CASE("the processor count changes a thousand times under load and loses nothing") {
  Scheduler scheduler(with_processors(2));
  const uint32_t changes = scaled(1000, 200);
  const uint32_t workers = scaled(200, 60);
  Atomic<bool> stop{false};
  auto work = std::make_unique<Atomic<uint64_t>[]>(workers);
  Atomic<uint32_t> children{0};
  Atomic<uint32_t> children_run{0};
  for (uint32_t i = 0; i < workers; ++i) {
    SpawnOptions options = of_class(i % 4 == 0 ? StackClass::kCompact : StackClass::kStandard);
    options.lock_to_thread = i % 50 == 1;
    spawn(
        scheduler,
        [&, i] {
          while (!stop.load_acquire()) {
            switch (i % 4) {
              case 0:
                yield();
                break;
              case 1:
                sleep_for(20'000 + i * 100);
                break;
              case 2:
                if (children.load_relaxed() - children_run.load_relaxed() < 1000) {
                  children.fetch_add_relaxed(1);
                  spawn(scheduler, [&] { children_run.fetch_add_relaxed(1); });
                }
                yield();
                break;
              default:
                sleep_for(1);
                break;
            }
            work[i].fetch_add_relaxed(1);
          }
        },
        options);
  }
  uint32_t seed = 7;
  for (uint32_t change = 0; change < changes; ++change) {
    seed = seed * 1'664'525 + 1'013'904'223;
    scheduler.set_processors(1 + (seed >> 16) % 8);
    if (change % 4 == 0) os::sleep_until(os::now_ns() + 100'000);
    if (change % (changes / 5) != 0) continue;
    // Nobody is stranded: everyone gets on.
    std::vector<uint64_t> before(workers);
    for (uint32_t i = 0; i < workers; ++i) before[i] = work[i].load_relaxed();
    for (uint32_t i = 0; i < workers; ++i) {
      wait_until([&] { return work[i].load_relaxed() > before[i]; });
    }
  }
  scheduler.set_processors(2);
  stop.store_release(true);
  finish(scheduler);
  CHECK_EQ(children_run.load_relaxed(), children.load_relaxed());
  CHECK_EQ(scheduler.processors(), 2u);
}

TEST_CASE("what is queued on a processor that goes runs on those that stay") {
  for (uint32_t from : {2u, 4u, 10u}) {
    Scheduler scheduler(with_processors(from));
    constexpr uint32_t kEach = 100;
    Atomic<uint32_t> ran{0};
    Countdown filled(from);
    Atomic<bool> let_go{false};
    for (uint32_t i = 0; i < from; ++i) {
      spawn(scheduler, [&] {
        for (uint32_t n = 0; n < kEach; ++n) {
          spawn(scheduler, [&] { ran.fetch_add_relaxed(1); });
        }
        filled.arrive();
        while (!let_go.load_acquire()) spin_hint();
      });
    }
    filled.wait();
    scheduler.set_processors(1);
    CHECK_EQ(scheduler.processors(), 1u);
    let_go.store_release(true);
    finish(scheduler);
    CHECK_EQ(ran.load_relaxed(), from * kEach);
  }
}

TEST_CASE("timers of a processor that goes fire on another") {
  Scheduler scheduler(with_processors(8));
  constexpr uint32_t kFibers = 100;
  const uint64_t wake_ns = os::now_ns() + 30'000'000;
  Atomic<uint32_t> fired{0};
  for (uint32_t i = 0; i < kFibers; ++i) {
    spawn(scheduler, [&] {
      sleep_until(wake_ns);
      CHECK(os::now_ns() >= wake_ns);
    });
    spawn(scheduler, [&] {
      start_timer(
          scheduler, wake_ns,
          [](void* count) noexcept { static_cast<Atomic<uint32_t>*>(count)->fetch_add_acq_rel(1); },
          &fired);
    });
  }
  wait_until([&] { return stats_of(scheduler).parked >= kFibers; });
  scheduler.set_processors(1);
  await_all_exits(scheduler);
  wait_until([&] { return fired.load_acquire() == kFibers; });
}

TEST_CASE("a processor that was taken away is used again when it comes back") {
  Scheduler scheduler(with_processors(4));
  for (uint32_t count : {1u, 4u, 2u, 8u, 1u, 3u}) {
    scheduler.set_processors(count);
    // So many fibers meet only if so many processors run.
    Countdown all(count);
    Countdown ended(count);
    for (uint32_t i = 0; i < count; ++i) {
      spawn(scheduler, [&] {
        all.arrive();
        while (all.left() != 0) spin_hint();
        ended.arrive();
      });
    }
    ended.wait();
    await_all_exits(scheduler);
    wait_until([&] { return stats_of(scheduler).idle_processors == count; });
  }
}

TEST_CASE("the processor of a hog goes as well") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(2));
    Atomic<bool> stop{false};
    Countdown started(2);
    for (int i = 0; i < 2; ++i) {
      spawn(
          scheduler,
          [&] {
            started.arrive();
            while (!stop.load_acquire()) spin_hint();
            yield();
          },
          of_class(stack_class));
    }
    started.wait();
    scheduler.set_processors(1);
    Atomic<bool> ran{false};
    spawn(scheduler, [&] { ran.store_release(true); });
    wait_until([&] { return ran.load_acquire(); });
    stop.store_release(true);
    finish(scheduler);
  }
}

TEST_CASE("threads that change the count at once end with one of their counts") {
  Scheduler scheduler(with_processors(2));
  Atomic<uint32_t> ran{0};
  std::vector<std::thread> threads;
  const uint32_t rounds = scaled(200, 50);
  for (uint32_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < rounds; ++i) {
        scheduler.set_processors(1 + (i * (t + 3)) % 7);
        spawn(scheduler, [&] {
          yield();
          ran.fetch_add_relaxed(1);
        });
      }
      scheduler.set_processors(t + 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(scheduler.processors() >= 1 && scheduler.processors() <= 3);
  finish(scheduler);
  CHECK_EQ(ran.load_relaxed(), 3 * rounds);
}

TEST_CASE("a fiber changes the count of the processors it runs on") {
  Scheduler scheduler(with_processors(3));
  for (int i = 0; i < 10; ++i) {
    spawn(
        scheduler,
        [&scheduler] {
          for (uint32_t count : {1u, 4u, 2u, 3u}) {
            scheduler.set_processors(count);
            yield();
          }
        },
        of_class(i % 2 == 0 ? StackClass::kCompact : StackClass::kStandard));
  }
  finish(scheduler);
}

}  // namespace heddle::test
