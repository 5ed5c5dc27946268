#include "sync/wait_group.h"

namespace heddle {

bool WaitGroupCore::add(int64_t delta) noexcept {
  constexpr int64_t kMost = INT32_MAX;
  if (delta > kMost || delta < -kMost) return false;
  Caller caller;
  Served served(caller.machine());
  lock();
  const int64_t count = count_.load_relaxed() + delta;
  const bool fits = count >= 0 && count <= kMost;
  if (fits) {
    count_.store_relaxed(count);
    if (count == 0) serve_all(0, WaitOutcome::kDone, &served);
  }
  unlock();
  return fits;
}

WaitStatus WaitGroupCore::wait(uint64_t deadline_ns) {
  Cell unused{};
  return wait_on(this, 0, &unused, WaitReason::kWaitGroup, deadline_ns);
}

}  // namespace heddle
