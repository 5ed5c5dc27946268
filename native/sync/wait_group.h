// Waits until a count of things is done; as Go's sync.WaitGroup, for fibers, promises and threads.
#pragma once

#include "sync/wait.h"

namespace heddle {

class WaitGroupCore final : public Waitable {
 public:
  explicit WaitGroupCore(bool is_tracked = false) noexcept : Waitable(is_tracked) {}

  // False, without effect, if the count would leave 0..2^31-1.
  bool add(int64_t delta) noexcept;
  bool done() noexcept { return add(-1); }
  // Until the count is 0.
  WaitStatus wait(uint64_t deadline_ns = UINT64_MAX);
  int64_t count() const noexcept { return count_.load_relaxed(); }

  Readiness try_locked(uint32_t, Cell* cell, Served*) noexcept override {
    return is_ready_locked(0, *cell) ? Readiness::kDone : Readiness::kNotReady;
  }
  bool is_ready_locked(uint32_t, const Cell&) const noexcept override {
    return count_.load_relaxed() == 0;
  }

 private:
  Atomic<int64_t> count_{0};
};

}  // namespace heddle
