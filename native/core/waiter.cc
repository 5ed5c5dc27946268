#include "core/waiter.h"

namespace heddle {

namespace {
// Larger than every epoch of a waiter whose memory was given back.
Atomic<uint64_t> newest_retired{1};
}  // namespace

uint64_t fresh_epoch() noexcept { return newest_retired.load_acquire(); }

void retire_epoch(uint64_t epoch) noexcept {
  uint64_t newest = newest_retired.load_relaxed();
  while (newest <= epoch && !newest_retired.compare_exchange_acq_rel(newest, epoch + 1)) {
  }
}

}  // namespace heddle
