// Contexts: a tree through which cancellation, deadlines and values reach fibers, isolates and OS
// threads.
//
// Always true:
// - A context is done once, with the first reason; its descendants are done soon after, each once.
// - A child keeps its parent alive, never the other way round: when a child is done or forgotten it
//   takes itself off the parent's list.
// - No lock of a context is held while that of another one is taken.
#pragma once

#include <memory>

#include "core/timer.h"
#include "sync/wait.h"

namespace heddle {

enum class ContextError : uint8_t { kNone, kCancelled, kDeadline };

// Why, in the words of whoever cancelled; opaque here. Shared by all descendants.
using ContextReason = std::shared_ptr<const void>;

class ContextCore final : public Waitable {
 public:
  // Never done; the root of a tree. nullptr, from all of these, if memory is refused.
  static Ref<ContextCore> background() noexcept;
  Ref<ContextCore> with_cancel() noexcept;
  // Done at the deadline, or with its parent if that comes first. One in the past is done at once.
  // Until then, or until it is cancelled, the timer keeps it alive.
  Ref<ContextCore> with_deadline(uint64_t deadline_ns) noexcept;
  Ref<ContextCore> with_value(const void* key, std::shared_ptr<void> value) noexcept;

  // True for the one who made it done; false if it was.
  bool cancel(const ContextReason& reason = nullptr) noexcept {
    return finish(ContextError::kCancelled, reason);
  }
  bool is_done() const noexcept { return error() != ContextError::kNone; }
  ContextError error() const noexcept { return error_.load_acquire(); }
  // Its own or, if it ended with its parent, the parent's. After is_done() only.
  ContextReason reason() const noexcept { return reason_; }
  uint64_t deadline_ns() const noexcept { return deadline_ns_; }  // UINT64_MAX: none
  // The nearest one on the way to the root; nullptr if there is none.
  std::shared_ptr<void> value(const void* key) const noexcept;

  uint32_t child_count() noexcept;
  // Handles that are no child's: a child cannot end its parent.
  uint32_t outside_handles() const noexcept {
    return active_handles() - living_children_.load_relaxed();
  }
  // By a deadline, or by somebody who holds one of its ancestors.
  bool may_end_by_itself() const noexcept;

  // Waiters of queue 0 wait for its end.
  Readiness try_locked(uint32_t, Cell*, Served*) noexcept override {
    return is_done() ? Readiness::kDone : Readiness::kNotReady;
  }
  bool is_ready_locked(uint32_t, const Cell&) const noexcept override { return is_done(); }

 private:
  explicit ContextCore(Ref<ContextCore> parent) noexcept;
  ~ContextCore() override;

  static void on_deadline(void* context) noexcept;
  Ref<ContextCore> make_child() noexcept;
  void link_to_parent() noexcept;
  void unlink_from_parent() noexcept;
  bool finish(ContextError error, const ContextReason& reason) noexcept;
  bool finish_one(ContextError error, const ContextReason& reason, const Caller& caller,
                  ContextCore** done) noexcept;

  Ref<ContextCore> parent_;  // until the end
  Atomic<uint32_t> living_children_{0};
  Atomic<ContextError> error_{ContextError::kNone};
  // Under the parent's lock, and afterwards, when it is off the list, with whoever took it off.
  bool is_child_ = false;
  ContextCore* next_ = nullptr;
  ContextCore* prev_ = nullptr;
  // Under the own lock.
  ContextCore* children_ = nullptr;
  ContextReason reason_;
  // Fixed before others know it.
  uint64_t deadline_ns_ = UINT64_MAX;
  TimerHandle timer_;
  Atomic<bool> timer_fired_{false};
  const void* key_ = nullptr;
  std::shared_ptr<void> value_;
};

}  // namespace heddle
