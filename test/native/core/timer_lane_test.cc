// The ring of timers that come in the order of their deadlines.
#include "core/timer_lane.h"

#include <vector>

#include "test/native/harness.h"

namespace heddle::test {
namespace {

TimerEntry begin_entry(Waiter& waiter, uint64_t deadline_ns) {
  waiter.begin_wait();
  return TimerEntry{deadline_ns, &waiter, waiter.epoch()};
}

}  // namespace

TEST_CASE("an empty lane has no first entry and takes any") {
  TimerLane lane;
  CHECK_EQ(lane.size(), 0u);
  CHECK_EQ(lane.first_deadline_ns(), os::kNever);
  CHECK_EQ(lane.last_deadline_ns(), 0u);
  CHECK_EQ(lane.resident_bytes(), 0u);
}

TEST_CASE("entries leave a lane in the order they came in, around the ring many times") {
  std::vector<Waiter> waiters(10'000);
  TimerLane lane;
  size_t popped = 0;
  for (size_t i = 0; i < waiters.size(); ++i) {
    lane.push(begin_entry(waiters[i], i));
    CHECK_EQ(lane.first_deadline_ns(), popped);
    CHECK_EQ(lane.last_deadline_ns(), i);
    CHECK_EQ(lane.size(), i + 1 - popped);
    CHECK(lane.at(lane.size() - 1).waiter == &waiters[i]);
    // It swells and shrinks, so that the ring is moved while it wraps.
    for (size_t n = i % 1000 < 500 ? 0 : 2; n > 0 && lane.size() > 1; --n, ++popped) {
      CHECK(lane.at(0).waiter == &waiters[popped]);
      lane.pop();
    }
  }
  for (; lane.size() > 0; ++popped) {
    CHECK_EQ(lane.first_deadline_ns(), popped);
    lane.pop();
  }
  CHECK_EQ(popped, waiters.size());
  CHECK_EQ(lane.last_deadline_ns(), 0u);
}

TEST_CASE("a lane drops what is dead and keeps the order of the rest") {
  std::vector<Waiter> waiters(100);
  TimerLane lane;
  for (size_t i = 0; i < 40; ++i) lane.push(begin_entry(waiters[i], i));
  for (size_t i = 0; i < 40; ++i) lane.pop();
  for (size_t i = 0; i < waiters.size(); ++i) lane.push(begin_entry(waiters[i], 100 + i));
  for (size_t i = 0; i < waiters.size(); ++i) {
    if (i % 3 != 1) CHECK(waiters[i].claim(waiters[i].epoch()));
  }
  lane.drop_dead();
  REQUIRE(lane.size() == 33);
  CHECK_EQ(lane.first_deadline_ns(), 101u);
  CHECK_EQ(lane.last_deadline_ns(), 197u);
  for (size_t i = 0; i < lane.size(); ++i) CHECK_EQ(lane.at(i).deadline_ns, 101 + 3 * i);
  for (size_t i = 1; i < waiters.size(); i += 3) CHECK(waiters[i].claim(waiters[i].epoch()));
  lane.drop_dead();
  CHECK_EQ(lane.size(), 0u);
  CHECK_EQ(lane.first_deadline_ns(), os::kNever);
}

TEST_CASE("a lane gives memory back when it empties") {
  std::vector<Waiter> waiters(50'000);
  TimerLane lane;
  for (size_t i = 0; i < waiters.size(); ++i) lane.push(begin_entry(waiters[i], i));
  const size_t full = lane.resident_bytes();
  while (lane.size() > 0) lane.pop();
  CHECK(lane.resident_bytes() * 16 < full);
}

}  // namespace heddle::test
