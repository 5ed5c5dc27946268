#include "core/timer_queue.h"

#include <cstdlib>
#include <cstring>

#include "arch/context.h"
#include "core/check.h"

namespace heddle {

namespace {
constexpr size_t kArity = 4;
constexpr size_t kMinCapacity = 64;

TimerEntry* grow(TimerEntry* entries, size_t capacity) noexcept {
  void* memory = std::realloc(static_cast<void*>(entries), capacity * sizeof(TimerEntry));
  HEDDLE_CHECK(memory != nullptr, "out of memory for timers");
  return static_cast<TimerEntry*>(memory);
}
}  // namespace

TimerQueue::~TimerQueue() {
  std::free(heap_);
  std::free(inbox_);
}

void TimerQueue::reserve(size_t capacity) noexcept {
  heap_ = grow(heap_, capacity);
  capacity_ = capacity;
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
    if (first >= size_) break;
    const size_t end = first + kArity < size_ ? first + kArity : size_;
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

void TimerQueue::arm(const TimerEntry& entry) noexcept {
  if (size_ == capacity_) reserve(capacity_ == 0 ? kMinCapacity : capacity_ * 2);
  sift_up(size_++, entry);
  note_first();
}

void TimerQueue::remove_first() noexcept {
  const TimerEntry last = heap_[--size_];
  if (size_ > 0) sift_down(0, last);
  if (size_ < capacity_ / 8 && capacity_ > kMinCapacity) reserve(capacity_ / 4);
  note_first();
}

bool TimerQueue::pop_due(uint64_t now_ns, TimerEntry* out) noexcept {
  while (size_ > 0 && heap_[0].deadline_ns <= now_ns) {
    *out = heap_[0];
    remove_first();
    // Who may be next but one: by then the line is there.
    for (size_t i = 1; i <= kArity && i < size_; ++i) arch::prefetch(heap_[i].waiter);
    if (out->alive()) return true;
    if (dead_ > 0) --dead_;
  }
  return false;
}

void TimerQueue::sweep() noexcept {
  size_t kept = 0;
  for (size_t i = 0; i < size_; ++i) {
    if (heap_[i].alive()) heap_[kept++] = heap_[i];
  }
  size_ = kept;
  dead_ = 0;
  // Floyd's heap construction, O(n).
  if (size_ > 1) {
    for (size_t i = (size_ - 2) / kArity + 1; i-- > 0;) sift_down(i, TimerEntry(heap_[i]));
  }
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
    inbox_capacity_ = inbox_capacity_ == 0 ? kMinCapacity : inbox_capacity_ * 2;
    inbox_ = grow(inbox_, inbox_capacity_);
  }
  inbox_[inbox_size_++] = entry;
  has_inbox_.store_release(true);
}

void TimerQueue::move_to(TimerQueue& other) noexcept {
  accept_inbox();
  for (size_t i = 0; i < size_; ++i) {
    if (heap_[i].alive()) other.post(heap_[i]);
  }
  size_ = dead_ = 0;
  note_first();
}

}  // namespace heddle
