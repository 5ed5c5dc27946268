// The ring of a processor: order, bounds, halves, and thieves at work while its owner is.
#include "core/run_queue.h"

#include <thread>
#include <vector>

#include "core/sanitizer.h"
#include "test/native/harness.h"

namespace heddle::test {
namespace {

struct Item : Runnable {
  Item() noexcept : Runnable(RunnableKind::kFiber) {}
  uint32_t number = 0;
  uint32_t runs = 0;  // written by whoever took it out
};

using SmallQueue = RunQueueOf<8>;
using RobbedQueue = RunQueueOf<8, 0>;

std::vector<Item> make_items(uint32_t count) {
  std::vector<Item> items(count);
  for (uint32_t i = 0; i < count; ++i) items[i].number = i;
  return items;
}

uint32_t number_of(const Runnable* item) {
  return item == nullptr ? UINT32_MAX : static_cast<const Item*>(item)->number;
}

template <typename Queue>
void drain(Queue& queue) {
  while (Runnable* item = queue.pop()) ++static_cast<Item*>(item)->runs;
}

// One owner and some thieves pass that many items through a ring of eight.
template <typename Queue = SmallQueue>
void run_owner_and_thieves(uint32_t count, int thief_count) {
  std::vector<Item> items = make_items(count);
  Queue owned;
  Atomic<bool> done{false};
  Atomic<uint64_t> thefts{0};
  std::vector<std::thread> thieves;
  for (int i = 0; i < thief_count; ++i) {
    thieves.emplace_back([&] {
      Queue own;
      while (!done.load_acquire() || owned.size() != 0) {
        uint32_t moved = 0;
        Runnable* stolen = owned.steal_into(own, &moved);
        if (stolen == nullptr) {
          os::yield_thread();
          continue;
        }
        CHECK_EQ(own.size(), moved - 1);
        ++static_cast<Item*>(stolen)->runs;
        drain(own);
        thefts.fetch_add_acq_rel(moved);
      }
    });
  }
  const uint32_t first = Queue::capacity();
  for (uint32_t i = 0; i < first; ++i) owned.push(&items[i]);
  while (thefts.load_acquire() == 0) os::yield_thread();  // all thieves may be late
  for (uint32_t i = first; i < count; ++i) {
    while (!owned.push(&items[i])) {
      if (Runnable* item = owned.pop()) ++static_cast<Item*>(item)->runs;
    }
    // Thieves must find the queue in every state, a single item and none included.
    if (i % 5 == 0) drain(owned);
    if (i % 7 == 0) {
      if (Runnable* item = owned.pop()) ++static_cast<Item*>(item)->runs;
    }
    if (i % 512 == 0) os::yield_thread();
  }
  done.store_release(true);
  drain(owned);
  for (std::thread& thief : thieves) thief.join();
  drain(owned);
  uint32_t wrong = 0;
  for (const Item& item : items) wrong += item.runs != 1;
  CHECK_EQ(wrong, 0u);
}

}  // namespace

TEST_CASE("items leave in the order they came in, around the ring many times") {
  std::vector<Item> items = make_items(1000);
  SmallQueue queue;
  uint32_t next_in = 0;
  uint32_t next_out = 0;
  while (next_out < items.size()) {
    for (int i = 0; i < 5 && next_in < items.size(); ++i) {
      if (queue.push(&items[next_in])) ++next_in;
    }
    for (int i = 0; i < 3 && next_out < next_in; ++i) {
      CHECK_EQ(number_of(queue.pop()), next_out++);
    }
  }
  CHECK(queue.pop() == nullptr);
  CHECK_EQ(queue.size(), 0u);
}

TEST_CASE("a full ring refuses, and takes again after a pop") {
  std::vector<Item> items = make_items(10);
  SmallQueue queue;
  for (uint32_t i = 0; i < SmallQueue::capacity(); ++i) {
    CHECK(!queue.is_full());
    CHECK(queue.push(&items[i]));
    CHECK_EQ(queue.size(), i + 1);
  }
  CHECK(queue.is_full());
  CHECK(!queue.push(&items[8]));
  CHECK_EQ(number_of(queue.pop()), 0u);
  CHECK(queue.push(&items[8]));
  CHECK(!queue.push(&items[9]));
}

TEST_CASE("the older half leaves a full ring in order") {
  std::vector<Item> items = make_items(8);
  SmallQueue queue;
  for (Item& item : items) queue.push(&item);
  Runnable* half[4];
  CHECK_EQ(queue.take_half(half), 4u);
  for (uint32_t i = 0; i < 4; ++i) CHECK_EQ(number_of(half[i]), i);
  for (uint32_t i = 4; i < 8; ++i) CHECK_EQ(number_of(queue.pop()), i);
}

TEST_CASE("what comes next can be looked at") {
  std::vector<Item> items = make_items(3);
  SmallQueue queue;
  CHECK(queue.peek(0) == nullptr);
  for (Item& item : items) queue.push(&item);
  for (uint32_t i = 0; i < 3; ++i) CHECK_EQ(number_of(queue.peek(i)), i);
  CHECK(queue.peek(3) == nullptr);
}

// Row 25.
TEST_CASE("a thief takes half and leaves the owner's next item") {
  for (uint32_t size = 1; size <= SmallQueue::capacity(); ++size) {
    for (uint32_t offset = 0; offset < SmallQueue::capacity(); ++offset) {
      std::vector<Item> items = make_items(size);
      SmallQueue victim;
      Item other;
      for (uint32_t i = 0; i < offset; ++i) {  // so that the ring wraps at every place
        victim.push(&other);
        victim.pop();
      }
      for (Item& item : items) victim.push(&item);
      SmallQueue thief;
      uint32_t moved = 0;
      Runnable* stolen = victim.steal_into(thief, &moved);
      const uint32_t expected = size == 1 ? 1 : size / 2;
      CHECK_EQ(moved, expected);
      CHECK_EQ(thief.size(), expected - 1);
      CHECK_EQ(victim.size(), size - expected);
      const uint32_t first = size == 1 ? 0 : 1;
      CHECK_EQ(number_of(stolen), first);
      for (uint32_t i = 1; i < expected; ++i) CHECK_EQ(number_of(thief.pop()), first + i);
      if (size > 1) CHECK_EQ(number_of(victim.pop()), 0u);
      for (uint32_t i = first + expected; i < size; ++i) CHECK_EQ(number_of(victim.pop()), i);
      CHECK(victim.pop() == nullptr);
    }
  }
}

TEST_CASE("there is nothing to steal from an empty ring") {
  SmallQueue victim;
  SmallQueue thief;
  uint32_t moved = 0;
  CHECK(victim.steal_into(thief, &moved) == nullptr);
  Item item;
  victim.push(&item);
  CHECK(victim.pop() == &item);
  CHECK(victim.steal_into(thief, &moved) == nullptr);
  CHECK(victim.push(&item));  // and the ring goes on as if nobody had tried
  CHECK(victim.pop() == &item);
}

TEST_CASE("an owner that pops gives half to the thief that asks") {
  using PatientQueue = RunQueueOf<8, 60'000'000'000>;
  std::vector<Item> items = make_items(8);
  PatientQueue victim;
  PatientQueue own;
  for (Item& item : items) victim.push(&item);
  Atomic<bool> done{false};
  Runnable* stolen = nullptr;
  uint32_t moved = 0;
  std::thread thief([&] {
    stolen = victim.steal_into(own, &moved);
    done.store_release(true);
  });
  while (!done.load_acquire()) {
    if (Runnable* item = victim.pop()) victim.push(item);
    os::yield_thread();
  }
  thief.join();
  CHECK(moved == 3 || moved == 4);  // one item was in the owner's hands, or none
  CHECK_EQ(own.size(), moved - 1);
  REQUIRE(stolen != nullptr);
  ++static_cast<Item*>(stolen)->runs;
  drain(own);
  drain(victim);
  for (const Item& item : items) CHECK_EQ(item.runs, 1u);
}

// Row 25: the number of items is that of Go's test of the same property.
TEST_CASE("no item is lost or run twice while thieves are at work") {
  os::prepare_heavy_fence();
  const uint32_t count = kSanitized ? 65'536 : 524'288;
  run_owner_and_thieves(count, 1);
  run_owner_and_thieves(count / 4, 2);
  run_owner_and_thieves<RobbedQueue>(count / 2, 1);
  run_owner_and_thieves<RobbedQueue>(count / 8, 2);
}

TEST_CASE("nor where the kernel has no membarrier") {
  light_fence_is_full = true;
  run_owner_and_thieves(kSanitized ? 16'384 : 131'072, 1);
  os::prepare_heavy_fence();
}

// Row 26: a machine that goes to sleep must not overlook work.
TEST_CASE("a ring that holds an item is never seen empty") {
  std::vector<Item> items = make_items(2);
  SmallQueue queue;
  queue.push(&items[0]);
  Atomic<bool> done{false};
  Atomic<uint64_t> seen_empty{0};
  Atomic<uint64_t> looked{0};
  std::thread observer([&] {
    while (!done.load_acquire()) {
      if (queue.size() == 0) seen_empty.fetch_add_relaxed(1);
      looked.fetch_add_relaxed(1);
    }
  });
  for (uint32_t i = 0; i < (kSanitized ? 100'000 : 2'000'000) || looked.load_relaxed() < 1000;
       ++i) {
    queue.push(&items[(i + 1) % 2]);
    CHECK_EQ(number_of(queue.pop()), i % 2);
  }
  done.store_release(true);
  observer.join();
  CHECK_EQ(seen_empty.load_relaxed(), 0u);
}

}  // namespace heddle::test
