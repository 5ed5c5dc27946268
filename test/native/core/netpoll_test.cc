// Fibers that wait for descriptors: nobody is forgotten, woken twice, or woken for another's.
#include "core/netpoll.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/native/harness.h"
#include "test/native/runtime_support.h"

namespace heddle::test {

namespace {

// Two ends of a stream, both watched.
struct Pair {
  int files[2] = {-1, -1};
  PollDescriptor* ends[2] = {};
  Pair() {
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, files) == 0);
    for (int i = 0; i < 2; ++i) REQUIRE(watch(files[i], &ends[i]) == 0);
  }
  ~Pair() {
    for (int i = 0; i < 2; ++i) {
      unwatch(files[i], ends[i]);
      close(files[i]);
    }
  }
  void put(int end, char byte) const { REQUIRE(write(files[end], &byte, 1) == 1); }
  // Waits as callers do: a wait may end although there is nothing yet.
  char get(int end) const {
    for (char byte;;) {
      forget_edge(ends[end], Direction::kRead);
      if (read(files[end], &byte, 1) == 1) return byte;
      CHECK_EQ(errno, EAGAIN);
      CHECK(wait_ready(ends[end], Direction::kRead, os::kNever) == PollStatus::kReady);
    }
  }
};

}  // namespace

TEST_CASE("a fiber that waits for bytes goes on when they come") {
  for (uint32_t processors : {1u, 2u, 4u}) {
    Scheduler scheduler(with_processors(processors));
    const Pair pair;
    Atomic<int> got{0};
    spawn(scheduler, [&] { got.store_release(pair.get(0)); });
    wait_until([&] { return stats_of(scheduler).parked == 1; });
    pair.put(1, 'x');
    finish(scheduler);
    CHECK_EQ(got.load_acquire(), static_cast<int>('x'));
  }
}

TEST_CASE("bytes go to and fro between fibers, none lost") {
  constexpr int kRounds = kSanitized ? 500 : 5'000;
  for (uint32_t processors : {1u, 2u, 4u}) {
    Scheduler scheduler(with_processors(processors));
    constexpr int kPairs = 20;
    const Pair pairs[kPairs];
    Atomic<uint32_t> echoed{0};
    for (const Pair& pair : pairs) {
      spawn(scheduler, [&pair] {
        for (int i = 0; i < kRounds; ++i) pair.put(0, pair.get(0));
      });
      spawn(scheduler, [&pair, &echoed] {
        for (int i = 0; i < kRounds; ++i) {
          pair.put(1, static_cast<char>(i));
          if (pair.get(1) == static_cast<char>(i)) echoed.fetch_add_relaxed(1);
        }
      });
    }
    finish(scheduler);
    CHECK_EQ(echoed.load_acquire(), static_cast<uint32_t>(kPairs * kRounds));
    CHECK(stats_of(scheduler).poll_events != 0);
  }
}

TEST_CASE("a deadline ends a wait, and what comes later is not lost") {
  Scheduler scheduler(with_processors(2));
  const Pair pair;
  spawn(scheduler, [&] {
    for (int i = 0; i < 20; ++i) {
      const uint64_t deadline_ns = os::now_ns() + 1'000'000;
      forget_edge(pair.ends[0], Direction::kRead);
      while (wait_ready(pair.ends[0], Direction::kRead, deadline_ns) == PollStatus::kReady) {
      }
      CHECK(os::now_ns() >= deadline_ns);
      pair.put(1, static_cast<char>('a' + i));
      CHECK_EQ(pair.get(0), static_cast<char>('a' + i));
    }
  });
  finish(scheduler);
}

