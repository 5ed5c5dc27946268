// Time and chance, as the core sees them.
#include <csignal>
#include <ctime>
#include <set>
#include <thread>

#include <sys/time.h>

#include "os/os.h"
#include "test/native/harness.h"

namespace heddle::test {

TEST_CASE("the clock never goes back, and goes on") {
  const uint64_t began_ns = os::now_ns();
  uint64_t last_ns = began_ns;
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t now_ns = os::now_ns();
    CHECK(now_ns >= last_ns);
    last_ns = now_ns;
  }
  while (os::now_ns() == began_ns) {
  }
}

// Row 47: the clock of the wall may jump, this one is not set by anybody.
TEST_CASE("the clock is the monotonic one") {
  const uint64_t before_ns = os::now_ns();
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  const uint64_t now_ns =
      static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
  CHECK(before_ns <= now_ns);
  CHECK(now_ns <= os::now_ns());
}

TEST_CASE("the CPU time of a thread stands still while it sleeps") {
  const uint64_t before_ns = os::thread_cpu_ns();
  os::sleep_until(os::now_ns() + 30'000'000);
  const uint64_t slept_ns = os::thread_cpu_ns() - before_ns;
  CHECK(slept_ns < 15'000'000);
  const uint64_t busy_from_ns = os::thread_cpu_ns();
  while (os::thread_cpu_ns() == busy_from_ns) {
  }
}

TEST_CASE("the CPU time of a thread can be read by others, until it has ended") {
  Atomic<int32_t> clock{0};
  Atomic<bool> stop{false};
  std::thread worker([&] {
    clock.store_release(os::thread_cpu_clock());
    while (!stop.load_acquire()) spin_hint();
  });
  while (clock.load_acquire() == 0) os::yield_thread();
  const uint64_t before = os::cpu_clock_ns(clock.load_acquire());
  while (os::cpu_clock_ns(clock.load_acquire()) < before + 1'000'000) os::yield_thread();
  stop.store_release(true);
  worker.join();
  // A moment later: a thread is joined before the kernel is done with it.
  const uint64_t limit = os::now_ns() + 5'000'000'000;
  while (os::cpu_clock_ns(clock.load_acquire()) != 0 && os::now_ns() < limit) os::yield_thread();
  CHECK_EQ(os::cpu_clock_ns(clock.load_acquire()), 0u);
}

// Row 41.
TEST_CASE("a sleep ends at its deadline or later, and signals do not shorten it") {
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = [](int) {};
  REQUIRE(sigaction(SIGALRM, &action, &before) == 0);
  const itimerval every_ms{{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &every_ms, nullptr);
  for (uint64_t duration_ns : {0u, 1u, 1'000u, 1'000'000u, 20'000'000u}) {
    const uint64_t deadline_ns = os::now_ns() + duration_ns;
    os::sleep_until(deadline_ns);
    CHECK(os::now_ns() >= deadline_ns);
  }
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  os::sleep_until(0);
}

TEST_CASE("seeds differ") {
  std::set<uint64_t> seeds;
  for (int i = 0; i < 50; ++i) seeds.insert(os::random_seed());
  CHECK_EQ(seeds.size(), 50u);
}

}  // namespace heddle::test
