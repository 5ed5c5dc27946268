// Sleeping on a word, and the two sides of the asymmetric fence.
#include <thread>

#include "os/os.h"
#include "test/native/harness.h"

namespace heddle::test {

TEST_CASE("a wait on another value returns at once") {
  Atomic<uint32_t> word{1};
  os::futex_wait(word, 2, os::kNever);
}

TEST_CASE("a wait without a wake ends at its deadline, not before") {
  Atomic<uint32_t> word{1};
  for (uint64_t duration_ns : {0u, 1'000u, 5'000'000u}) {
    const uint64_t deadline_ns = os::now_ns() + duration_ns;
    while (os::now_ns() < deadline_ns) os::futex_wait(word, 1, deadline_ns);
    CHECK(os::now_ns() >= deadline_ns);
  }
  os::futex_wait(word, 1, 0);  // long past
}

// Pitfall 28.
TEST_CASE("a deadline at the end of time is taken, and the wait can be ended") {
  for (uint64_t deadline_ns : {os::kNever, os::kNever - 1, os::kNever / 2}) {
    Atomic<uint32_t> word{0};
    Atomic<bool> waits{false};
    std::thread waiter([&] {
      waits.store_release(true);
      while (word.load_acquire() == 0) os::futex_wait(word, 0, deadline_ns);
    });
    while (!waits.load_acquire()) os::yield_thread();
    os::sleep_until(os::now_ns() + 1'000'000);
    word.store_release(1);
    os::futex_wake(word, 1);
    waiter.join();
  }
}

TEST_CASE("a wake reaches as many as it says") {
  constexpr uint32_t kThreads = 4;
  Atomic<uint32_t> word{0};
  Atomic<uint32_t> woken{0};
  std::thread threads[kThreads];
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      while (word.load_acquire() == 0) os::futex_wait(word, 0, os::kNever);
      woken.fetch_add_acq_rel(1);
    });
  }
  word.store_release(1);
  os::futex_wake(word, INT32_MAX);
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(woken.load_acquire(), kThreads);
  os::futex_wake(word, 1);  // nobody
}

// Each thread writes its own word and reads the other's: at least one must see the other, because
// the heavy fence makes the light one a full barrier.
TEST_CASE("a light and a heavy fence order a store before a load on both sides") {
  os::prepare_heavy_fence();
  constexpr uint32_t kRounds = 2000;
  struct alignas(64) Word {
    Atomic<uint32_t> value{0};
  };
  Word light;
  Word heavy;
  Word begun;
  Word ended;
  Atomic<uint32_t> seen_by_heavy{0};
  std::thread other([&] {
    for (uint32_t round = 1; round <= kRounds; ++round) {
      while (begun.value.load_acquire() < round) os::yield_thread();
      heavy.value.store_relaxed(round);
      fence_heavy();
      seen_by_heavy.store_relaxed(light.value.load_relaxed());
      ended.value.store_release(round);
    }
  });
  for (uint32_t round = 1; round <= kRounds; ++round) {
    begun.value.store_release(round);
    for (uint32_t i = 0; i < round % 128; ++i) spin_hint();
    light.value.store_relaxed(round);
    fence_light();
    const uint32_t seen_by_light = heavy.value.load_relaxed();
    while (ended.value.load_acquire() < round) os::yield_thread();
    CHECK(seen_by_light == round || seen_by_heavy.load_relaxed() == round);
  }
  other.join();
}

}  // namespace heddle::test
