#include "sync/barrier.h"

namespace heddle {

WaitStatus BarrierCore::arrive(bool* is_last_one, uint64_t deadline_ns) {
  Cell cell{};
  const WaitStatus status = wait_on(this, 0, &cell, WaitReason::kBarrier, deadline_ns);
  *is_last_one = status == WaitStatus::kDone && is_last(cell);
  return status;
}

Readiness BarrierCore::try_locked(uint32_t, Cell* cell, Served* served) noexcept {
  if (!is_ready_locked(0, *cell)) return Readiness::kNotReady;
  while (WaitNode* node = first(0)) {
    // Said before the claim: one whose time is just over has arrived as well, and finds it here.
    node->outcome = WaitOutcome::kDone;
    if (claim(node)) serve(node, WaitOutcome::kDone, served);
  }
  cell->bytes[0] = 1;
  return Readiness::kDone;
}

}  // namespace heddle
