// RwMutex: readers together, writers alone, neither starved.
#include "sync/rw_mutex.h"

#include <mutex>
#include <shared_mutex>

#include "heddle/sync.h"
#include "test/native/sync/sync_support.h"

namespace heddle::test {
namespace {

enum class Role : uint8_t { kReader, kWriter };

// Waits in the mutex as that, and leaves it at once.
auto passing(RwMutex mutex, Role role) {
  return [mutex, role]() mutable {
    if (role == Role::kReader) {
      const std::shared_lock<RwMutex> lock(mutex);
    } else {
      const std::unique_lock<RwMutex> lock(mutex);
    }
  };
}

}  // namespace

// Row 32.
TEST_CASE("readers are inside together") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    RwMutex mutex;
    Countdown inside(6);
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 6; ++i) {
      crew.add(kind_of(i), [&inside, mutex]() mutable {
        const std::shared_lock<RwMutex> lock(mutex);
        inside.arrive();
        while (inside.left() != 0) sleep_for(50'000);
      });
    }
    crew.join();
    CHECK(mutex.try_lock());
    finish(scheduler);
  }
}

// Row 32.
TEST_CASE("a writer is alone, at any number of readers and writers") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(600, 80);
    RwMutex mutex;
    uint64_t plain = 0;
    Atomic<int32_t> readers{0};
    Atomic<int32_t> writers{0};
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 12; ++i) {
      crew.add(kind_of(i), [&, mutex, i, rounds]() mutable {
        for (uint32_t n = 0; n < rounds; ++n) {
          if ((n + i) % 4 == 0) {
            const std::unique_lock<RwMutex> lock(mutex);
            CHECK_EQ(writers.fetch_add_relaxed(1), 0);
            CHECK_EQ(readers.load_relaxed(), 0);
            ++plain;
            if (n % 8 == 0) yield();
            writers.fetch_sub_acq_rel(1);
          } else {
            const std::shared_lock<RwMutex> lock(mutex);
            readers.fetch_add_relaxed(1);
            CHECK_EQ(writers.load_relaxed(), 0);
            CHECK(plain <= uint64_t{12} * rounds);
            if (n % 8 == 0) yield();
            readers.fetch_sub_acq_rel(1);
          }
        }
      });
    }
    crew.join();
    CHECK_EQ(plain, uint64_t{12} * rounds / 4);
    finish(scheduler);
  }
}

// Row 32.
TEST_CASE("readers that overlap without end do not starve a writer") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    RwMutex mutex;
    Atomic<bool> has_written{false};
    Atomic<uint32_t> inside{0};
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 3; ++i) {
      crew.add(kind_of(i), [&, mutex]() mutable {
        while (!has_written.load_acquire()) {
          mutex.lock_shared();
          inside.fetch_add_acq_rel(1);
          // Leaves when another reader is inside, unless a writer keeps that one out.
          yield_until([&] {
            return inside.load_acquire() > 1 || waits_at(mutex.core()) > 0 ||
                   has_written.load_acquire();
          });
          inside.fetch_sub_acq_rel(1);
          mutex.unlock_shared();
        }
      });
    }
    crew.add(kind, [&, mutex]() mutable {
      for (int i = 0; i < 20; ++i) {
        mutex.lock();
        CHECK_EQ(inside.load_acquire(), 0u);
        mutex.unlock();
      }
      has_written.store_release(true);
    });
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("a reader that comes after a waiting writer waits behind it, a try does not overtake") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    RwMutex mutex;
    mutex.lock_shared();
    CHECK(mutex.try_lock_shared());
    CHECK(!mutex.try_lock());
    Crew crew(scheduler);
    crew.add(kind, passing(mutex, Role::kWriter));
    await_waits(mutex.core(), 1);
    CHECK(!mutex.try_lock_shared());
    crew.add(kind, passing(mutex, Role::kReader));
    await_waits(mutex.core(), 2);
    mutex.unlock_shared();
    CHECK_EQ(waits_at(mutex.core()), 2u);  // one reader is still inside
    mutex.unlock_shared();
    crew.join();
    CHECK(mutex.try_lock());
    finish(scheduler);
  }
}

