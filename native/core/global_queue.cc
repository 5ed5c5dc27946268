#include "core/global_queue.h"

#include <algorithm>

#include "os/os.h"

namespace heddle {

void GlobalQueue::post(Runnable* item) noexcept { post_chain(item, 1); }

void GlobalQueue::post_chain(Runnable* first, uint32_t count) noexcept {
  // The inbox is a stack, so a chain goes in newest first; the drain turns everything around.
  Runnable* reversed = nullptr;
  Runnable* item = first;
  for (uint32_t i = 0; i < count; ++i) {
    Runnable* next = item->next;
    item->next = reversed;
    reversed = item;
    item = next;
  }
  Runnable* bottom = first;
  Runnable* top = inbox_.load_relaxed();
  do {
    bottom->next = top;
  } while (!inbox_.compare_exchange_seq_cst(top, reversed));
}

void GlobalQueue::drain_inbox_locked() noexcept {
  if (inbox_.load_relaxed() == nullptr) return;
  Runnable* item = inbox_.exchange_acq_rel(nullptr);
  Runnable* ordered = nullptr;
  while (item != nullptr) {
    Runnable* next = item->next;
    item->next = ordered;
    ordered = item;
    item = next;
  }
  while (ordered != nullptr) {
    Runnable* next = ordered->next;
    append_locked(ordered);
    ordered = next;
  }
}

// Straight from the system: an allocator would keep what a burst has needed.
bool GlobalQueue::grow_locked() noexcept {
  const uint32_t capacity = capacity_ == 0 ? kLeastCapacity : 2 * capacity_;
  auto** ring =
      static_cast<Runnable**>(os::reserve_memory(capacity * sizeof(Runnable*), os::page_size()));
  if (ring == nullptr) return false;
  const uint32_t count = last_ - first_;
  for (uint32_t i = 0; i < count; ++i) ring[i] = ring_[(first_ + i) & (capacity_ - 1)];
  free_ring();
  ring_ = ring;
  capacity_ = capacity;
  first_ = 0;
  last_ = count;
  return true;
}

void GlobalQueue::append_locked(Runnable* item) noexcept {
  const bool fits = last_ - first_ < capacity_;
  if (list_.empty() && (fits || grow_locked())) {
    ring_[last_++ & (capacity_ - 1)] = item;
  } else {
    list_.push_back(item);
  }
}

Runnable* GlobalQueue::take_first_locked() noexcept {
  return first_ != last_ ? ring_[first_++ & (capacity_ - 1)] : list_.pop_front();
}

void GlobalQueue::push(Runnable* const* items, uint32_t count) noexcept {
  LockGuard guard(lock_);
  for (uint32_t i = 0; i < count; ++i) append_locked(items[i]);
  size_.store_release(last_ - first_ + list_.size);
}

uint32_t GlobalQueue::take(uint32_t share, uint32_t most, Runnable** items) noexcept {
  if (empty()) return 0;
  LockGuard guard(lock_);
  drain_inbox_locked();
  const uint32_t size = last_ - first_ + list_.size;
  const uint32_t count = std::min({size / share + 1, size, most});
  for (uint32_t i = 0; i < count; ++i) items[i] = take_first_locked();
  size_.store_release(size - count);
  if (size == count && capacity_ > kKeptCapacity) {
    free_ring();
    ring_ = nullptr;
    capacity_ = first_ = last_ = 0;
  }
  return count;
}

void GlobalQueue::free_ring() noexcept {
  if (ring_ != nullptr) os::release_memory(ring_, capacity_ * sizeof(Runnable*));
}

GlobalQueue::~GlobalQueue() { free_ring(); }

}  // namespace heddle
