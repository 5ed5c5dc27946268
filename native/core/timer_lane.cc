#include "core/timer_lane.h"

#include <cstdlib>

#include "core/check.h"

namespace heddle {

TimerEntry* resize_timer_block(TimerEntry* entries, size_t capacity) noexcept {
  void* memory = std::realloc(static_cast<void*>(entries), capacity * sizeof(TimerEntry));
  HEDDLE_CHECK(memory != nullptr, "out of memory for timers");
  return static_cast<TimerEntry*>(memory);
}

TimerLane::~TimerLane() { std::free(ring_); }

void TimerLane::reserve(size_t capacity) noexcept {
  TimerEntry* ring = resize_timer_block(nullptr, capacity);
  for (size_t i = 0; i < size_; ++i) ring[i] = at(i);
  std::free(ring_);
  ring_ = ring;
  capacity_ = capacity;
  first_ = 0;
}

void TimerLane::note_ends() noexcept {
  first_deadline_ns_ = size_ == 0 ? os::kNever : at(0).deadline_ns;
  last_deadline_ns_ = size_ == 0 ? 0 : at(size_ - 1).deadline_ns;
}

void TimerLane::push(const TimerEntry& entry) noexcept {
  if (size_ == capacity_) reserve(capacity_ == 0 ? kLeastCapacity : 2 * capacity_);
  ring_[(first_ + size_) & (capacity_ - 1)] = entry;
  if (size_++ == 0) first_deadline_ns_ = entry.deadline_ns;
  last_deadline_ns_ = entry.deadline_ns;
}

void TimerLane::pop() noexcept {
  first_ = (first_ + 1) & (capacity_ - 1);
  --size_;
  if (size_ < capacity_ / 8 && capacity_ > kLeastCapacity) reserve(capacity_ / 4);
  if (size_ == 0) {
    note_ends();
  } else {
    first_deadline_ns_ = at(0).deadline_ns;
  }
}

void TimerLane::drop_last() noexcept {
  --size_;
  note_ends();
}

void TimerLane::drop_dead() noexcept {
  size_t kept = 0;
  for (size_t i = 0; i < size_; ++i) {
    const TimerEntry entry = at(i);
    if (entry.alive()) ring_[(first_ + kept++) & (capacity_ - 1)] = entry;
  }
  size_ = kept;
  note_ends();
}

void TimerLane::clear() noexcept {
  size_ = 0;
  note_ends();
}

}  // namespace heddle
