// Runnables that belong to no processor: overflow of local queues, fibers of hogs, and everything
// that comes from threads outside the runtime (the inbox).
//
// - `post` is lock-free and may be called by any thread: one CAS on a stack that is taken whole.
//   One inbox serves all processors: with one per processor a late post would have to be
//   forwarded when its processor is removed, and a sleeping one's posts found by others.
// - The list behind it is first in, first out, under a lock that is held for a few pointers.
#pragma once

#include "core/lock.h"
#include "core/runnable.h"

namespace heddle {

class GlobalQueue {
 public:
  // Any thread. The push is a full barrier for the wake-up check that must follow.
  void post(Runnable* item) noexcept;
  // `count` items linked by `next`, posted at once and kept in order.
  void post_chain(Runnable* first, uint32_t count) noexcept;

  void push(RunnableList& items) noexcept;
  void push_one(Runnable* item) noexcept;

  // Takes min(size / share + 1, most) items, oldest first. Empty if there is nothing.
  RunnableList take(uint32_t share, uint32_t most) noexcept;

  // Never true while an item is inside, if the caller comes after a full fence.
  bool empty() const noexcept {
    return size_.load_relaxed() == 0 && inbox_.load_relaxed() == nullptr;
  }
  uint32_t size() const noexcept { return size_.load_relaxed(); }

 private:
  void drain_inbox_locked() noexcept;

  alignas(64) Atomic<Runnable*> inbox_{nullptr};
  alignas(64) Lock lock_{LockRank::kGlobalQueue};
  RunnableList list_;
  Atomic<uint32_t> size_{0};  // of list_; written under the lock
};

}  // namespace heddle
