// A processor's own queue: a ring that its owner fills and empties without any atomic
// read-modify-write, and that thieves halve.
//
// The first item is at index popped + stolen. `popped_` and `tail_` are written by the owner only,
// `stolen_` by the thief that holds `sequence_` (odd while held). All indices wrap at 2^32.
//
//   pop:   read sequence; take the first item; popped + 1; light fence; is the sequence unchanged
//          and even? Otherwise a thief is about: if it asks, give it half
//   push:  if a thief asks, give it half; store the item; tail + 1
//   steal: make sequence odd; ask; if the owner gives nothing within microseconds, take the asking
//          back, and rob: heavy fence; take from behind the first item; move the first item up to
//          the new front; stolen + n. Make sequence even
//
// A pop costs five loads and a store, a robbery a membarrier, which interrupts every core: 10 to 40
// us in a virtual machine, and an owner that pops meanwhile has to wait for its end. So an owner
// that gets on is asked, and only one that is stuck in a fiber is robbed. (Asking alone is the
// receiver-initiated stealing of Acar, Chargueraud and Rainey, PPoPP 2013, which needs owners that
// never stay away for long.) Pops are the many: Go's ring (runtime/proc.go) and Chase-Lev deques
// pay a CAS in each; of a spawn, run and exit it was a fifth.
//
// Why a robbery loses nothing and takes nothing twice: after the heavy fence, a pop that saw an
// even sequence has its `popped + 1` visible to the thief, and any other pop will find the sequence
// changed. So at most one pop overlaps it. If the thief has seen that pop, it took only from behind
// it, and the item that the pop has read is the owner's. If it has not, the first item is where the
// thief left it: moved up behind what was taken, or gone, if there was no other. The thief says
// which `popped` it has seen and where the front is since then; the pop that overlaps reads it
// there. One such note is kept for even and one for odd `popped`, because a second thief, which
// does see the pop, may come before the owner has looked.
//
// The capacity is a parameter so that the model check can use 4; so is the patience of a thief.
#pragma once

#include <cstdint>

#include "core/atomic.h"
#include "core/runnable.h"
#include "os/os.h"

namespace heddle {

template <uint32_t kCapacity, uint64_t kPatienceNs = 5'000>  // less than a robbery costs
class RunQueueOf {
 public:
  static constexpr uint32_t capacity() noexcept { return kCapacity; }
  static_assert((kCapacity & (kCapacity - 1)) == 0, "the ring index is a mask");

  // Owner only. False when full.
  bool push(Runnable* item) noexcept {
    if (__builtin_expect(request_.load_relaxed() == kAsked, false) && accept_request()) serve();
    const uint32_t tail = tail_.load_relaxed();
    // The acquire of stolen_ in front(): a thief has read the slots before they are used again.
    if (tail - front() >= kCapacity) return false;
    slots_[tail & kMask].store_relaxed(item);
    tail_.store_release(tail + 1);  // pairs with the acquire load of tail_ in steal_into
    return true;
  }

  // Owner only.
  Runnable* pop() noexcept {
    const uint32_t sequence = sequence_.load_acquire();
    const uint32_t popped = popped_.load_relaxed();
    const uint32_t first = popped + stolen_.load_acquire();
    if (first == tail_.load_relaxed()) return nullptr;
    Runnable* item = slots_[first & kMask].load_relaxed();
    popped_.store_release(popped + 1);
    fence_light();  // pairs with fence_heavy in steal_into
    const bool undisturbed = sequence_.load_acquire() == sequence && (sequence & 1) == 0;
    if (__builtin_expect(undisturbed, true)) return item;
    return settle_overlap(sequence, popped, item);
  }

  // Owner only; there is room for all of them.
  void push_many(Runnable* const* items, uint32_t count) noexcept {
    const uint32_t tail = tail_.load_relaxed();
    for (uint32_t i = 0; i < count; ++i) slots_[(tail + i) & kMask].store_relaxed(items[i]);
    tail_.store_release(tail + count);
  }

