// The place of the fiber that runs next: its owner and its robbers get each item once.
#include "core/run_next.h"

#include <memory>
#include <thread>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

struct Item : Runnable {
  explicit Item() noexcept : Runnable(RunnableKind::kFiber) {}
  uint32_t written = 0;  // plain: published with the item
  Atomic<uint32_t> taken{0};
};

void wait_for_robber(const RunNext& place) {
  while (place.peek() != nullptr) os::yield_thread();
}

}  // namespace

TEST_CASE("one item has place, and the one before it comes out") {
  RunNext place;
  Item first;
  Item second;
  CHECK(place.peek() == nullptr);
  CHECK(place.take() == nullptr);
  CHECK(place.rob() == nullptr);
  CHECK(place.exchange(&first) == nullptr);
  CHECK(place.peek() == &first);
  CHECK(place.exchange(&second) == &first);
  CHECK(place.take() == &second);
  CHECK(place.take() == nullptr);
  CHECK(place.exchange(&first) == nullptr);
  CHECK(place.rob() == &first);
  CHECK(place.peek() == nullptr);
}

TEST_CASE("an owner and its robbers get each item once, with what was written before it") {
  const uint32_t count = scaled(200'000, 20'000);
  for (uint32_t robbers : {1u, 3u}) {
    RunNext place;
    const std::unique_ptr<Item[]> items(new Item[count]);
    Atomic<bool> is_over{false};
    Atomic<uint32_t> robbed{0};
    const auto take = [](Runnable* runnable) {
      auto* item = static_cast<Item*>(runnable);
      CHECK_EQ(item->written, 1u);
      CHECK_EQ(item->taken.fetch_add_relaxed(1), 0u);
    };
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < robbers; ++i) {
      threads.emplace_back([&] {
        while (!is_over.load_acquire()) {
          if (place.peek() == nullptr) {
            os::yield_thread();
          } else if (Runnable* item = place.rob()) {
            take(item);
            robbed.fetch_add_relaxed(1);
          }
        }
      });
    }
    for (uint32_t i = 0; i < count; ++i) {
      items[i].written = 1;
      if (Runnable* before = place.exchange(&items[i])) take(before);
      if (i % 3 == 0 && i % 64 != 0) {
        if (Runnable* own = place.take()) take(own);
      }
      // On a machine with one core the robbers come only if they are let.
      if (i % 64 == 0) wait_for_robber(place);
    }
    is_over.store_release(true);
    for (std::thread& thread : threads) thread.join();
    if (Runnable* last = place.take()) take(last);
    for (uint32_t i = 0; i < count; ++i) CHECK_EQ(items[i].taken.load_relaxed(), 1u);
    CHECK(robbed.load_relaxed() >= count / 64);
  }
}

}  // namespace heddle::test
