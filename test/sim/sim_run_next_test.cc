// The place of what runs next, alone: its owner and thieves never take the same, and lose nothing.
#include "core/lock.h"
#include "core/run_next.h"
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kItems = 12;
constexpr uint32_t kThieves = 2;

struct Item : Runnable {
  Item() noexcept : Runnable(RunnableKind::kFiber) {}
  Plain<uint32_t> says;
  Plain<uint32_t> taken;

  void take() noexcept {
    SIM_CHECK(says.read("what an item says") == 7, "an item came without its contents");
    SIM_CHECK(taken.read("who took an item") == 0, "an item was taken twice");
    taken.write(1, "who took an item");
  }
};

struct Place {
  RunNext next;
  Item items[kItems];
  Atomic<uint32_t> owner_done{0};
  // Its owner may change; then the old one has let go of everything.
  Lock owning{LockRank::kScheduler};
  Plain<uint32_t> put;
};
Place* place;

void take(Runnable* runnable) noexcept {
  if (runnable != nullptr) static_cast<Item*>(runnable)->take();
}

// What an owner does: puts an item in front of the last, or takes it back.
void own_for_a_while(uint32_t turns) {
  for (uint32_t i = 0; i < turns; ++i) {
    const uint32_t put = place->put.read("how many were put");
    if (put < kItems && !one_in(3)) {
      Item* const item = &place->items[put];
      item->says.write(7, "what an item says");
      place->put.write(put + 1, "how many were put");
      take(place->next.exchange(item));
    } else {
      take(place->next.take());
    }
    if (one_in(4)) pause_thread(1'000);
  }
}

void rob_until_the_end(void*) {
  while (place->owner_done.load_acquire() == 0) {
    if (place->next.peek() != nullptr || one_in(4)) take(place->next.rob());
    if (one_in(2)) pause_thread(1'000);
    spin_hint();
  }
}

void check_all_taken() {
  take(place->next.take());
  SIM_CHECK(place->next.peek() == nullptr, "the place is not empty");
  const uint32_t put = place->put.read("how many were put");
  for (uint32_t i = 0; i < put; ++i) {
    SIM_CHECK(place->items[i].taken.read("who took an item") == 1, "an item was lost");
  }
}

void one_owner() {
  Place all;
  place = &all;
  os::Thread thieves[kThieves];
  for (os::Thread& thief : thieves) {
    SIM_CHECK(os::start_thread(&thief, "thief", 0, rob_until_the_end, nullptr) == 0, "no thread");
  }
  own_for_a_while(2 * kItems);
  all.owner_done.store_release(1);
  for (os::Thread thief : thieves) os::join_thread(thief);
  check_all_taken();
  place = nullptr;
}

void owners_change() {
  Place all;
  place = &all;
  Countdown working(2);
  static Countdown* left;
  left = &working;
  os::Thread threads[4];
  for (uint32_t i = 0; i < 4; ++i) {
    const os::ThreadMain owner = [](void*) {
      for (uint32_t round = 0; round < 4; ++round) {
        place->owning.lock();
        own_for_a_while(3);
        place->owning.unlock();
        if (one_in(2)) pause_thread(1'000);
      }
      left->arrive();
    };
    SIM_CHECK(os::start_thread(&threads[i], i < 2 ? "owner" : "thief", 0,
                               i < 2 ? owner : rob_until_the_end, nullptr) == 0,
              "no thread");
  }
  working.wait();
  all.owner_done.store_release(1);
  for (os::Thread thread : threads) os::join_thread(thread);
  check_all_taken();
  place = nullptr;
}

}  // namespace

TEST_CASE("what runs next is taken once, by its owner or by a thief") {
  CHECK(run_seeds({"run next", one_owner, 1'000, {}}));
}

TEST_CASE("the place of what runs next passes from owner to owner") {
  CHECK(run_seeds({"run next, owners change", owners_change, 1'000, exact_time()}));
}

}  // namespace heddle::sim
