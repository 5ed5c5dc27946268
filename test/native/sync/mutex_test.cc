// Mutex: one holder at a time, handed on in the order of arrival.
#include "sync/mutex.h"

#include <mutex>

#include "heddle/sync.h"
#include "test/native/sync/sync_support.h"

namespace heddle::test {

TEST_CASE("only one caller at a time holds a mutex, of whatever kind") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(2'000, 200);
    Mutex mutex;
    uint64_t plain = 0;  // a data race that ThreadSanitizer would see
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 9; ++i) {
      crew.add(kind_of(i), [&plain, mutex, rounds]() mutable {
        for (uint32_t n = 0; n < rounds; ++n) {
          const std::lock_guard<Mutex> guard(mutex);
          ++plain;
        }
      });
    }
    crew.join();
    CHECK_EQ(plain, uint64_t{9} * rounds);
    CHECK(!mutex.core()->is_locked());
    finish(scheduler);
  }
}

TEST_CASE("a fiber may park while it holds a mutex, and others wait for it") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(2));
    Mutex mutex;
    bool inside = false;
    Crew crew(scheduler);
    for (int i = 0; i < 10; ++i) {
      crew.add(kind, [&inside, mutex]() mutable {
        const std::lock_guard<Mutex> guard(mutex);
        CHECK(!inside);
        inside = true;
        yield();
        sleep_for(10'000);
        inside = false;
      });
    }
    crew.join();
    finish(scheduler);
  }
}

// Row 31.
TEST_CASE("unlocking what is not locked fails") {
  in_every_kind([] {
    Mutex mutex;
    CHECK_EQ(error_code([&] { mutex.unlock(); }), "ERR_HEDDLE_UNLOCKED");
    mutex.lock();
    CHECK_EQ(error_code([&] { mutex.unlock(); }), "");
    CHECK_EQ(error_code([&] { mutex.unlock(); }), "ERR_HEDDLE_UNLOCKED");
    CHECK(mutex.try_lock());
  });
}

TEST_CASE("a try and a deadline fail while the mutex is held") {
  Scheduler scheduler(with_processors(1));
  Mutex mutex;
  mutex.lock();
  for (Kind kind : kKinds) {
    run_as(scheduler, kind, [mutex]() mutable {
      CHECK(!mutex.try_lock());
      const uint64_t deadline_ns = os::now_ns() + kMs;
      CHECK(!mutex.try_lock_until(deadline_ns));
      CHECK(os::now_ns() >= deadline_ns);
    });
  }
  mutex.unlock();
  for (Kind kind : kKinds) {
    run_as(scheduler, kind, [mutex]() mutable {
      std::unique_lock<Mutex> lock(mutex, std::try_to_lock);
      CHECK(lock.owns_lock());
      lock.unlock();
      CHECK(mutex.try_lock_until(0));
      mutex.unlock();
    });
  }
  finish(scheduler);
}

// Row 71.
TEST_CASE("a mutex is handed on in the order of arrival") {
  for (uint32_t processors : {1u, 2u}) {
    Scheduler scheduler(with_processors(processors));
    constexpr uint32_t kWaiters = 12;
    Mutex mutex;
    uint32_t next = 0;
    mutex.lock();
    Crew crew(scheduler);
    for (uint32_t i = 0; i < kWaiters; ++i) {
      crew.add(kind_of(i), [&next, mutex, i]() mutable {
        const std::lock_guard<Mutex> guard(mutex);
        CHECK_EQ(next++, i);
      });
      await_waits(mutex.core(), i + 1);
    }
    mutex.unlock();
    crew.join();
    CHECK_EQ(next, kWaiters);
    finish(scheduler);
  }
}

// Row 33.
TEST_CASE("whoever comes late does not take a mutex from the one it was handed to") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    Mutex mutex;
    mutex.lock();
    Crew crew(scheduler);
    crew.add(kind, [mutex]() mutable {
      mutex.lock();
      mutex.unlock();
    });
    await_waits(mutex.core(), 1);
    crew.add(Kind::kStandard, [mutex]() mutable {
      mutex.unlock();
      CHECK(!mutex.try_lock());  // the new holder has not even gone on yet
    });
    crew.join();
    CHECK(mutex.try_lock());
    finish(scheduler);
  }
}

// Row 31: a hog that gives the mutex back for no longer than it takes to ask for it again.
TEST_CASE("a waiter gets its turn beside a hog") {
  for (uint32_t mix = 0; mix < 9; ++mix) {
    Scheduler scheduler(with_processors(2));
    Mutex mutex;
    Atomic<bool> is_enough{false};
    Crew crew(scheduler);
    crew.add(kind_of(mix), [mutex, &is_enough]() mutable {
      while (!is_enough.load_acquire()) {
        const std::lock_guard<Mutex> guard(mutex);
        for (int i = 0; i < 1'000; ++i) spin_hint();
      }
    });
    crew.add(kind_of(mix / 3), [mutex, &is_enough]() mutable {
      for (int i = 0; i < 10; ++i) {
        sleep_for(100'000);
        const uint64_t began_ns = os::now_ns();
        mutex.lock();
        CHECK(os::now_ns() < began_ns + 1'000 * kMs);
        mutex.unlock();
      }
      is_enough.store_release(true);
    });
    crew.join();
    finish(scheduler);
  }
}

// Row 35.
TEST_CASE("a waiter that is cancelled passes nothing on, and the next one gets the mutex") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    Mutex mutex;
    mutex.lock();
    Target target;
    Crew crew(scheduler);
    crew.add(kFiberKinds[processors % 2], [&target, mutex]() mutable {
      target.set();
      CHECK(throws_cancelled([&] { mutex.lock(); }));
    });
    await_waits(mutex.core(), 1);
    crew.add(kind_of(processors), [mutex]() mutable {
      mutex.lock();
      mutex.unlock();
    });
    await_waits(mutex.core(), 2);
    scheduler.cancel(target.await());
    await_waits(mutex.core(), 1);
    CHECK(!mutex.try_lock());
    mutex.unlock();
    crew.join();
    CHECK(mutex.try_lock());
    finish(scheduler);
  }
}

TEST_CASE("cancelled and impatient waiters neither keep a mutex nor lose it") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t fibers = scaled(200, 40);
    Mutex mutex;
    uint64_t plain = 0;
    Atomic<uint64_t> locked{0};
    std::vector<Target> targets(fibers);
    Crew crew(scheduler);
    for (uint32_t i = 0; i < fibers; ++i) {
      crew.add(kFiberKinds[i % 2], [&, mutex, i]() mutable {
        targets[i].set();
        CHECK(throws_cancelled([&] {
          for (;;) {
            if (mutex.core()->lock_for(os::now_ns() + i * 1'000) != WaitStatus::kDone) continue;
            ++plain;
            locked.fetch_add_relaxed(1);
            mutex.unlock();
          }
        }));
      });
    }
    for (const Target& each : targets) scheduler.cancel(each.await());
    crew.join();
    CHECK_EQ(plain, locked.load_acquire());
    CHECK(mutex.try_lock());
    finish(scheduler);
  }
}

TEST_CASE("a mutex may be unlocked on another thread than it was locked on, and stays poisoned") {
  Scheduler scheduler(with_processors(1));
  Mutex mutex;
  mutex.lock();
  CHECK(!mutex.core()->is_poisoned());
  mutex.core()->poison();
  run_as(scheduler, Kind::kCompact, [mutex]() mutable { mutex.unlock(); });
  CHECK(mutex.try_lock());
  CHECK(mutex.core()->is_poisoned());
  finish(scheduler);
}

}  // namespace heddle::test
