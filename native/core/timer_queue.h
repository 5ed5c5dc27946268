// The timers of one processor: (deadline, waiter, epoch), in a few lanes and a 4-ary heap.
//
// Always true:
// - The queue belongs to whoever owns the processor. Other threads hand in timers through an inbox.
// - An entry is alive while its waiter is still in the wait of that epoch. Ending the wait any
//   other way kills the entry without touching the queue; whoever does so reports it, and when a
//   quarter of the queue is dead it is swept in one pass.
// - Entries leave in the order of their deadlines, never before them.
// - A timer goes to the lane with the latest last deadline that is not after its own, or to an
//   empty one; only if there is none, to the heap. Programs use few durations, and timers of one
//   duration come in order: to them arm, cancel and fire are O(1). In the heap they are O(log n).
//
// Rejected: a hierarchical wheel (nanosecond precision costs many cascades for timers of mixed
// range), and back pointers for eager removal (each sift writes to every waiter that it passes).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/lock.h"
#include "core/timer_lane.h"
#include "os/os.h"

namespace heddle {

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
  size_t resident_bytes() const noexcept;

  // Any thread: a hint unless the caller owns the queue.
  uint64_t next_deadline_ns() const noexcept { return first_deadline_ns_.load_relaxed(); }
  void post(const TimerEntry& entry) noexcept;
  void note_dead_remotely() noexcept { dead_remotely_.fetch_add_relaxed(1); }
  bool has_inbox() const noexcept { return has_inbox_.load_relaxed(); }

 private:
  static constexpr size_t kSweepSize = 64;
  static constexpr size_t kLanes = 4;

  TimerLane* lane_for(uint64_t deadline_ns) noexcept;
  TimerLane* first_lane() noexcept;
  void drop_dead_end(TimerLane& lane) noexcept;
  void push_on_heap(const TimerEntry& entry) noexcept;
  void pop_from_heap() noexcept;
  void sift_up(size_t hole, const TimerEntry& entry) noexcept;
  void sift_down(size_t hole, const TimerEntry& entry) noexcept;
  void sweep() noexcept;
  void note_first() noexcept;

  Atomic<uint64_t> first_deadline_ns_{os::kNever};
  size_t size_ = 0;  // of the lanes and the heap
  size_t dead_ = 0;
  TimerLane lanes_[kLanes];
  TimerEntry* heap_ = nullptr;
  size_t heap_size_ = 0;
  size_t heap_capacity_ = 0;
  Atomic<uint32_t> dead_remotely_{0};

  Atomic<bool> has_inbox_{false};
  Lock inbox_lock_{LockRank::kTimerInbox};
  TimerEntry* inbox_ = nullptr;
  size_t inbox_size_ = 0;
  size_t inbox_capacity_ = 0;
};

}  // namespace heddle
