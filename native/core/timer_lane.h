// Timers in a ring, each due no earlier than the one before: what timers of one duration make.
#pragma once

#include <cstddef>
#include <cstdint>

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

// `entries` in a block of another size; ends the process if there is no memory for it.
TimerEntry* resize_timer_block(TimerEntry* entries, size_t capacity) noexcept;

class TimerLane {
 public:
  TimerLane() noexcept = default;
  TimerLane(const TimerLane&) = delete;
  TimerLane& operator=(const TimerLane&) = delete;
  ~TimerLane();

  size_t size() const noexcept { return size_; }
  size_t resident_bytes() const noexcept { return capacity_ * sizeof(TimerEntry); }
  // os::kNever, and 0 for the last one, if there is none.
  uint64_t first_deadline_ns() const noexcept { return first_deadline_ns_; }
  uint64_t last_deadline_ns() const noexcept { return last_deadline_ns_; }
  // 0 is the first.
  const TimerEntry& at(size_t place) const noexcept {
    return ring_[(first_ + place) & (capacity_ - 1)];
  }

  // Not before last_deadline_ns().
  void push(const TimerEntry& entry) noexcept;
  void pop() noexcept;
  void drop_last() noexcept;
  void drop_dead() noexcept;
  void clear() noexcept;

 private:
  static constexpr size_t kLeastCapacity = 64;

  void reserve(size_t capacity) noexcept;
  void note_ends() noexcept;

  uint64_t first_deadline_ns_ = os::kNever;
  uint64_t last_deadline_ns_ = 0;
  TimerEntry* ring_ = nullptr;
  size_t capacity_ = 0;  // a power of two, or 0
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace heddle
