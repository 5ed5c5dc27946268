// Runnables that belong to no processor: overflow of local queues, fibers of hogs, and everything
// that comes from threads outside the runtime (the inbox).
//
// - `post` is lock-free and may be called by any thread: one CAS on a stack that is taken whole.
//   One inbox serves all processors: with one per processor a late post would have to be
//   forwarded when its processor is removed, and a sleeping one's posts found by others.
// - What is behind it is first in, first out, under a lock that is held for a few pointers: a ring
//   of pointers that grows, because a linked list would be a cache miss per fiber, one after the
//   other. Only what finds no memory for its pointer is linked.
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

  void push(Runnable* const* items, uint32_t count) noexcept;

  // Takes min(size / share + 1, most) items, oldest first, and returns how many.
  uint32_t take(uint32_t share, uint32_t most, Runnable** items) noexcept;

  // Never true while an item is inside, if the caller comes after a full fence.
  bool empty() const noexcept {
    return size_.load_relaxed() == 0 && inbox_.load_relaxed() == nullptr;
  }
  uint32_t size() const noexcept { return size_.load_relaxed(); }

  ~GlobalQueue();

 private:
  static constexpr uint32_t kLeastCapacity = 1024;
  // An empty ring of more than this goes back to the system.
  static constexpr uint32_t kKeptCapacity = 64 * 1024;

  void drain_inbox_locked() noexcept;
  void append_locked(Runnable* item) noexcept;
  Runnable* take_first_locked() noexcept;
  bool grow_locked() noexcept;
  void free_ring() noexcept;

  alignas(64) Atomic<Runnable*> inbox_{nullptr};
  alignas(64) Lock lock_{LockRank::kGlobalQueue};
  Runnable** ring_ = nullptr;  // a power of two
  uint32_t capacity_ = 0;
  uint32_t first_ = 0;  // free-running, as last_
  uint32_t last_ = 0;
  RunnableList list_;         // behind the ring
  Atomic<uint32_t> size_{0};  // of both; written under the lock
};

}  // namespace heddle