TEST_CASE("an eviction ends waits of both sides, now and later") {
  Scheduler scheduler(with_processors(2));
  const Pair pair;
  char full[4096] = {};
  while (write(pair.files[0], full, sizeof full) > 0) {
  }
  Atomic<uint32_t> ended{0};
  for (Direction direction : {Direction::kRead, Direction::kWrite}) {
    spawn(scheduler, [&, direction] {
      forget_edge(pair.ends[0], direction);
      while (wait_ready(pair.ends[0], direction, os::kNever) != PollStatus::kClosed) {
      }
      ended.fetch_add_acq_rel(1);
      CHECK(wait_ready(pair.ends[0], direction, os::kNever) == PollStatus::kClosed);
    });
  }
  wait_until([&] { return stats_of(scheduler).parked >= 2; });
  CHECK_EQ(ended.load_acquire(), 0u);
  evict(pair.ends[0]);
  finish(scheduler);
  CHECK_EQ(ended.load_acquire(), 2u);
}

TEST_CASE("a cancelled fiber leaves its wait, and the next one gets the bytes") {
  Scheduler scheduler(with_processors(2));
  const Pair pair;
  SpawnError error = SpawnError::kNone;
  struct Payload {
    const Pair* pair;
  } payload{&pair};
  Fiber* const fiber = scheduler.spawn(
      {},
      [](Fiber* self) {
        Payload given;
        std::memcpy(&given, self->payload, sizeof given);
        given.pair->get(0);
      },
      &payload, sizeof payload, &error);
  REQUIRE(fiber != nullptr);
  wait_until([&] { return stats_of(scheduler).parked == 1; });
  scheduler.cancel(fiber);
  wait_until([&] { return stats_of(scheduler).exited == 1; });
  Atomic<int> got{0};
  spawn(scheduler, [&] { got.store_release(pair.get(0)); });
  pair.put(1, 'y');
  finish(scheduler);
  CHECK_EQ(got.load_acquire(), static_cast<int>('y'));
}

TEST_CASE("events come while every processor computes") {
  Scheduler scheduler(with_processors(1));
  const Pair pair;
  Atomic<bool> is_done{false};
  spawn(scheduler, [&] {
    while (!is_done.load_acquire()) checkpoint();
  });
  spawn(scheduler, [&] {
    CHECK_EQ(pair.get(0), 'z');
    is_done.store_release(true);
  });
  wait_until([&] { return stats_of(scheduler).parked == 1; });
  pair.put(1, 'z');
  finish(scheduler);
}

TEST_CASE("events come while the only processor is in a blocking call") {
  Scheduler scheduler(with_processors(1));
  const Pair pair;
  Atomic<bool> is_done{false};
  spawn(scheduler, [&] {
    CHECK_EQ(pair.get(0), 'b');
    is_done.store_release(true);
  });
  wait_until([&] { return stats_of(scheduler).parked == 1; });
  spawn(scheduler, [&] {
    const BlockingScope blocked;
    pair.put(1, 'b');
    while (!is_done.load_acquire()) os::yield_thread();
  });
  finish(scheduler);
}

TEST_CASE("a descriptor that is used again never gets an event of its former life") {
  Scheduler scheduler(with_processors(2));
  for (int round = 0; round < 200; ++round) {
    uint64_t former;
    uint32_t index;
    {
      const Pair pair;
      index = pair.ends[0]->index;
      former = uint64_t{pair.ends[0]->sequence.load_relaxed()} << 32 | index;
    }
    const Pair pair;
    Fiber* woken[2];
    CHECK_EQ(take_woken(os::PollEvent{former, true, true, true}, woken), 0u);
    for (const PollDescriptor* end : pair.ends) CHECK(!end->is_hung_up.load_relaxed());
  }
}

TEST_CASE("a file that cannot be polled is refused by number, and nothing is kept") {
  Scheduler scheduler(with_processors(1));
  PollDescriptor* descriptor = nullptr;
  CHECK_EQ(watch(-1, &descriptor), EBADF);
  const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  CHECK_EQ(watch(file, &descriptor), EPERM);
  close(file);
  CHECK(descriptor == nullptr);
}

}  // namespace heddle::test
