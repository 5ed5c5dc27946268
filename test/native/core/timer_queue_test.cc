// The deadlines of one processor.
#include "core/timer_queue.h"

#include <algorithm>
#include <random>
#include <thread>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

// Waiters in waits of their own; ending a wait kills the entry.
std::vector<Waiter> make_waiters(size_t count) {
  std::vector<Waiter> waiters(count);
  for (Waiter& waiter : waiters) waiter.begin_wait();
  return waiters;
}

TimerEntry entry_of(Waiter& waiter, uint64_t deadline_ns) {
  return TimerEntry{deadline_ns, &waiter, waiter.epoch()};
}

std::vector<uint64_t> pop_all(TimerQueue& queue, uint64_t now_ns) {
  std::vector<uint64_t> deadlines;
  TimerEntry entry;
  while (queue.pop_due(now_ns, &entry)) deadlines.push_back(entry.deadline_ns);
  return deadlines;
}

}  // namespace

// Row 42.
TEST_CASE("entries leave in the order of their deadlines") {
  std::mt19937_64 random(42);
  for (size_t count : {1, 2, 3, 5, 64, 65, 1000, 5000}) {
    std::vector<Waiter> waiters = make_waiters(count);
    TimerQueue queue;
    std::vector<uint64_t> expected;
    for (Waiter& waiter : waiters) {
      expected.push_back(random() % 1000);  // many are equal
      queue.arm(entry_of(waiter, expected.back()));
      CHECK_EQ(queue.next_deadline_ns(), *std::min_element(expected.begin(), expected.end()));
    }
    std::sort(expected.begin(), expected.end());
    CHECK(pop_all(queue, 1000) == expected);
    CHECK_EQ(queue.size(), 0u);
    CHECK_EQ(queue.next_deadline_ns(), os::kNever);
  }
}

// Few durations keep to lanes, many spill into the heap; both at once, with some that never end.
TEST_CASE("entries of many durations leave in order while others come") {
  std::mt19937_64 random(43);
  for (uint64_t durations : {1, 3, 6, 40}) {
    std::vector<Waiter> waiters = make_waiters(4000);
    TimerQueue queue;
    size_t left = 0;
    uint64_t now_ns = 0;
    for (Waiter& waiter : waiters) {
      now_ns += 10;
      const uint64_t duration = 1 + random() % durations;
      queue.arm(entry_of(waiter, now_ns + duration * duration * 1000));
      ++left;
      if (random() % 4 == 0) {
        CHECK(waiter.claim(waiter.epoch()));
        queue.note_dead();
        --left;
      }
      const std::vector<uint64_t> due = pop_all(queue, now_ns);
      CHECK(std::is_sorted(due.begin(), due.end()));
      CHECK(due.empty() || due.front() > now_ns - 10);
      CHECK(queue.next_deadline_ns() > now_ns);
      left -= due.size();
      CHECK(queue.size() <= 2 * left + 64);
    }
    const std::vector<uint64_t> due = pop_all(queue, os::kNever - 1);
    CHECK(std::is_sorted(due.begin(), due.end()));
    CHECK_EQ(due.size(), left);
    CHECK_EQ(queue.size(), 0u);
  }
}

// Row 41.
TEST_CASE("nothing leaves before its deadline") {
  std::vector<Waiter> waiters = make_waiters(100);
  TimerQueue queue;
  for (size_t i = 0; i < waiters.size(); ++i) queue.arm(entry_of(waiters[i], 10 * (i + 1)));
  TimerEntry entry;
  CHECK(!queue.pop_due(9, &entry));
  CHECK(queue.pop_due(10, &entry));
  CHECK_EQ(entry.deadline_ns, 10u);
  CHECK(!queue.pop_due(19, &entry));
  CHECK_EQ(queue.next_deadline_ns(), 20u);
  CHECK_EQ(pop_all(queue, 500).size(), 49u);
  CHECK_EQ(queue.size(), 50u);
}

// Row 44.
TEST_CASE("a deadline at the end of time stays, one at its beginning is due at once") {
  std::vector<Waiter> waiters = make_waiters(3);
  TimerQueue queue;
  queue.arm(entry_of(waiters[0], os::kNever - 1));
  queue.arm(entry_of(waiters[1], 0));
  queue.arm(entry_of(waiters[2], os::kNever - 2));
  CHECK_EQ(pop_all(queue, os::now_ns()).size(), 1u);
  CHECK_EQ(queue.size(), 2u);
  CHECK_EQ(queue.next_deadline_ns(), os::kNever - 2);
}

// Row 43.
TEST_CASE("an entry whose wait has ended is dropped") {
  std::vector<Waiter> waiters = make_waiters(60);
  TimerQueue queue;
  for (size_t i = 0; i < waiters.size(); ++i) queue.arm(entry_of(waiters[i], i));
  for (size_t i = 0; i < waiters.size(); i += 2) {
    CHECK(waiters[i].claim(waiters[i].epoch()));
    queue.note_dead();
  }
  // Another wait of the same waiter does not bring the old entry back.
  waiters[0].begin_wait();
  const std::vector<uint64_t> left = pop_all(queue, 100);
  REQUIRE(left.size() == 30);
  for (size_t i = 0; i < left.size(); ++i) CHECK_EQ(left[i], 2 * i + 1);
}

