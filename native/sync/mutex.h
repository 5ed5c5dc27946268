// A mutex for fibers, promises and OS threads. First come, first served: an unlock hands it to the
// one who has waited longest, so nobody starves beside a hog.
#pragma once

#include "sync/wait.h"

namespace heddle {

class MutexCore final : public Waitable {
 public:
  explicit MutexCore(bool is_tracked = false) noexcept : Waitable(is_tracked) {}

  // kDone, kAbandoned, kTimedOut or kNoMemory. Throws Cancelled.
  WaitStatus lock_for(uint64_t deadline_ns = UINT64_MAX);
  bool try_lock() noexcept;
  // False if nobody holds it. By whoever holds it, on any thread.
  bool unlock_one() noexcept;

  // A holder has died: what the mutex guards may be in any state. Cleared by nobody.
  void poison() noexcept { poisoned_.store_release(true); }
  bool is_poisoned() const noexcept { return poisoned_.load_acquire(); }
  bool is_locked() const noexcept { return locked_.load_relaxed(); }

  Readiness try_locked(uint32_t, Cell*, Served*) noexcept override;
  bool is_ready_locked(uint32_t, const Cell&) const noexcept override {
    return !locked_.load_relaxed();
  }

 private:
  Atomic<bool> locked_{false};  // while it is, and only then, others may wait
  Atomic<bool> poisoned_{false};
};

}  // namespace heddle
