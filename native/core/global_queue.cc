#include "core/global_queue.h"

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
    list_.push_back(ordered);
    ordered = next;
  }
  size_.store_release(list_.size);
}

void GlobalQueue::push(RunnableList& items) noexcept {
  LockGuard guard(lock_);
  list_.append(items);
  size_.store_release(list_.size);
}

void GlobalQueue::push_one(Runnable* item) noexcept {
  LockGuard guard(lock_);
  list_.push_back(item);
  size_.store_release(list_.size);
}

RunnableList GlobalQueue::take(uint32_t share, uint32_t most) noexcept {
  RunnableList taken;
  if (empty()) return taken;
  LockGuard guard(lock_);
  drain_inbox_locked();
  uint32_t count = list_.size / share + 1;
  if (count > list_.size) count = list_.size;
  if (count > most) count = most;
  for (uint32_t i = 0; i < count; ++i) taken.push_back(list_.pop_front());
  size_.store_release(list_.size);
  return taken;
}

}  // namespace heddle
