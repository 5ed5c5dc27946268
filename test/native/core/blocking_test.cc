// Calls that block an OS thread: only their caller waits.
#include "core/blocking.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {

TEST_CASE("a blocking call gives its processor to others") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    static Countdown* let_go;
    Countdown released(1);
    let_go = &released;
    Atomic<uint32_t> others{0};
    constexpr uint32_t kCallers = 10;
    for (uint32_t i = 0; i < kCallers; ++i) {
      spawn(scheduler, [] { blocking([] { let_go->wait(); }); }, of_class(stack_class));
    }
    for (int i = 0; i < 20; ++i) {
      spawn(scheduler, [&] {
        yield();
        others.fetch_add_acq_rel(1);
      });
    }
    wait_until([&] { return others.load_acquire() == 20; });
    released.arrive();
    finish(scheduler);
  }
}

TEST_CASE("the value and the exception of a blocking call come back") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    Atomic<uint32_t> good{0};
    spawn(
        scheduler,
        [&] {
          good.fetch_add_relaxed(blocking([] { return 7; }) == 7);
          good.fetch_add_relaxed(blocking([](int a, int b) { return a * b; }, 6, 7) == 42);
          const std::string text = "a text that does not fit into the string itself";
          good.fetch_add_relaxed(blocking([](std::string copy) { return copy; }, text) == text);
          blocking([] {});
          for (int i = 0; i < 3; ++i) {
            try {
              blocking([i]() -> int {
                if (i == 2) throw i;
                throw std::runtime_error("failed call");
              });
              CHECK(false);
            } catch (const std::exception& error) {
              good.fetch_add_relaxed(std::string(error.what()) == "failed call");
            } catch (int value) {
              good.fetch_add_relaxed(value == 2);
            }
          }
          CHECK(std::current_exception() == nullptr);
        },
        of_class(stack_class));
    finish(scheduler);
    CHECK_EQ(good.load_relaxed(), 6u);
  }
}

TEST_CASE("on a thread outside the runtime a blocking call is a call") {
  CHECK_EQ(blocking([](int value) { return value + 1; }, 1), 2);
  const BlockingScope scope;
}

TEST_CASE("inside a blocking call a standard fiber is on its own thread and may use the runtime") {
  Scheduler scheduler(with_processors(1));
  Atomic<uint32_t> ran{0};
  spawn(scheduler, [&] {
    const void* own = running_thread();
    blocking([&] {
      CHECK(running_thread() == own);
      spawn(scheduler, [&] { ran.fetch_add_acq_rel(1); });
      while (ran.load_acquire() == 0) yield();  // of the thread
      sleep_for(1000);
      checkpoint();
      spawn(scheduler, [&] { ran.fetch_add_acq_rel(1); });
    });
    yield();
  });
  finish(scheduler);
  CHECK_EQ(ran.load_acquire(), 2u);
}

