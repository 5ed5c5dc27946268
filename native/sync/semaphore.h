// A counting semaphore for fibers, promises and OS threads. First come, first served: one who wants
// few permits does not overtake one who waits for many.
#pragma once

#include "sync/wait.h"

namespace heddle {

class SemaphoreCore final : public Waitable {
 public:
  explicit SemaphoreCore(uint64_t permits, bool is_tracked = false) noexcept
      : Waitable(is_tracked), permits_(permits) {}

  WaitStatus acquire(uint64_t count = 1, uint64_t deadline_ns = UINT64_MAX);
  bool try_acquire(uint64_t count = 1) noexcept;
  static constexpr uint64_t kMostPermits = (uint64_t{1} << 31) - 1;
  // False, without effect, if there would be more than that.
  bool release_permits(uint64_t count = 1) noexcept;
  uint64_t available() const noexcept { return permits_.load_relaxed(); }

  static Cell cell_for(uint64_t count) noexcept;
  Readiness try_locked(uint32_t, Cell* cell, Served* served) noexcept override;
  bool is_ready_locked(uint32_t, const Cell& cell) const noexcept override;
  bool take_back_locked(WaitNode* node, Served* served) noexcept override;

 private:
  void serve_ready(Served* served) noexcept;
  void take(uint64_t count) noexcept { permits_.store_relaxed(permits_.load_relaxed() - count); }

  Atomic<uint64_t> permits_;
};

}  // namespace heddle
