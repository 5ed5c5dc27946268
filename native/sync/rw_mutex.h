// A readers-writer mutex for fibers, promises and OS threads: readers together, writers alone, in
// the order of arrival. A reader that comes after a waiting writer waits behind it, so neither side
// starves.
#pragma once

#include "sync/wait.h"

namespace heddle {

class RwMutexCore final : public Waitable {
 public:
  explicit RwMutexCore(bool is_tracked = false) noexcept : Waitable(is_tracked) {}

  // As MutexCore::lock_for.
  WaitStatus lock_read(uint64_t deadline_ns = UINT64_MAX);
  WaitStatus lock_write(uint64_t deadline_ns = UINT64_MAX);
  bool try_lock_read() noexcept { return try_now(false); }
  bool try_lock_write() noexcept { return try_now(true); }
  // False if it is not held that way.
  bool unlock_read() noexcept;
  bool unlock_write() noexcept;

  void poison() noexcept { poisoned_.store_release(true); }
  bool is_poisoned() const noexcept { return poisoned_.load_acquire(); }

  static Cell cell_for(bool writes) noexcept;
  Readiness try_locked(uint32_t, Cell* cell, Served* served) noexcept override;
  bool is_ready_locked(uint32_t, const Cell& cell) const noexcept override;
  bool take_back_locked(WaitNode* node, Served* served) noexcept override;

 private:
  bool try_now(bool writes) noexcept;
  bool may_enter(bool writes) const noexcept;
  void enter(bool writes) noexcept;
  void serve_ready(Served* served) noexcept;

  uint32_t readers_ = 0;
  bool writer_ = false;
  Atomic<bool> poisoned_{false};
};

}  // namespace heddle