  // Owner only: takes the older half of what is in the ring, with thieves kept out. Returns how
  // many; none if a thief is at work.
  uint32_t take_half(Runnable** items) noexcept {
    uint32_t sequence = sequence_.load_relaxed();
    if ((sequence & 1) != 0) return 0;
    if (!sequence_.compare_exchange_acq_rel(sequence, sequence + 1)) return 0;
    const uint32_t count = size() / 2;
    const uint32_t first = front();
    for (uint32_t i = 0; i < count; ++i) items[i] = slots_[(first + i) & kMask].load_relaxed();
    popped_.store_relaxed(popped_.load_relaxed() + count);
    sequence_.store_release(sequence + 2);
    return count;
  }

  // Called by the owner of `thief`, which must be empty: moves half of this queue there (or its
  // only item). One of the items moved is returned instead of queued. nullptr if there is nothing,
  // or another thief is at work.
  Runnable* steal_into(RunQueueOf& thief, uint32_t* moved) noexcept {
    uint32_t sequence = sequence_.load_relaxed();
    if (size() == 0 || (sequence & 1) != 0) return nullptr;
    if (!sequence_.compare_exchange_acq_rel(sequence, sequence + 1)) return nullptr;
    Runnable* first = ask(thief, moved) ? given_.load_relaxed() : rob(thief, moved);
    request_.store_relaxed(kNone);
    sequence_.store_release(sequence + 2);
    return first;
  }

  // A guess by anyone; exact for the owner while nobody steals. Never negative.
  uint32_t size() const noexcept {
    const uint32_t first = front();
    const auto count = static_cast<int32_t>(tail_.load_acquire() - first);
    return count > 0 ? static_cast<uint32_t>(count) : 0;
  }

  // Owner only: thieves may make room at any moment, nobody else fills it.
  bool is_full() const noexcept { return tail_.load_relaxed() - front() >= kCapacity; }

  // Owner only, and only a hint: the item `ahead` places behind the next one to be popped.
  Runnable* peek(uint32_t ahead) const noexcept {
    const uint32_t first = front();
    if (tail_.load_relaxed() - first <= ahead) return nullptr;
    return slots_[(first + ahead) & kMask].load_relaxed();
  }

 private:
  enum Request : uint32_t { kNone, kAsked, kServing, kServed };
  static constexpr uint32_t kMask = kCapacity - 1;

  uint32_t front() const noexcept { return popped_.load_relaxed() + stolen_.load_acquire(); }

  // What a thief leaves behind for a pop that it may have overlapped.
  struct Note {
    Atomic<uint32_t> sequence;  // odd, of the theft
    Atomic<uint32_t> popped;    // that the thief has seen
    Atomic<uint32_t> front;     // since then
  };

  // A pop that began at `sequence` has met thieves.
  __attribute__((noinline)) Runnable* settle_overlap(uint32_t sequence, uint32_t popped,
                                                     Runnable* item) noexcept {
    for (uint32_t turn = 1; (sequence_.load_acquire() & 1) != 0; ++turn) {
      uint32_t asked = kAsked;
      if (request_.load_relaxed() == kAsked && request_.compare_exchange_acq_rel(asked, kServing)) {
        item = settle_robbery(sequence, popped, item);
        serve();
        return item;
      }
      spin_hint();
      if (turn % 1024 == 0) os::yield_thread();  // the thief may have lost its core
    }
    return settle_robbery(sequence, popped, item);
  }

  // Nobody robs right now; somebody may have since `sequence`. Which item is the pop's own?
  Runnable* settle_robbery(uint32_t sequence, uint32_t popped, Runnable* item) noexcept {
    const Note& note = notes_[popped & 1];
    const bool is_of_this_overlap =
        static_cast<int32_t>(note.sequence.load_relaxed() - sequence) >= 0;
    if (!is_of_this_overlap || note.popped.load_relaxed() != popped) return item;
    const uint32_t front = note.front.load_relaxed();
    if (front != tail_.load_relaxed()) return slots_[front & kMask].load_relaxed();
    popped_.store_release(popped);
    return nullptr;
  }

