// The history of a processor: bounded, in order, and true.
#include "observe/event_ring.h"

#include <iterator>
#include <memory>
#include <thread>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

Event numbered(uint64_t number) {
  Event event{};
  event.time_ns = number;
  event.subject = ~number;
  event.value = static_cast<uint32_t>(number * 3);
  event.type = EventType::kYield;
  event.processor = static_cast<uint8_t>(number);
  event.detail = static_cast<uint16_t>(number * 7);
  return event;
}

void check_numbered(const Event& event, uint64_t number) {
  CHECK_EQ(event.time_ns, number);
  CHECK_EQ(event.subject, ~number);
  CHECK_EQ(event.value, static_cast<uint32_t>(number * 3));
  CHECK_EQ(event.type, EventType::kYield);
  CHECK_EQ(event.processor, static_cast<uint8_t>(number));
  CHECK_EQ(event.detail, static_cast<uint16_t>(number * 7));
}

std::vector<Event> read_all(const EventRing& ring) {
  std::vector<Event> events(EventRing::kCapacity);
  uint64_t cursor = 0;
  uint64_t lost = 0;
  events.resize(ring.read(&cursor, events.data(), EventRing::kCapacity, &lost));
  return events;
}

}  // namespace

TEST_CASE("a ring that was never turned on has no events") {
  EventRing ring;
  CHECK(!ring.enabled());
  uint64_t cursor = 0;
  uint64_t lost = 99;
  Event event;
  CHECK_EQ(ring.read(&cursor, &event, 1, &lost), 0u);
  CHECK_EQ(lost, 0u);
}

TEST_CASE("events come out whole and in order, however many are read at a time") {
  for (uint32_t at_a_time : {1u, 7u, 1000u}) {
    EventRing ring;
    ring.enable(true);
    for (uint64_t i = 0; i < 1000; ++i) ring.append(numbered(i));
    std::vector<Event> events(at_a_time);
    uint64_t cursor = 0;
    uint64_t next = 0;
    for (;;) {
      uint64_t lost = 0;
      const uint32_t count = ring.read(&cursor, events.data(), at_a_time, &lost);
      CHECK_EQ(lost, 0u);
      if (count == 0) break;
      for (uint32_t i = 0; i < count; ++i) check_numbered(events[i], next++);
    }
    CHECK_EQ(next, 1000u);
    CHECK_EQ(cursor, 1000u);
    ring.append(numbered(1000));
    uint64_t lost = 0;
    CHECK_EQ(ring.read(&cursor, events.data(), at_a_time, &lost), 1u);
    check_numbered(events[0], 1000);
  }
}

TEST_CASE("a full ring keeps the newest and says how many are gone") {
  EventRing ring;
  ring.enable(true);
  const uint64_t total = EventRing::kCapacity * 5 / 2;
  for (uint64_t i = 0; i < total; ++i) ring.append(numbered(i));
  auto events = std::make_unique<Event[]>(EventRing::kCapacity);
  uint64_t cursor = 0;
  uint64_t lost = 0;
  const uint32_t count = ring.read(&cursor, events.get(), EventRing::kCapacity, &lost);
  CHECK_EQ(lost + count, total);
  CHECK_EQ(count, uint32_t{EventRing::kCapacity});
  for (uint32_t i = 0; i < count; ++i) check_numbered(events[i], lost + i);
  // Off and on again, it goes on where it was.
  ring.enable(false);
  CHECK(!ring.enabled());
  ring.enable(true);
  ring.append(numbered(total));
  CHECK_EQ(ring.read(&cursor, events.get(), EventRing::kCapacity, &lost), 1u);
  CHECK_EQ(lost, 0u);
}

TEST_CASE("a reader beside the writer sees whole events only, and misses none unnoticed") {
  EventRing ring;
  ring.enable(true);
  const uint64_t total = scaled(200'000, 40'000);
  std::thread writer([&] {
    for (uint64_t i = 0; i < total; ++i) ring.append(numbered(i));
  });
  auto events = std::make_unique<Event[]>(512);
  uint64_t cursor = 0;
  uint64_t expected = 0;
  while (expected < total) {
    uint64_t lost = 0;
    const uint32_t count = ring.read(&cursor, events.get(), 512, &lost);
    expected += lost;
    for (uint32_t i = 0; i < count; ++i) check_numbered(events[i], expected++);
    CHECK_EQ(cursor, expected);
  }
  writer.join();
  CHECK_EQ(expected, total);
}

TEST_CASE("a fiber's events tell its life in order") {
  Scheduler scheduler(with_processors(1));
  scheduler.trace(true);
  Atomic<uint64_t> id{0};
  const uint64_t began_ns = os::now_ns();
  spawn(scheduler, [&] {  // a spawn from a fiber is recorded, one from outside has no processor
    spawn(scheduler, [&] {
      id.store_release(current_fiber()->id);
      yield();
      sleep_for(100'000);
    });
  });
  finish(scheduler);
  scheduler.trace(false);
  std::vector<Event> own;
  for (const Event& event : read_all(scheduler.processor_at(0)->ring)) {
    CHECK(event.time_ns >= began_ns && event.time_ns <= os::now_ns());
    CHECK_EQ(event.processor, 0);
    if (event.type != EventType::kSteal && event.subject == id.load_acquire()) {
      own.push_back(event);
    }
  }
  const EventType expected[] = {EventType::kSpawn, EventType::kStart, EventType::kYield,
                                EventType::kPark,  EventType::kReady, EventType::kExit};
  REQUIRE(own.size() == std::size(expected));
  for (size_t i = 0; i < own.size(); ++i) {
    CHECK_EQ(own[i].type, expected[i]);
    CHECK(i == 0 || own[i].time_ns >= own[i - 1].time_ns);
  }
  CHECK_EQ(own[3].detail, static_cast<uint16_t>(WaitReason::kSleep));
  CHECK_EQ(own[5].detail, static_cast<uint16_t>(ExitStatus::kDone));
}

TEST_CASE("what is not traced is not recorded") {
  Scheduler scheduler(with_processors(1));
  for (int i = 0; i < 100; ++i) spawn(scheduler, [] { yield(); });
  finish(scheduler);
  CHECK(read_all(scheduler.processor_at(0)->ring).empty());
}

}  // namespace heddle::test
