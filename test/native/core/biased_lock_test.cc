// The lock that favours the one machine which uses it alone: still a lock when others come.
#include "core/biased_lock.h"

#include <thread>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

constexpr uint32_t kEnough = 200;  // times in a row, for a machine to be favoured

// On threads that stand for machines; all of them start when the favour is established.
template <typename F>
void with_favoured_thread(uint32_t others, F body) {
  Countdown favoured(1);
  BiasedLock lock(LockRank::kWaitable);
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (uint32_t i = 0; i < kEnough; ++i) {
      lock.lock(1);
      lock.unlock();
    }
    favoured.arrive();
    body(lock, 1);
  });
  for (uint32_t i = 0; i < others; ++i) {
    threads.emplace_back([&, who = i == 0 ? 0 : i + 1] {
      favoured.wait();
      body(lock, who);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("a favoured machine and those that come later exclude each other") {
  const uint32_t rounds = scaled(3'000, 300);
  const uint32_t times = scaled(60, 20);  // the favour ends once for each lock
  for (uint32_t n = 0; n < times; ++n) {
    uint64_t plain = 0;  // a data race that ThreadSanitizer would see
    const uint32_t others = 1 + n % 3;
    with_favoured_thread(others, [&](BiasedLock& lock, uint32_t who) {
      for (uint32_t i = 0; i < rounds; ++i) {
        lock.lock(who);
        ++plain;
        lock.unlock();
      }
    });
    CHECK_EQ(plain, uint64_t{others + 1} * rounds);
  }
}

TEST_CASE("the first one that comes waits until the favoured machine is outside") {
  for (uint32_t n = 0; n < scaled(300, 60); ++n) {
    Atomic<uint32_t> inside{0};
    Countdown is_inside(1);
    with_favoured_thread(2, [&](BiasedLock& lock, uint32_t who) {
      if (who != 1) is_inside.wait();
      lock.lock(who);
      CHECK_EQ(inside.fetch_add_acq_rel(1), 0u);
      if (who == 1) {
        is_inside.arrive();
        for (uint32_t i = 0; i < n % 50 * 20; ++i) spin_hint();
      }
      CHECK_EQ(inside.fetch_sub_acq_rel(1), 1u);
      lock.unlock();
    });
  }
}

TEST_CASE("machines that take turns exclude each other without a favour") {
  const uint32_t rounds = scaled(20'000, 2'000);
  BiasedLock lock(LockRank::kWaitable);
  uint64_t plain = 0;
  std::vector<std::thread> threads;
  for (uint32_t who = 0; who < 4; ++who) {
    threads.emplace_back([&, who] {
      for (uint32_t i = 0; i < rounds; ++i) {
        lock.lock(who);
        ++plain;
        lock.unlock();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(plain, uint64_t{4} * rounds);
}

TEST_CASE("a thread that is no machine never becomes the favoured one") {
  BiasedLock lock(LockRank::kWaitable);
  uint64_t plain = 0;
  for (int round = 0; round < 2; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {  // both call themselves 0
      threads.emplace_back([&] {
        for (uint32_t n = 0; n < 2 * kEnough; ++n) {
          lock.lock(0);
          ++plain;
          lock.unlock();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  CHECK_EQ(plain, uint64_t{8} * kEnough);
}

}  // namespace heddle::test
