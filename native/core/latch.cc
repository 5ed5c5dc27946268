#include "core/latch.h"

#include "core/park.h"
#include "core/scheduler.h"

namespace heddle {

void Latch::count_down(Scheduler& scheduler) noexcept {
  if (left_.fetch_sub_acq_rel(1) == 1) scheduler.ready(waiter_, epoch_);
}

void Latch::wait() {
  park(
      WaitReason::kLatch,
      [](Fiber* fiber, void* argument) noexcept {
        auto* latch = static_cast<Latch*>(argument);
        latch->waiter_ = fiber;
        latch->epoch_ = fiber->epoch();
        return latch->left_.fetch_sub_acq_rel(1) != 1;
      },
      this);
}

}  // namespace heddle