TEST_CASE("dead entries are swept before they outnumber the living") {
  std::vector<Waiter> waiters = make_waiters(10'000);
  TimerQueue queue;
  for (size_t i = 0; i < waiters.size(); ++i) queue.arm(entry_of(waiters[i], (i * 7919) % 10'007));
  std::vector<uint64_t> expected;
  for (size_t i = 0; i < waiters.size(); ++i) {
    if (i % 10 == 3) {
      expected.push_back((i * 7919) % 10'007);
      continue;
    }
    CHECK(waiters[i].claim(waiters[i].epoch()));
    queue.note_dead();
  }
  CHECK(queue.size() <= 2 * expected.size());
  std::sort(expected.begin(), expected.end());
  CHECK(pop_all(queue, 20'000) == expected);
}

TEST_CASE("a timer that is armed and cancelled for ever needs no more memory") {
  TimerQueue queue;
  std::vector<Waiter> waiters = make_waiters(1);
  Waiter& waiter = waiters[0];
  for (uint64_t i = 0; i < 20'000; ++i) {
    queue.arm(entry_of(waiter, 1'000'000 + i));
    CHECK(waiter.claim(waiter.epoch()));
    queue.note_dead();
    waiter.begin_wait();
  }
  CHECK_EQ(queue.size(), 1u);
  CHECK(queue.resident_bytes() <= 64 * sizeof(TimerEntry));
}

TEST_CASE("a cancelled timer whose place is used again leaves no deadline behind") {
  std::vector<Waiter> waiters = make_waiters(2);
  TimerQueue queue;
  queue.arm(entry_of(waiters[0], 10));
  CHECK(waiters[0].claim(waiters[0].epoch()));
  queue.note_dead();
  queue.arm(entry_of(waiters[1], 500));
  CHECK_EQ(queue.next_deadline_ns(), 500u);
  CHECK(pop_all(queue, 100).empty());
  CHECK_EQ(pop_all(queue, 500).size(), 1u);
}

TEST_CASE("a queue gives memory back when it empties") {
  std::vector<Waiter> waiters = make_waiters(50'000);
  TimerQueue queue;
  for (size_t i = 0; i < waiters.size(); ++i) queue.arm(entry_of(waiters[i], i));
  const size_t full = queue.resident_bytes();
  pop_all(queue, 100'000);
  CHECK(queue.resident_bytes() * 16 < full);
}

TEST_CASE("entries handed in by other threads are all accepted, in order") {
  constexpr size_t kThreads = 3;
  constexpr size_t kEach = 1000;
  std::vector<Waiter> waiters = make_waiters(kThreads * kEach);
  TimerQueue queue;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&waiters, &queue, t] {
      for (size_t i = 0; i < kEach; ++i) {
        queue.post(entry_of(waiters[t * kEach + i], t + kThreads * i));
      }
    });
  }
  std::vector<uint64_t> got;
  wait_until([&] {
    queue.accept_inbox();
    return queue.size() == waiters.size();
  });
  for (std::thread& thread : threads) thread.join();
  CHECK(!queue.has_inbox());
  got = pop_all(queue, os::kNever - 1);
  REQUIRE(got.size() == waiters.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK_EQ(got[i], i);
}

TEST_CASE("what dies in another thread's hands is swept when the inbox is accepted") {
  std::vector<Waiter> waiters = make_waiters(1000);
  TimerQueue queue;
  for (size_t i = 0; i < waiters.size(); ++i) queue.arm(entry_of(waiters[i], i));
  std::thread([&] {
    for (size_t i = 0; i < 900; ++i) {
      CHECK(waiters[i].claim(waiters[i].epoch()));
      queue.note_dead_remotely();
    }
  }).join();
  queue.accept_inbox();
  CHECK(queue.size() <= 200);
  CHECK_EQ(pop_all(queue, 2000).size(), 100u);
}

// Row 66: what a processor that is removed has armed goes to another one.
TEST_CASE("a move takes everything alive along, what is in the inbox too") {
  std::vector<Waiter> waiters = make_waiters(30);
  TimerQueue from;
  TimerQueue to;
  for (size_t i = 0; i < 20; ++i) from.arm(entry_of(waiters[i], 100 - i));
  for (size_t i = 20; i < 30; ++i) from.post(entry_of(waiters[i], 100 - i));
  CHECK(waiters[5].claim(waiters[5].epoch()));
  from.note_dead();
  from.move_to(to);
  CHECK_EQ(from.size(), 0u);
  CHECK_EQ(from.next_deadline_ns(), os::kNever);
  CHECK(!from.has_inbox());
  CHECK(to.has_inbox());
  to.accept_inbox();
  const std::vector<uint64_t> got = pop_all(to, 1000);
  CHECK_EQ(got.size(), 29u);
  CHECK(std::is_sorted(got.begin(), got.end()));
}

}  // namespace heddle::test
