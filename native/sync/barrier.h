// A meeting point of n parties: each waits until all have arrived; then it can be used again.
#pragma once

#include "sync/wait.h"

namespace heddle {

class BarrierCore final : public Waitable {
 public:
  explicit BarrierCore(uint32_t parties, bool is_tracked = false) noexcept
      : Waitable(is_tracked), parties_(parties) {}

  // kDone when all have arrived. *is_last: true for the one that came last. Whoever is cancelled or
  // times out has not arrived.
  WaitStatus arrive(bool* is_last, uint64_t deadline_ns = UINT64_MAX);
  uint32_t parties() const noexcept { return parties_; }

  // Too late to leave if all had arrived, this one among them. One that is merely off its queue may
  // have been abandoned.
  bool take_back_locked(WaitNode* node, Served*) noexcept override {
    unlink(node);
    return node->outcome == WaitOutcome::kDone;
  }

  static bool is_last(const Cell& cell) noexcept { return cell.bytes[0] != 0; }
  Readiness try_locked(uint32_t, Cell* cell, Served* served) noexcept override;
  bool is_ready_locked(uint32_t, const Cell&) const noexcept override {
    return wait_count() + 1 >= parties_;
  }

 private:
  const uint32_t parties_;
};

}  // namespace heddle
