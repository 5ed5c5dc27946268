// The run queue alone: one owner, two thieves, a ring of four.
#include "core/run_queue.h"
#include "os/os.h"
#include "os/sim/seeds.h"
#include "test/native/harness.h"

using heddle::Atomic;
using heddle::Runnable;
using heddle::RunnableKind;
namespace os = heddle::os;
namespace sim = heddle::sim;

namespace {

constexpr uint32_t kItems = 24;

struct Item : Runnable {
  Item() : Runnable(RunnableKind::kFiber) {}
  sim::Plain<uint32_t> content;
  uint32_t taken = 0;
};

struct Items {
  Item items[kItems];
  Atomic<uint32_t> left{kItems};
};
Items* shared;

void take(Runnable* runnable) {
  auto* item = static_cast<Item*>(runnable);
  SIM_CHECK(item >= shared->items && item < shared->items + kItems, "a slot held no item");
  const auto index = static_cast<uint32_t>(item - shared->items);
  SIM_CHECK(item->content.read("an item") == index + 1, "an item was seen before it was written");
  SIM_CHECK(++item->taken == 1, "item %u was taken twice", index);
  shared->left.fetch_sub_acq_rel(1);
}

template <typename Queue>
struct Shared : Items {
  Queue owner;
  Queue thieves[2];
};

template <typename Queue>
void steal(void* raw) {
  auto* own = static_cast<Queue*>(raw);
  Queue& owner = static_cast<Shared<Queue>*>(shared)->owner;
  while (shared->left.load_relaxed() != 0) {
    uint32_t moved = 0;
    Runnable* item = owner.steal_into(*own, &moved);
    if (item == nullptr) {
      heddle::spin_hint();
      continue;
    }
    SIM_CHECK(moved >= 1 && moved <= 2, "%u items moved", moved);
    take(item);
    uint32_t popped = 0;
    while ((item = own->pop()) != nullptr) {
      take(item);
      ++popped;
    }
    SIM_CHECK(popped == moved - 1, "%u of %u stolen items were there", popped + 1, moved);
  }
}

template <typename Queue>
void owner_and_thieves() {
  Shared<Queue> all;
  shared = &all;
  os::Thread threads[2];
  for (int i = 0; i < 2; ++i)
    os::start_thread(&threads[i], "thief", 0, steal<Queue>, &all.thieves[i]);
  for (uint32_t i = 0; i < kItems; ++i) {
    all.items[i].content.write(i + 1, "an item");
    while (!all.owner.push(&all.items[i])) {
      Runnable* overflow[kItems];
      const uint32_t count = all.owner.take_half(overflow);
      for (uint32_t k = 0; k < count; ++k) take(overflow[k]);
    }
    if (sim::one_in(3)) {
      if (Runnable* item = all.owner.pop()) take(item);
    }
  }
  while (Runnable* item = all.owner.pop()) take(item);
  for (os::Thread thread : threads) os::join_thread(thread);
  for (const Item& item : all.items) SIM_CHECK(item.taken == 1, "an item was lost");
}

}  // namespace

TEST_CASE("every item of a run queue is taken once, by its owner or by a thief") {
  using Patient = heddle::RunQueueOf<4>;
  using Impatient = heddle::RunQueueOf<4, 0>;
  CHECK(sim::run_seeds({"run queue, thieves ask", owner_and_thieves<Patient>, 1500, {}}));
  CHECK(sim::run_seeds({"run queue, thieves rob", owner_and_thieves<Impatient>, 1500, {}}));
}
