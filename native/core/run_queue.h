// A processor's own queue: a ring that its owner fills and empties, and that thieves halve.
//
// After Go's runqput/runqget/runqgrab (runtime/proc.go, BSD licence; written fresh):
// - `tail_` is written by the owner only; thieves learn of new items from its release store.
// - `head_` moves by CAS only, by the owner and by thieves, so an item is taken once.
// - The ring is full when tail - head == capacity; both run freely and wrap at 2^32.
// The capacity is a parameter so that the model check can use 4.
#pragma once

#include <cstdint>

#include "core/atomic.h"
#include "core/runnable.h"

namespace heddle {

template <uint32_t kCapacity>
class RunQueueOf {
 public:
  static constexpr uint32_t capacity() noexcept { return kCapacity; }
  static_assert((kCapacity & (kCapacity - 1)) == 0, "the ring index is a mask");

  // Owner only. False when full.
  bool push(Runnable* item) noexcept {
    // Synchronizes with the CAS of thieves: their reads of the slot are over before it is reused.
    const uint32_t head = head_.load_acquire();
    const uint32_t tail = tail_.load_relaxed();
    if (tail - head >= kCapacity) return false;
    slots_[tail & kMask].store_relaxed(item);
    tail_.store_release(tail + 1);  // pairs with the acquire loads of tail_ in steal_into
    return true;
  }

  // Owner only.
  Runnable* pop() noexcept {
    uint32_t head = head_.load_acquire();
    for (;;) {
      const uint32_t tail = tail_.load_relaxed();
      if (tail == head) return nullptr;
      Runnable* item = slots_[head & kMask].load_relaxed();
      if (head_.compare_exchange_acq_rel(head, head + 1)) return item;
    }
  }

  // Owner only: takes the older half out of a full ring. Returns how many; 0 if thieves came first.
  uint32_t take_half(RunnableList& out) noexcept {
    uint32_t head = head_.load_acquire();
    const uint32_t tail = tail_.load_relaxed();
    const uint32_t count = (tail - head) / 2;
    if (count == 0) return 0;
    Runnable* items[kCapacity / 2];
    for (uint32_t i = 0; i < count; ++i) items[i] = slots_[(head + i) & kMask].load_relaxed();
    if (!head_.compare_exchange_acq_rel(head, head + count)) return 0;
    for (uint32_t i = 0; i < count; ++i) out.push_back(items[i]);
    return count;
  }

  // Called by the owner of `thief`, which must be empty: moves half of this queue there. The
  // last item moved is returned instead of queued. nullptr if there is nothing.
  Runnable* steal_into(RunQueueOf& thief, uint32_t* moved) noexcept {
    const uint32_t thief_tail = thief.tail_.load_relaxed();
    for (;;) {
      uint32_t head = head_.load_acquire();        // pairs with other takers' CAS
      const uint32_t tail = tail_.load_acquire();  // pairs with push's release store
      uint32_t count = tail - head;
      count -= count / 2;
      if (count == 0) return nullptr;
      if (count > kCapacity / 2) continue;  // head and tail of different moments
      for (uint32_t i = 0; i < count; ++i) {
        Runnable* item = slots_[(head + i) & kMask].load_relaxed();
        thief.slots_[(thief_tail + i) & kMask].store_relaxed(item);
      }
      if (!head_.compare_exchange_acq_rel(head, head + count)) continue;
      *moved = count;
      Runnable* last = thief.slots_[(thief_tail + count - 1) & kMask].load_relaxed();
      if (count > 1) thief.tail_.store_release(thief_tail + count - 1);
      return last;
    }
  }

  // A guess by anyone; exact for the owner while nobody steals. Never negative.
  uint32_t size() const noexcept {
    const uint32_t head = head_.load_acquire();
    const uint32_t tail = tail_.load_acquire();
    const uint32_t count = tail - head;
    return count > kCapacity ? 0 : count;
  }

  // Owner only: false may become stale only by pushing, true by thieves.
  bool is_full() const noexcept { return tail_.load_relaxed() - head_.load_acquire() >= kCapacity; }

  // Owner only, and only a hint: the item `ahead` places behind the next one to be popped.
  Runnable* peek(uint32_t ahead) const noexcept {
    const uint32_t head = head_.load_relaxed();
    if (tail_.load_relaxed() - head <= ahead) return nullptr;
    return slots_[(head + ahead) & kMask].load_relaxed();
  }

 private:
  static constexpr uint32_t kMask = kCapacity - 1;

  alignas(64) Atomic<uint32_t> head_{0};
  alignas(64) Atomic<uint32_t> tail_{0};
  Atomic<Runnable*> slots_[kCapacity];
};

using RunQueue = RunQueueOf<256>;

}  // namespace heddle
