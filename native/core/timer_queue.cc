#include "core/timer_queue.h"

#include <cstdlib>

#include "arch/context.h"
#include "core/check.h"

namespace heddle {

namespace {
constexpr size_t kArity = 4;
constexpr size_t kLeastCapacity = 64;
constexpr size_t kAhead = 4;
}  // namespace

TimerQueue::~TimerQueue() {
  std::free(heap_);
  std::free(inbox_);
}

size_t TimerQueue::resident_bytes() const noexcept {
  size_t bytes = heap_capacity_ * sizeof(TimerEntry);
  for (const TimerLane& lane : lanes_) bytes += lane.resident_bytes();
  return bytes;
}

// The closest fit, so that timers of different durations keep to different lanes.
TimerLane* TimerQueue::lane_for(uint64_t deadline_ns) noexcept {
  TimerLane* best = nullptr;
  for (TimerLane& lane : lanes_) {
    if (lane.last_deadline_ns() > deadline_ns) continue;
    if (best == nullptr || lane.last_deadline_ns() > best->last_deadline_ns()) best = &lane;
  }
  return best;
}

// That has the first entry of all; nullptr if the heap has it.
TimerLane* TimerQueue::first_lane() noexcept {
  TimerLane* first = nullptr;
  uint64_t deadline_ns = heap_size_ == 0 ? os::kNever : heap_[0].deadline_ns;
  for (TimerLane& lane : lanes_) {
    if (lane.size() == 0 || lane.first_deadline_ns() >= deadline_ns) continue;
    first = &lane;
    deadline_ns = lane.first_deadline_ns();
  }
  return first;
}

void TimerQueue::note_first() noexcept {
  uint64_t deadline_ns = heap_size_ == 0 ? os::kNever : heap_[0].deadline_ns;
  for (const TimerLane& lane : lanes_) {
    if (lane.first_deadline_ns() < deadline_ns) deadline_ns = lane.first_deadline_ns();
  }
  first_deadline_ns_.store_relaxed(deadline_ns);
}

void TimerQueue::sift_up(size_t hole, const TimerEntry& entry) noexcept {
  while (hole > 0) {
    const size_t parent = (hole - 1) / kArity;
    if (heap_[parent].deadline_ns <= entry.deadline_ns) break;
    heap_[hole] = heap_[parent];
    hole = parent;
  }
  heap_[hole] = entry;
}

void TimerQueue::sift_down(size_t hole, const TimerEntry& entry) noexcept {
  for (;;) {
    const size_t first = hole * kArity + 1;
    if (first >= heap_size_) break;
    const size_t end = first + kArity < heap_size_ ? first + kArity : heap_size_;
    size_t least = first;
    for (size_t child = first + 1; child < end; ++child) {
      if (heap_[child].deadline_ns < heap_[least].deadline_ns) least = child;
    }
    if (heap_[least].deadline_ns >= entry.deadline_ns) break;
    heap_[hole] = heap_[least];
    hole = least;
  }
  heap_[hole] = entry;
}

void TimerQueue::push_on_heap(const TimerEntry& entry) noexcept {
  if (heap_size_ == heap_capacity_) {
    heap_capacity_ = heap_capacity_ == 0 ? kLeastCapacity : heap_capacity_ * 2;
    heap_ = resize_timer_block(heap_, heap_capacity_);
  }
  sift_up(heap_size_++, entry);
}

void TimerQueue::pop_from_heap() noexcept {
  const TimerEntry last = heap_[--heap_size_];
  if (heap_size_ > 0) sift_down(0, last);
  if (heap_size_ < heap_capacity_ / 8 && heap_capacity_ > kLeastCapacity) {
    heap_capacity_ /= 4;
    heap_ = resize_timer_block(heap_, heap_capacity_);
  }
}

void TimerQueue::arm(const TimerEntry& entry) noexcept {
  if (TimerLane* lane = lane_for(entry.deadline_ns)) {
    drop_dead_end(*lane);
    lane->push(entry);
  } else {
    push_on_heap(entry);
  }
  ++size_;
  if (entry.deadline_ns < first_deadline_ns_.load_relaxed()) {
    first_deadline_ns_.store_relaxed(entry.deadline_ns);
  }
}

// A time-out that was cancelled at once gives its place to the next one.
void TimerQueue::drop_dead_end(TimerLane& lane) noexcept {
  while (lane.size() > 0 && !lane.at(lane.size() - 1).alive()) {
    lane.drop_last();
    --size_;
    if (dead_ > 0) --dead_;
    if (lane.size() == 0) note_first();
  }
}

bool TimerQueue::pop_due(uint64_t now_ns, TimerEntry* out) noexcept {
  while (size_ > 0 && first_deadline_ns_.load_relaxed() <= now_ns) {
    // The line of whoever comes a few entries later is there by then.
    if (TimerLane* lane = first_lane()) {
      *out = lane->at(0);
      lane->pop();
      if (lane->size() > kAhead) arch::prefetch(lane->at(kAhead).waiter);
    } else {
      *out = heap_[0];
      pop_from_heap();
      for (size_t i = 1; i <= kArity && i < heap_size_; ++i) arch::prefetch(heap_[i].waiter);
    }
    --size_;
    note_first();
    if (out->alive()) return true;
    if (dead_ > 0) --dead_;
  }
  return false;
}

void TimerQueue::sweep() noexcept {
  size_t kept = 0;
  for (size_t i = 0; i < heap_size_; ++i) {
    if (heap_[i].alive()) heap_[kept++] = heap_[i];
  }
  heap_size_ = kept;
  // Floyd's heap construction, O(n).
  if (heap_size_ > 1) {
    for (size_t i = (heap_size_ - 2) / kArity + 1; i-- > 0;) sift_down(i, TimerEntry(heap_[i]));
  }
  size_ = heap_size_;
  for (TimerLane& lane : lanes_) {
    lane.drop_dead();
    size_ += lane.size();
  }
  dead_ = 0;
  note_first();
}

void TimerQueue::accept_inbox() noexcept {
  const uint32_t dead = dead_remotely_.load_relaxed() != 0 ? dead_remotely_.exchange_relaxed(0) : 0;
  if (has_inbox_.load_relaxed()) {
    LockGuard guard(inbox_lock_);
    for (size_t i = 0; i < inbox_size_; ++i) arm(inbox_[i]);
    inbox_size_ = 0;
    has_inbox_.store_relaxed(false);
  }
  for (uint32_t i = 0; i < dead; ++i) note_dead();
}

void TimerQueue::post(const TimerEntry& entry) noexcept {
  LockGuard guard(inbox_lock_);
  if (inbox_size_ == inbox_capacity_) {
    inbox_capacity_ = inbox_capacity_ == 0 ? kLeastCapacity : inbox_capacity_ * 2;
    inbox_ = resize_timer_block(inbox_, inbox_capacity_);
  }
  inbox_[inbox_size_++] = entry;
  has_inbox_.store_release(true);
}

void TimerQueue::move_to(TimerQueue& other) noexcept {
  accept_inbox();
  sweep();
  for (size_t i = 0; i < heap_size_; ++i) other.post(heap_[i]);
  heap_size_ = size_ = 0;
  for (TimerLane& lane : lanes_) {
    for (size_t i = 0; i < lane.size(); ++i) other.post(lane.at(i));
    lane.clear();
  }
  note_first();
}

}  // namespace heddle