  // Owner only. True: the thief waits now until it is served, and its queue is the owner's to fill.
  bool accept_request() noexcept {
    uint32_t asked = kAsked;
    return request_.compare_exchange_acq_rel(asked, kServing);
  }

  // Owner only: gives the older half.
  __attribute__((noinline)) void serve() noexcept {
    const uint32_t first = front();
    const uint32_t count = (tail_.load_relaxed() - first + 1) / 2;
    Runnable* items[kCapacity / 2];
    for (uint32_t i = 1; i < count; ++i) items[i - 1] = slots_[(first + i) & kMask].load_relaxed();
    if (count > 1) thief_.load_relaxed()->push_many(items, count - 1);
    given_.store_relaxed(count != 0 ? slots_[first & kMask].load_relaxed() : nullptr);
    given_count_.store_relaxed(count);
    popped_.store_release(popped_.load_relaxed() + count);
    request_.store_release(kServed);  // pairs with the acquire loads in ask
  }

  // Thief only, with the sequence held. False: the owner has not looked, and will not any more.
  bool ask(RunQueueOf& thief, uint32_t* moved) noexcept {
    thief_.store_relaxed(&thief);
    request_.store_release(kAsked);  // pairs with accept_request, which reads thief_
    const uint64_t until = os::now_ns() + kPatienceNs;
    while (request_.load_relaxed() == kAsked && size() != 0 && os::now_ns() < until) spin_hint();
    uint32_t asked = kAsked;
    if (request_.compare_exchange_acq_rel(asked, kNone)) return false;
    for (uint32_t turn = 1; request_.load_acquire() != kServed; ++turn) {
      spin_hint();
      if (turn % 1024 == 0) os::yield_thread();  // the owner may have lost its core
    }
    *moved = given_count_.load_relaxed();
    return true;
  }

  // Thief only, with the sequence held.
  Runnable* rob(RunQueueOf& thief, uint32_t* moved) noexcept {
    if (size() == 0) return nullptr;
    fence_heavy();  // pairs with fence_light in pop
    Runnable* items[kCapacity / 2 + 1];
    const uint32_t count = take_locked(items);
    *moved = count;
    if (count == 0) return nullptr;
    thief.push_many(items + 1, count - 1);
    return items[0];
  }

  // Thief only, with the sequence held.
  uint32_t take_locked(Runnable** items) noexcept {
    const uint32_t stolen = stolen_.load_relaxed();
    const uint32_t popped = popped_.load_acquire();
    const uint32_t first = popped + stolen;
    const auto size = static_cast<int32_t>(tail_.load_acquire() - first);
    if (size <= 0) return 0;
    const uint32_t count = size == 1 ? 1 : static_cast<uint32_t>(size) / 2;
    const uint32_t from = size == 1 ? first : first + 1;
    for (uint32_t i = 0; i < count; ++i) items[i] = slots_[(from + i) & kMask].load_relaxed();
    if (size > 1) {
      Runnable* kept = slots_[first & kMask].load_relaxed();
      slots_[(first + count) & kMask].store_relaxed(kept);
    }
    Note& note = notes_[popped & 1];
    note.sequence.store_relaxed(sequence_.load_relaxed());
    note.popped.store_relaxed(popped);
    note.front.store_relaxed(first + count);
    stolen_.store_release(stolen + count);  // pairs with the acquire loads of stolen_
    return count;
  }

  alignas(64) Atomic<uint32_t> popped_{0};
  Atomic<uint32_t> tail_{0};
  alignas(64) Atomic<uint32_t> stolen_{0};
  Atomic<uint32_t> sequence_{0};
  Atomic<uint32_t> request_{kNone};
  Atomic<RunQueueOf*> thief_{nullptr};  // that asks
  Atomic<Runnable*> given_{nullptr};    // what it got, beside what is in its queue
  Atomic<uint32_t> given_count_{0};
  Note notes_[2]{};
  alignas(64) Atomic<Runnable*> slots_[kCapacity];
};

using RunQueue = RunQueueOf<256>;

}  // namespace heddle
