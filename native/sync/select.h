// Waits for the first of several things: to send, to receive, for a context to be done, for a
// deadline.
//
// If several are ready at the same instant, each has the same chance. All waitables are locked, in
// the order of their addresses, while that is found out and the nodes are linked; so one select
// sees one instant, and it never meets itself, even if it sends and receives on the same channel.
#pragma once

#include "sync/wait.h"

namespace heddle {

struct SelectCase {
  Waitable* target = nullptr;  // nullptr: a case that is absent this time, and never chosen
  uint32_t queue = 0;
  Cell cell;  // to send; what was received
};

struct Selected {
  static constexpr uint32_t kNothing = UINT32_MAX;
  uint32_t index = kNothing;  // of the case; kNothing: none was ready, or the deadline came first
  WaitStatus status = WaitStatus::kTimedOut;
};

// Each on a fiber or an OS thread. The cases may lie on the stack, also a compact fiber's; up to
// four of them cost no allocation. select_cases waits, for ever if no case can come true and there
// is no deadline, and throws Cancelled.
Selected select_cases(SelectCase* cases, uint32_t count, uint64_t deadline_ns = UINT64_MAX);
Selected try_select_cases(SelectCase* cases, uint32_t count) noexcept;

// --- for promises, which wait by themselves ---

// The waitables of a select in the order of their locks, each once.
class LockSet {
 public:
  LockSet(const SelectCase* cases, uint32_t count) noexcept;
  ~LockSet();
  bool is_complete() const noexcept { return waitables_ != nullptr || size_ == 0; }
  void lock() noexcept;
  void unlock() noexcept;

 private:
  static constexpr uint32_t kInline = 8;
  Waitable* inline_[kInline];
  Waitable** waitables_ = inline_;
  uint32_t size_ = 0;
};

// Under all the locks: tries the cases that are ready, one of them by chance.
Selected select_locked(SelectCase* cases, uint32_t count, Served* served) noexcept;
uint32_t count_present(const SelectCase* cases, uint32_t count) noexcept;
void describe_cases(const SelectCase* cases, uint32_t count, Wait* wait) noexcept;
Selected selected_of(SelectCase* cases, const Wait* wait) noexcept;

}  // namespace heddle
