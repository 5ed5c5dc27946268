#include "sync/semaphore.h"

#include <cstring>

namespace heddle {

namespace {
uint64_t count_of(const Cell& cell) noexcept {
  uint64_t count;
  std::memcpy(&count, cell.bytes, sizeof count);
  return count;
}
}  // namespace

Cell SemaphoreCore::cell_for(uint64_t count) noexcept {
  Cell cell{};
  std::memcpy(cell.bytes, &count, sizeof count);
  return cell;
}

WaitStatus SemaphoreCore::acquire(uint64_t count, uint64_t deadline_ns) {
  Cell cell = cell_for(count);
  return wait_on(this, 0, &cell, WaitReason::kSemaphore, deadline_ns);
}

bool SemaphoreCore::is_ready_locked(uint32_t, const Cell& cell) const noexcept {
  return !has_waiters(0) && permits_.load_relaxed() >= count_of(cell);
}

Readiness SemaphoreCore::try_locked(uint32_t, Cell* cell, Served*) noexcept {
  if (!is_ready_locked(0, *cell)) return Readiness::kNotReady;
  take(count_of(*cell));
  return Readiness::kDone;
}

bool SemaphoreCore::try_acquire(uint64_t count) noexcept {
  Cell cell = cell_for(count);
  lock();
  const bool got = try_locked(0, &cell, nullptr) == Readiness::kDone;
  unlock();
  return got;
}

// Those behind may have waited for this one only.
bool SemaphoreCore::take_back_locked(WaitNode* node, Served* served) noexcept {
  unlink(node);
  serve_ready(served);
  return false;
}

void SemaphoreCore::serve_ready(Served* served) noexcept {
  while (WaitNode* node = first(0)) {
    const uint64_t count = count_of(node->cell);
    if (permits_.load_relaxed() < count) return;
    if (!claim(node)) continue;
    take(count);
    serve(node, WaitOutcome::kDone, served);
  }
}

bool SemaphoreCore::release_permits(uint64_t count) noexcept {
  Caller caller;
  Served served(caller.machine());
  lock();
  const uint64_t before = permits_.load_relaxed();
  const bool fits = count <= kMostPermits && before + count <= kMostPermits;
  if (fits) {
    permits_.store_relaxed(before + count);
    serve_ready(&served);
  }
  unlock();
  return fits;
}

}  // namespace heddle
