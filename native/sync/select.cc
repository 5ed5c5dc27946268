#include "sync/select.h"

#include <algorithm>
#include <functional>
#include <new>

#include "core/random.h"

namespace heddle {

namespace {

// Uniform below `bound`, to one part in 2^32 (D. Lemire, "Fast Random Integer Generation in an
// Interval", 2019, without the rejection).
uint32_t random_below(uint32_t bound) noexcept {
  uint64_t& state = os::thread_slot().random;
  if (state == 0) state = os::random_seed() | 1;
  return static_cast<uint32_t>(((next_random(state) >> 32) * bound) >> 32);
}

uint32_t choose_ready(const SelectCase* cases, uint32_t count) noexcept {
  uint32_t chosen = Selected::kNothing;
  uint32_t ready = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const SelectCase& each = cases[i];
    if (each.target == nullptr || !each.target->is_ready_locked(each.queue, each.cell)) continue;
    // Each of the first k with a chance of 1/k.
    ++ready;
    if (ready == 1 || random_below(ready) == 0) chosen = i;
  }
  return chosen;
}

}  // namespace

LockSet::LockSet(const SelectCase* cases, uint32_t count) noexcept {
  if (count > kInline) {
    waitables_ = new (std::nothrow) Waitable*[count];
    if (waitables_ == nullptr) {
      size_ = 1;
      return;
    }
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (cases[i].target != nullptr) waitables_[size_++] = cases[i].target;
  }
  if (size_ < 2) return;
  std::sort(waitables_, waitables_ + size_, std::less<>());
  size_ = static_cast<uint32_t>(std::unique(waitables_, waitables_ + size_) - waitables_);
}

LockSet::~LockSet() {
  if (waitables_ != inline_) delete[] waitables_;
}

void LockSet::lock() noexcept {
  for (uint32_t i = 0; i < size_; ++i) waitables_[i]->lock();
}

void LockSet::unlock() noexcept {
  for (uint32_t i = 0; i < size_; ++i) waitables_[i]->unlock();
}

uint32_t count_present(const SelectCase* cases, uint32_t count) noexcept {
  uint32_t present = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (cases[i].target != nullptr) ++present;
  }
  return present;
}

Selected select_locked(SelectCase* cases, uint32_t count, Served* served) noexcept {
  for (;;) {
    const uint32_t chosen = choose_ready(cases, count);
    if (chosen == Selected::kNothing) return Selected{};
    SelectCase& it = cases[chosen];
    const Readiness readiness = it.target->try_locked(it.queue, &it.cell, served);
    if (readiness == Readiness::kNotReady) continue;  // a waiter that was seen there has gone
    return Selected{chosen,
                    readiness == Readiness::kDone ? WaitStatus::kDone : WaitStatus::kClosed};
  }
}

void describe_cases(const SelectCase* cases, uint32_t count, Wait* wait) noexcept {
  WaitNode* node = wait->nodes();
  for (uint32_t i = 0; i < count; ++i) {
    if (cases[i].target == nullptr) continue;
    node->waitable = cases[i].target;
    node->queue = static_cast<uint8_t>(cases[i].queue);
    node->index = i;
    node->cell = cases[i].cell;
    ++node;
  }
}

Selected selected_of(SelectCase* cases, const Wait* wait) noexcept {
  const WaitNode* const winner = wait->winner;
  if (winner == nullptr) return Selected{};
  cases[winner->index].cell = winner->cell;
  return Selected{winner->index, status_of(winner->outcome)};
}

Selected select_cases(SelectCase* cases, uint32_t count, uint64_t deadline_ns) {
  checkpoint();
  const uint32_t present = count_present(cases, count);
  if (present == 0) {
    sleep_until(deadline_ns);
    return Selected{};
  }
  LockSet locks(cases, count);
  if (!locks.is_complete()) return Selected{Selected::kNothing, WaitStatus::kNoMemory};
  Caller caller;
  Served served(caller.machine());
  locks.lock();
  const Selected at_once = select_locked(cases, count, &served);
  if (at_once.index != Selected::kNothing) {
    locks.unlock();
    return at_once;
  }
  Wait* wait = caller.begin(present);
  if (wait == nullptr) {
    locks.unlock();
    return Selected{Selected::kNothing, WaitStatus::kNoMemory};
  }
  wait->deadline_ns = deadline_ns;
  describe_cases(cases, count, wait);
  const WaitEnd end = caller.block(wait, WaitReason::kSelect);
  const Selected selected = selected_of(cases, wait);
  caller.end(wait, present);
  if (end == WaitEnd::kCancelled) throw Cancelled{};
  return selected;
}

Selected try_select_cases(SelectCase* cases, uint32_t count) noexcept {
  LockSet locks(cases, count);
  if (!locks.is_complete()) return Selected{Selected::kNothing, WaitStatus::kNoMemory};
  Caller caller;
  Served served(caller.machine());
  locks.lock();
  const Selected selected = select_locked(cases, count, &served);
  locks.unlock();
  return selected;
}

}  // namespace heddle