// Row 24, with Go's numbers.
TEST_CASE("fibers in short blocking calls let others run, and stop soon") {
  for (StackClass stack_class : kStackClasses) {
    for (uint64_t call_ns : {10'000u, 100'000u, 1'000'000u}) {
      Scheduler scheduler(with_processors(2));
      Atomic<bool> stop{false};
      Atomic<uint64_t> calls{0};
      for (int i = 0; i < 8; ++i) {
        spawn(
            scheduler,
            [&, call_ns] {
              while (!stop.load_acquire()) {
                blocking([call_ns] { os::sleep_until(os::now_ns() + call_ns); });
                calls.fetch_add_relaxed(1);
              }
            },
            of_class(stack_class));
      }
      for (int i = 0; i < 30; ++i) {
        Atomic<bool> ran{false};
        spawn(scheduler, [&] { ran.store_release(true); });
        wait_until([&] { return ran.load_acquire(); });
      }
      wait_until([&] { return calls.load_relaxed() > 50; });
      const uint64_t stopped_ns = os::now_ns();
      stop.store_release(true);
      finish(scheduler);
      CHECK(os::now_ns() - stopped_ns < 3'000'000'000);
    }
  }
}

// Row 49.
TEST_CASE("more blocking calls of compact fibers than the pool has threads are all made") {
  if (kSanitized) return;  // there the fibers are standard ones
  Scheduler scheduler(with_processors(1));
  constexpr uint32_t kCalls = 3 * BlockingPool::kThreadLimit;
  static Countdown* let_go;
  Countdown released(1);
  let_go = &released;
  static Atomic<uint32_t> inside;
  static Atomic<uint32_t> most_inside;
  inside.store_relaxed(0);
  most_inside.store_relaxed(0);
  Atomic<uint32_t> returned{0};
  for (uint32_t i = 0; i < kCalls; ++i) {
    spawn(
        scheduler,
        [&] {
          blocking([] {
            const uint32_t now = inside.fetch_add_acq_rel(1) + 1;
            if (now > most_inside.load_relaxed()) most_inside.store_relaxed(now);
            let_go->wait();
            inside.fetch_sub_acq_rel(1);
          });
          returned.fetch_add_acq_rel(1);
        },
        of_class(StackClass::kCompact));
  }
  wait_until([&] { return inside.load_acquire() == BlockingPool::kThreadLimit; });
  wait_until([&] { return scheduler.blocking_pool().pending() == kCalls; });
  CHECK_EQ(scheduler.blocking_pool().threads(), BlockingPool::kThreadLimit);
  CHECK_EQ(returned.load_acquire(), 0u);
  released.arrive();
  finish(scheduler);
  CHECK_EQ(returned.load_acquire(), kCalls);
  CHECK(most_inside.load_relaxed() <= BlockingPool::kThreadLimit);
}

// Pitfall 26: with one OS thread alone nobody can take over, and all goes on nevertheless.
TEST_CASE("blocking calls of standard fibers at the limit of OS threads are made") {
  SchedulerOptions options = with_processors(2);
  options.machine_limit = 2;
  Scheduler scheduler(options);
  Atomic<uint32_t> calls{0};
  for (int i = 0; i < 20; ++i) {
    spawn(scheduler, [&] {
      blocking([] { os::sleep_until(os::now_ns() + 500'000); });
      yield();
      calls.fetch_add_acq_rel(1);
    });
  }
  finish(scheduler);
  CHECK_EQ(calls.load_acquire(), 20u);
  CHECK(stats_of(scheduler).machines <= 2);
}

TEST_CASE("a cancelled compact fiber leaves its blocking call, which goes on without it") {
  if (kSanitized) return;  // there the fiber is a standard one
  Scheduler scheduler(with_processors(1));
  static Countdown* let_go;
  static Atomic<bool> call_ended;
  call_ended.store_relaxed(false);
  Countdown released(1);
  let_go = &released;
  static Countdown* inside;
  Countdown entered(1);
  inside = &entered;
  Atomic<Fiber*> fiber{nullptr};
  Atomic<bool> was_cancelled{false};
  spawn(
      scheduler,
      [&] {
        fiber.store_release(current_fiber());
        try {
          blocking([held = std::make_shared<int>(3)] {
            inside->arrive();
            let_go->wait();
            CHECK_EQ(*held, 3);
            call_ended.store_release(true);
          });
        } catch (const Cancelled&) {
          was_cancelled.store_release(true);
          throw;
        }
      },
      of_class(StackClass::kCompact));
  entered.wait();
  scheduler.cancel(fiber.load_acquire());
  wait_until([&] { return was_cancelled.load_acquire(); });
  CHECK(!call_ended.load_acquire());
  released.arrive();
  wait_until([&] { return call_ended.load_acquire(); });
  finish(scheduler);
}

TEST_CASE("a standard fiber that is cancelled in a blocking call ends at its next wait") {
  Scheduler scheduler(with_processors(1));
  Countdown entered(1);
  Countdown released(1);
  Atomic<Fiber*> fiber{nullptr};
  static Atomic<bool> cancelled;
  cancelled.store_relaxed(false);
  SpawnOptions options;
  options.on_exit = [](Fiber*, ExitStatus status) {
    cancelled.store_release(status == ExitStatus::kCancelled);
  };
  spawn(
      scheduler,
      [&] {
        fiber.store_release(current_fiber());
        blocking([&] {
          entered.arrive();
          released.wait();
        });
        yield();
        CHECK(false);
      },
      options);
  entered.wait();
  scheduler.cancel(fiber.load_acquire());
  released.arrive();
  finish(scheduler);
  CHECK(cancelled.load_acquire());
}

}  // namespace heddle::test
