// The sleeping place of the one idle machine that watches descriptors.
#include <sys/resource.h>

#include <cerrno>
#include <thread>

#include "os/os.h"
#include "test/native/harness.h"

namespace heddle::test {

namespace {
uint32_t wait_for(os::Poller& poller, uint64_t deadline_ns) {
  os::PollEvent event;
  return poller.wait(deadline_ns, &event, 1);
}
}  // namespace

TEST_CASE("a wake before the wait is not lost") {
  os::Poller poller;
  REQUIRE(poller.open() == 0);
  poller.wake();
  poller.wake();
  wait_for(poller, os::kNever);
  poller.close();
}

TEST_CASE("a wait without a wake ends at its deadline, not before") {
  os::Poller poller;
  REQUIRE(poller.open() == 0);
  for (uint64_t duration_ns : {0u, 1'000u, 3'000'000u}) {
    const uint64_t deadline_ns = os::now_ns() + duration_ns;
    wait_for(poller, deadline_ns);
    CHECK(os::now_ns() >= deadline_ns);
  }
  wait_for(poller, 0);  // long past
  // What has been consumed does not end the next wait.
  poller.wake();
  wait_for(poller, os::kNever);
  const uint64_t deadline_ns = os::now_ns() + 2'000'000;
  wait_for(poller, deadline_ns);
  CHECK(os::now_ns() >= deadline_ns);
  poller.close();
}

TEST_CASE("a thread that waits without end, or for centuries, is woken by another") {
  os::Poller poller;
  REQUIRE(poller.open() == 0);
  for (uint64_t deadline_ns : {os::kNever, os::kNever - 1, os::kNever / 2}) {
    Atomic<bool> waits{false};
    std::thread waiter([&] {
      waits.store_release(true);
      wait_for(poller, deadline_ns);
    });
    while (!waits.load_acquire()) os::yield_thread();
    os::sleep_until(os::now_ns() + 500'000);
    poller.wake();
    waiter.join();
  }
  poller.close();
}

TEST_CASE("every one of many wakes is answered") {
  os::Poller poller;
  REQUIRE(poller.open() == 0);
  constexpr uint32_t kRounds = 2000;
  Atomic<uint32_t> sent{0};
  Atomic<uint32_t> answered{0};
  std::thread waiter([&] {
    while (answered.load_relaxed() < kRounds) {
      wait_for(poller, os::kNever);
      answered.store_release(sent.load_acquire());
    }
  });
  for (uint32_t i = 1; i <= kRounds; ++i) {
    sent.store_release(i);
    poller.wake();
    while (answered.load_acquire() < i) os::yield_thread();
  }
  waiter.join();
  poller.close();
}

// Pitfall 26.
TEST_CASE("a poller without descriptors left is an error, and can be opened later") {
  rlimit limit;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit none{0, limit.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  os::Poller poller;
  const int error = poller.open();
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK_EQ(error, EMFILE);
  CHECK_EQ(poller.open(), 0);
  poller.close();
  poller.close();
}

}  // namespace heddle::test
