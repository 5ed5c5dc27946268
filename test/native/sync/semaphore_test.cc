// Semaphore: never more permits out than there are, in the order of arrival.
#include "sync/semaphore.h"

#include "heddle/sync.h"
#include "test/native/sync/sync_support.h"

namespace heddle::test {

TEST_CASE("never more permits are out than there are") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    constexpr uint64_t kPermits = 5;
    const uint32_t rounds = scaled(800, 100);
    Semaphore semaphore(kPermits);
    Atomic<uint64_t> out{0};
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 12; ++i) {
      crew.add(kind_of(i), [&out, semaphore, i, rounds]() mutable {
        for (uint32_t n = 0; n < rounds; ++n) {
          const uint64_t count = 1 + (i + n) % kPermits;
          semaphore.acquire(count);
          CHECK(out.fetch_add_acq_rel(count) + count <= kPermits);
          if (n % 8 == 0) yield();
          out.fetch_sub_acq_rel(count);
          semaphore.release(count);
        }
      });
    }
    crew.join();
    CHECK_EQ(semaphore.core()->available(), kPermits);
    finish(scheduler);
  }
}

TEST_CASE("a try takes permits exactly if they are there") {
  in_every_kind([] {
    Semaphore semaphore(3);
    CHECK(semaphore.try_acquire(2));
    CHECK(!semaphore.try_acquire(2));
    CHECK(semaphore.try_acquire());
    CHECK(!semaphore.try_acquire());
    CHECK(semaphore.try_acquire(0));
    semaphore.release(4);
    CHECK(semaphore.try_acquire(4));
    CHECK_EQ(semaphore.core()->available(), 0u);
  });
}

// Row 71.
TEST_CASE("permits go out in the order of arrival, and few do not overtake many") {
  for (uint32_t processors : {1u, 2u}) {
    Scheduler scheduler(with_processors(processors));
    constexpr uint32_t kWaiters = 9;
    Semaphore semaphore(0);
    Atomic<uint32_t> next{0};
    Crew crew(scheduler);
    for (uint32_t i = 0; i < kWaiters; ++i) {
      crew.add(kind_of(i), [&next, semaphore, i]() mutable {
        semaphore.acquire(kWaiters - i);
        CHECK_EQ(next.load_acquire(), i);
        next.store_release(i + 1);
      });
      await_waits(semaphore.core(), i + 1);
    }
    for (uint32_t i = 0; i < kWaiters; ++i) {
      // All but one of what the first one wants: nobody behind it gets any.
      semaphore.release(kWaiters - i - 1);
      CHECK_EQ(waits_at(semaphore.core()), kWaiters - i);
      CHECK(!semaphore.try_acquire());
      semaphore.release();
      wait_until([&] { return next.load_acquire() == i + 1; });
    }
    CHECK_EQ(semaphore.core()->available(), 0u);
    finish(scheduler);
  }
}

TEST_CASE("one release serves as many as it is enough for") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    Semaphore semaphore(0);
    Crew crew(scheduler);
    for (int i = 0; i < 5; ++i) {
      crew.add(kind, [semaphore]() mutable { semaphore.acquire(2); });
    }
    await_waits(semaphore.core(), 5);
    semaphore.release(9);
    CHECK_EQ(waits_at(semaphore.core()), 1u);
    semaphore.release(1);
    crew.join();
    CHECK_EQ(semaphore.core()->available(), 0u);
    finish(scheduler);
  }
}

// Row 33.
TEST_CASE("whoever comes late does not take the permit of one who was served") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    Semaphore semaphore(0);
    Crew crew(scheduler);
    crew.add(kind, [semaphore]() mutable { semaphore.acquire(); });
    await_waits(semaphore.core(), 1);
    crew.add(Kind::kStandard, [semaphore]() mutable {
      semaphore.release();
      CHECK(!semaphore.try_acquire());
    });
    crew.join();
    CHECK_EQ(semaphore.core()->available(), 0u);
    finish(scheduler);
  }
}

// Row 35.
TEST_CASE("a cancelled waiter takes no permit, and lets those behind it pass") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    Semaphore semaphore(1);
    Target target;
    Crew crew(scheduler);
    crew.add(kFiberKinds[processors % 2], [&target, semaphore]() mutable {
      target.set();
      CHECK(throws_cancelled([&] { semaphore.acquire(10); }));
    });
    await_waits(semaphore.core(), 1);
    crew.add(kind_of(processors), [semaphore]() mutable { semaphore.acquire(); });
    await_waits(semaphore.core(), 2);
    scheduler.cancel(target.await());
    crew.join();
    CHECK_EQ(semaphore.core()->available(), 0u);
    finish(scheduler);
  }
}

// A newcomer finds the one in front gone, and serves the one behind it before it waits itself.
TEST_CASE("whoever comes while the first one is giving up serves the next") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    Semaphore semaphore(1);
    Target target;
    Crew crew(scheduler);
    crew.add(kind, [&target, semaphore]() mutable {
      target.set();
      CHECK(throws_cancelled([&] { semaphore.acquire(10); }));
    });
    await_waits(semaphore.core(), 1);
    crew.add(kind, [semaphore]() mutable { semaphore.acquire(); });
    await_waits(semaphore.core(), 2);
    crew.add(Kind::kStandard, [&, semaphore]() mutable {
      scheduler.cancel(target.await());
      CHECK_EQ(semaphore.core()->acquire(3, os::now_ns() + kMs), WaitStatus::kTimedOut);
      CHECK_EQ(waits_at(semaphore.core()), 0u);
    });
    crew.join();
    CHECK_EQ(semaphore.core()->available(), 0u);
    finish(scheduler);
  }
}

TEST_CASE("impatient waiters neither keep permits nor lose them") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(200, 40);
    Semaphore semaphore(4);
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 12; ++i) {
      crew.add(kind_of(i), [semaphore, i, rounds]() mutable {
        for (uint32_t n = 0; n < rounds; ++n) {
          const uint64_t count = 1 + (i + n) % 4;
          const uint64_t deadline_ns = os::now_ns() + (i * 31 + n * 17) % 40 * 1'000;
          if (semaphore.core()->acquire(count, deadline_ns) != WaitStatus::kDone) continue;
          if (n % 4 == 0) yield();
          semaphore.release(count);
        }
      });
    }
    crew.join();
    CHECK_EQ(semaphore.core()->available(), 4u);
    CHECK_EQ(waits_at(semaphore.core()), 0u);
    finish(scheduler);
  }
}

TEST_CASE("a release that does not fit is refused, and changes nothing") {
  Semaphore semaphore(5);
  CHECK(!semaphore.core()->release_permits(UINT64_MAX));
  CHECK_EQ(semaphore.core()->available(), 5u);
  CHECK(!semaphore.core()->release_permits(SemaphoreCore::kMostPermits - 4));
  CHECK_EQ(semaphore.core()->available(), 5u);
  CHECK(semaphore.core()->release_permits(SemaphoreCore::kMostPermits - 5));
  CHECK_EQ(semaphore.core()->available(), SemaphoreCore::kMostPermits);
  CHECK(semaphore.try_acquire(SemaphoreCore::kMostPermits));
}

}  // namespace heddle::test
