#include "sync/mutex.h"

namespace heddle {

WaitStatus MutexCore::lock_for(uint64_t deadline_ns) {
  Cell unused{};
  return wait_on(this, 0, &unused, WaitReason::kMutex, deadline_ns);
}

Readiness MutexCore::try_locked(uint32_t, Cell*, Served*) noexcept {
  if (locked_.load_relaxed()) return Readiness::kNotReady;
  locked_.store_relaxed(true);
  return Readiness::kDone;
}

bool MutexCore::try_lock() noexcept {
  lock();
  const bool got = try_locked(0, nullptr, nullptr) == Readiness::kDone;
  unlock();
  return got;
}

bool MutexCore::unlock_one() noexcept {
  Caller caller;
  Served served(caller.machine());
  lock();
  const bool was_locked = locked_.load_relaxed();
  if (WaitNode* next = claim_first(0)) {
    serve(next, WaitOutcome::kDone, &served);
  } else {
    locked_.store_relaxed(false);
  }
  unlock();
  return was_locked;
}

}  // namespace heddle
