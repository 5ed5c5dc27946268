// The timers of one processor: a 4-ary heap of (deadline, waiter, epoch).
//
// Always true:
// - The heap belongs to whoever owns the processor. Other threads hand in timers through an inbox.
// - An entry is alive while its waiter is still in the wait of that epoch. Ending the wait any
//   other way kills the entry without touching the heap; whoever does so reports it, and when a
//   quarter of the heap is dead it is swept in one pass. So arm and cancel are O(1) for deadlines
//   that grow, O(log n) otherwise.
// - Entries leave in the order of their deadlines, never before them.
//
// Rejected: a hierarchical wheel (nanosecond precision costs many cascades for timers of mixed
// range), and back pointers for eager removal (each sift writes to every waiter that it passes).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/lock.h"
#include "core/waiter.h"
#include "os/os.h"

namespace heddle {

struct TimerEntry {
  uint64_t deadline_ns;
  Waiter* waiter;
  uint64_t epoch;

  bool alive() const noexcept {
    return waiter->word.load_relaxed() == Waiter::make_word(WaiterState::kWaiting, epoch);
  }
};

class TimerQueue {
 public:
  TimerQueue() noexcept = default;
  ~TimerQueue();

  // Owner only.
  void arm(const TimerEntry& entry) noexcept;
  // Takes the first entry if it is due. Dead ones are dropped on the way.
  bool pop_due(uint64_t now_ns, TimerEntry* out) noexcept;
  void note_dead() noexcept {
    if (++dead_ * 4 > size_ && size_ >= kSweepSize) sweep();
  }
  void accept_inbox() noexcept;
  // Moves everything, inbox included, to the inbox of another queue.
  void move_to(TimerQueue& other) noexcept;
  size_t size() const noexcept { return size_; }
  size_t resident_bytes() const noexcept { return capacity_ * sizeof(TimerEntry); }

  // Any thread: a hint unless the caller owns the queue.
  uint64_t next_deadline_ns() const noexcept { return first_deadline_ns_.load_relaxed(); }
  void post(const TimerEntry& entry) noexcept;
  void note_dead_remotely() noexcept { dead_remotely_.fetch_add_relaxed(1); }
  bool has_inbox() const noexcept { return has_inbox_.load_relaxed(); }

 private:
  static constexpr size_t kSweepSize = 64;

  void sift_up(size_t hole, const TimerEntry& entry) noexcept;
  void sift_down(size_t hole, const TimerEntry& entry) noexcept;
  void remove_first() noexcept;
  void sweep() noexcept;
  void reserve(size_t capacity) noexcept;

  void note_first() noexcept {
    first_deadline_ns_.store_relaxed(size_ == 0 ? os::kNever : heap_[0].deadline_ns);
  }

  Atomic<uint64_t> first_deadline_ns_{os::kNever};
  TimerEntry* heap_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
  size_t dead_ = 0;
  Atomic<uint32_t> dead_remotely_{0};

  Atomic<bool> has_inbox_{false};
  Lock inbox_lock_{LockRank::kTimerInbox};
  TimerEntry* inbox_ = nullptr;
  size_t inbox_size_ = 0;
  size_t inbox_capacity_ = 0;
};

}  // namespace heddle
