// Once: one run, which all others wait for.
#include "sync/once.h"

#include <stdexcept>

#include "heddle/sync.h"
#include "test/native/sync/sync_support.h"

namespace heddle::test {

TEST_CASE("of many calls one runs, and the others return when it has") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    for (uint32_t round = 0; round < scaled(60, 15); ++round) {
      Once once;
      uint32_t plain = 0;
      Crew crew(scheduler);
      for (uint32_t i = 0; i < 9; ++i) {
        crew.add(kind_of(i), [&plain, once]() mutable {
          once.call([&plain] {
            yield();
            ++plain;
          });
          CHECK_EQ(plain, 1u);
          once.call([] { CHECK(false); });
        });
      }
      crew.join();
      CHECK(once.core()->has_run());
    }
    finish(scheduler);
  }
}

// Row 34.
TEST_CASE("a call that fails counts as the run, for those who wait as well") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    Once once;
    Countdown may_fail(1);
    Crew crew(scheduler);
    crew.add(kind, [&may_fail, once]() mutable {
      bool has_failed = false;
      try {
        once.call([&may_fail] {
          while (may_fail.left() != 0) yield();
          throw std::runtime_error("the run");
        });
      } catch (const std::runtime_error& error) {
        has_failed = std::string(error.what()) == "the run";
      }
      CHECK(has_failed);
    });
    wait_until([&] { return !once.core()->is_ready_locked(0, Cell{}); });
    CHECK(!once.core()->has_run());
    for (Kind other : kKinds) {
      crew.add(other, [once]() mutable { once.call([] { CHECK(false); }); });
    }
    await_waits(once.core(), 3);
    may_fail.arrive();
    crew.join();
    CHECK(once.core()->has_run());
    once.call([] { CHECK(false); });
    finish(scheduler);
  }
}

TEST_CASE("a run that is cancelled counts as the run, a wait that is cancelled does not") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(2));
    Once once;
    Target runs;
    Target waits;
    Crew crew(scheduler);
    crew.add(kind, [&runs, once]() mutable {
      CHECK(throws_cancelled([&] {
        once.call([&runs] {
          runs.set();
          sleep_for(os::kNever);
        });
      }));
    });
    Fiber* const runner = runs.await();
    crew.add(kind, [&waits, once]() mutable {
      waits.set();
      CHECK(throws_cancelled([&] { once.call([] { CHECK(false); }); }));
    });
    await_waits(once.core(), 1);
    scheduler.cancel(waits.await());
    await_waits(once.core(), 0);
    CHECK(!once.core()->has_run());
    scheduler.cancel(runner);
    crew.join();
    CHECK(once.core()->has_run());
    finish(scheduler);
  }
}

}  // namespace heddle::test
