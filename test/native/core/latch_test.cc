// One fiber waits for many others.
#include "core/latch.h"

#include <memory>
#include <thread>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {

TEST_CASE("a latch of nothing does not wait") {
  Scheduler scheduler(with_processors(1));
  for (StackClass stack_class : kStackClasses) {
    spawn(
        scheduler,
        [] {
          auto latch = std::make_unique<Latch>(0);
          latch->wait();
        },
        of_class(stack_class));
  }
  await_all_exits(scheduler);
}

TEST_CASE("the waiter goes on when all have counted down, before or during its wait") {
  for (uint32_t processors : {1, 2}) {
    for (StackClass stack_class : kStackClasses) {
      Scheduler scheduler(with_processors(processors));
      for (uint32_t count : {1u, 2u, 30u}) {
        for (bool others_first : {false, true}) {
          spawn(
              scheduler,
              [&scheduler, count, others_first] {
                auto latch = std::make_unique<Latch>(count);
                auto arrived = std::make_unique<Atomic<uint32_t>>(0);
                for (uint32_t i = 0; i < count; ++i) {
                  spawn(scheduler, [&scheduler, l = latch.get(), a = arrived.get()] {
                    a->fetch_add_acq_rel(1);
                    l->count_down(scheduler);
                  });
                }
                if (others_first) {
                  while (arrived->load_acquire() != count) yield();
                }
                latch->wait();
                CHECK_EQ(arrived->load_acquire(), count);
              },
              of_class(stack_class));
        }
      }
      await_all_exits(scheduler);
    }
  }
}

// Pitfall 9: the last one counts down at the moment in which the waiter parks.
TEST_CASE("a count from another OS thread is never lost") {
  Scheduler scheduler(with_processors(2));
  const uint32_t rounds = scaled(5'000, 500);
  Atomic<Latch*> latch{nullptr};
  Atomic<bool> done{false};
  std::thread other([&] {
    while (!done.load_acquire()) {
      if (Latch* taken = latch.exchange_acq_rel(nullptr)) taken->count_down(scheduler);
    }
  });
  spawn(scheduler, [&] {
    for (uint32_t round = 0; round < rounds; ++round) {
      Latch own(1);
      latch.store_release(&own);
      for (uint32_t i = 0; i < round % 64; ++i) spin_hint();
      own.wait();  // the other's call may not have returned when the latch is gone
    }
    done.store_release(true);
  });
  other.join();
  await_all_exits(scheduler);
}

TEST_CASE("latches wait for latches") {
  Scheduler scheduler(with_processors(2));
  struct Tree {
    Scheduler& scheduler;
    Atomic<uint32_t> leaves{0};
    void grow(int depth) {
      if (depth == 0) {
        leaves.fetch_add_relaxed(1);
        return;
      }
      Latch children(2);
      for (int i = 0; i < 2; ++i) {
        spawn(scheduler, [this, depth, &children] {
          grow(depth - 1);
          children.count_down(scheduler);
        });
      }
      children.wait();
    }
  } tree{scheduler};
  const int depth = kSanitized ? 6 : 11;
  spawn(scheduler, [&tree, depth] { tree.grow(depth); });
  await_all_exits(scheduler);
  CHECK_EQ(tree.leaves.load_relaxed(), 1u << depth);
}

}  // namespace heddle::test