// Row 71.
TEST_CASE("readers and writers enter in the order of arrival, neighbouring readers together") {
  Scheduler scheduler(with_processors(2));
  RwMutex mutex;
  mutex.lock();
  // 0 and 1 read, 2 writes, 3 and 4 read, 5 writes ...
  constexpr uint32_t kWaiters = 12;
  Atomic<uint32_t> entered{0};
  Crew crew(scheduler);
  for (uint32_t i = 0; i < kWaiters; ++i) {
    crew.add(kind_of(i), [&, mutex, i]() mutable {
      const bool reads = i % 3 != 2;
      reads ? mutex.lock_shared() : mutex.lock();
      const uint32_t place = entered.fetch_add_acq_rel(1);
      CHECK_EQ(place / 3, i / 3);
      if (reads) {
        CHECK(place % 3 != 2);
        while (entered.load_acquire() < i / 3 * 3 + 2) sleep_for(50'000);  // its neighbour
        mutex.unlock_shared();
      } else {
        CHECK_EQ(place, i);
        mutex.unlock();
      }
    });
    await_waits(mutex.core(), i + 1);
  }
  mutex.unlock();
  crew.join();
  finish(scheduler);
}

TEST_CASE("readers behind a writer that gives up enter at once") {
  for (bool is_cancelled : {false, true}) {
    for (Kind kind : kFiberKinds) {
      Scheduler scheduler(with_processors(2));
      RwMutex mutex;
      mutex.lock_shared();
      Target target;
      Atomic<uint64_t> deadline_ns{os::kNever};
      Crew crew(scheduler);
      if (!is_cancelled) deadline_ns.store_relaxed(os::now_ns() + 20 * kMs);
      crew.add(kind, [&, mutex] {
        target.set();
        WaitStatus status = WaitStatus::kDone;
        const bool thrown = throws_cancelled(
            [&] { status = mutex.core()->lock_write(deadline_ns.load_relaxed()); });
        CHECK_EQ(thrown, is_cancelled);
        if (!thrown) CHECK_EQ(status, WaitStatus::kTimedOut);
      });
      if (is_cancelled) await_waits(mutex.core(), 1);
      for (uint32_t i = 0; i < 3; ++i) crew.add(kind_of(i), passing(mutex, Role::kReader));
      if (is_cancelled) {
        await_waits(mutex.core(), 4);
        scheduler.cancel(target.await());
      }
      crew.join();  // the first reader is inside all the time
      mutex.unlock_shared();
      CHECK(mutex.try_lock());
      finish(scheduler);
    }
  }
}

TEST_CASE("readers that come while a writer in front gives up enter behind it") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    RwMutex mutex;
    mutex.lock_shared();
    Target target;
    Crew crew(scheduler);
    crew.add(kind, [&target, mutex]() mutable {
      target.set();
      CHECK(throws_cancelled([&] { mutex.lock(); }));
    });
    await_waits(mutex.core(), 1);
    crew.add(kind, passing(mutex, Role::kReader));
    await_waits(mutex.core(), 2);
    crew.add(Kind::kStandard, [&, mutex]() mutable {
      scheduler.cancel(target.await());
      mutex.lock_shared();  // the writer is still the first in the queue
      mutex.unlock_shared();
    });
    crew.join();
    mutex.unlock_shared();
    CHECK(mutex.try_lock());
    finish(scheduler);
  }
}

TEST_CASE("unlocking what is not held that way fails, and changes nothing") {
  in_every_kind([] {
    RwMutex mutex;
    CHECK_EQ(error_code([&] { mutex.unlock(); }), "ERR_HEDDLE_UNLOCKED");
    CHECK_EQ(error_code([&] { mutex.unlock_shared(); }), "ERR_HEDDLE_UNLOCKED");
    mutex.lock();
    CHECK_EQ(error_code([&] { mutex.unlock_shared(); }), "ERR_HEDDLE_UNLOCKED");
    CHECK(!mutex.try_lock_shared());
    mutex.unlock();
    mutex.lock_shared();
    CHECK_EQ(error_code([&] { mutex.unlock(); }), "ERR_HEDDLE_UNLOCKED");
    CHECK(!mutex.try_lock());
    mutex.unlock_shared();
    CHECK(mutex.try_lock());
    CHECK(!mutex.core()->is_poisoned());
    mutex.core()->poison();
    CHECK(mutex.core()->is_poisoned());
  });
}

TEST_CASE("readers and writers that give up at any moment leave the mutex free") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(150, 30);
    RwMutex mutex;
    uint64_t plain = 0;
    Atomic<uint64_t> written{0};
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 12; ++i) {
      crew.add(kind_of(i), [&, mutex, i, rounds]() mutable {
        for (uint32_t n = 0; n < rounds; ++n) {
          const uint64_t deadline_ns = os::now_ns() + (i * 31 + n * 17) % 40 * 1'000;
          if ((i + n) % 3 == 0) {
            if (mutex.core()->lock_write(deadline_ns) != WaitStatus::kDone) continue;
            ++plain;
            written.fetch_add_relaxed(1);
            if (n % 4 == 0) yield();
            mutex.unlock();
          } else {
            if (mutex.core()->lock_read(deadline_ns) != WaitStatus::kDone) continue;
            if (n % 4 == 0) yield();
            mutex.unlock_shared();
          }
        }
      });
    }
    crew.join();
    CHECK_EQ(plain, written.load_acquire());
    CHECK_EQ(waits_at(mutex.core()), 0u);
    CHECK(mutex.try_lock());
    finish(scheduler);
  }
}

}  // namespace heddle::test
