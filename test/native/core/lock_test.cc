// The runtime's own mutex, and the order in which its locks may be taken.
#include "core/lock.h"

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {

TEST_CASE("only one thread at a time is inside a lock") {
  constexpr int kThreads = 4;
  const int rounds = static_cast<int>(scaled(20'000, 2'000));
  Lock lock(LockRank::kLeaf);
  uint64_t plain = 0;  // a data race that ThreadSanitizer would see
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < rounds; ++i) {
        LockGuard guard(lock);
        ++plain;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(plain, static_cast<uint64_t>(kThreads) * static_cast<uint64_t>(rounds));
}

TEST_CASE("a thread that sleeps for a lock is woken by the unlock") {
  Lock lock(LockRank::kLeaf);
  lock.lock();
  Countdown got(1);
  std::thread waiter([&] {
    LockGuard guard(lock);
    got.arrive();
  });
  os::sleep_until(os::now_ns() + 5'000'000);  // long enough to have stopped spinning
  CHECK_EQ(got.left(), 1u);
  lock.unlock();
  got.wait();
  waiter.join();
}

TEST_CASE("a try fails while the lock is held, and holds it otherwise") {
  Lock lock(LockRank::kLeaf);
  CHECK(lock.try_lock());
  std::thread([&] { CHECK(!lock.try_lock()); }).join();
  lock.unlock();
  std::thread([&] {
    CHECK(lock.try_lock());
    lock.unlock();
  }).join();
}

TEST_CASE("locks may be taken in the order of their ranks, and again when released") {
  Lock low(LockRank::kScheduler);
  Lock middle(LockRank::kGlobalQueue);
  Lock high(LockRank::kLeaf);
  for (int i = 0; i < 3; ++i) {
    LockGuard first(low);
    {
      LockGuard third(high);
    }
    LockGuard second(middle);
    LockGuard third(high);
  }
  check_no_lock_held("a test");
}

CHILD_CASE("takes a lower lock while it holds a higher one") {
  Lock low(LockRank::kScheduler);
  Lock high(LockRank::kStackPool);
  LockGuard first(high);
  LockGuard second(low);
}

CHILD_CASE("takes two locks of the same rank") {
  Lock one(LockRank::kStackPool);
  Lock two(LockRank::kStackPool);
  LockGuard first(one);
  LockGuard second(two);
}

CHILD_CASE("tries a lower lock while it holds a higher one") {
  Lock low(LockRank::kScheduler);
  Lock high(LockRank::kStackPool);
  LockGuard first(high);
  if (low.try_lock()) low.unlock();
}

CHILD_CASE("parks while it holds a lock") {
  Scheduler scheduler(with_processors(1));
  static Lock lock(LockRank::kLeaf);
  Countdown never(1);
  spawn(scheduler, [] {
    LockGuard guard(lock);
    yield();
  });
  never.wait();
}

// Pitfall 12.
TEST_CASE("a lock out of order ends a test build by name") {
  for (const char* name :
       {"takes a lower lock while it holds a higher one", "takes two locks of the same rank",
        "tries a lower lock while it holds a higher one"}) {
    const ChildResult child = run_child(name);
    CHECK_EQ(child.signal, SIGABRT);
    CHECK(child.output.find("broken invariant: lock order") != std::string::npos);
  }
}

TEST_CASE("a park with a lock held ends a test build by name") {
  const ChildResult child = run_child("parks while it holds a lock");
  CHECK_EQ(child.signal, SIGABRT);
  CHECK(child.output.find("parks while it holds a lock of the runtime") != std::string::npos);
}

}  // namespace heddle::test
