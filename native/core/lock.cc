#include "core/lock.h"

#include "core/check.h"
#include "os/os.h"

namespace heddle {

namespace {
#if defined(HEDDLE_MODEL)
constexpr int kSpinTurns = 2;  // few enough for threads to sleep, which is what can go wrong
constexpr int kMostPauses = 1;
#else
constexpr int kSpinTurns = 40;
constexpr int kMostPauses = 64;
#endif

}  // namespace

Atomic<uint32_t> Lock::sleeper_counts[kSleeperCounts];

void Lock::lock_slow() noexcept {
  // Looks again after ever longer pauses: whoever comes back late leaves the holder's core a run of
  // operations in its own cache, where two that take turns would pay for a cache line every time.
  int pause = 1;
  for (int turn = 0; turn < kSpinTurns; ++turn) {
    for (int i = 0; i < pause; ++i) spin_hint();
    uint32_t free = 0;
    if (word_.load_relaxed() == 0 && word_.compare_exchange_acq_rel(free, 1)) return;
    if (pause < kMostPauses) pause *= 2;
  }
  sleepers().fetch_add_acq_rel(1);
  fence_heavy();  // pairs with the light fence in unlock
  for (uint32_t free = 0; !word_.compare_exchange_acq_rel(free, 1); free = 0) {
    os::futex_wait(word_, 1, os::kNever);
  }
  sleepers().fetch_sub_acq_rel(1);
}

void Lock::wake_sleeper() noexcept { os::futex_wake(word_, 1); }

#if defined(HEDDLE_CHECKS)
namespace {
// ThreadSlot::held_lock_ranks has a bit for each rank; above them the number of waitables held.
constexpr uint32_t kOneWaitable = 1u << 16;
constexpr uint32_t kRanks = kOneWaitable - 1;
}  // namespace

void Lock::note_acquired() const noexcept {
  uint32_t& held = os::thread_slot().held_lock_ranks;
  const uint32_t bit = 1u << static_cast<uint32_t>(rank_);
  HEDDLE_CHECK((held & kRanks) < bit, "lock order: a lock of the same or a higher rank is held");
  held += rank_ == LockRank::kWaitable ? kOneWaitable : bit;
}

void Lock::note_released() const noexcept {
  const uint32_t bit = 1u << static_cast<uint32_t>(rank_);
  os::thread_slot().held_lock_ranks -= rank_ == LockRank::kWaitable ? kOneWaitable : bit;
}

void check_no_lock_held(const char* where) noexcept {
  HEDDLE_CHECK((os::thread_slot().held_lock_ranks & kRanks) == 0, where);
}
#endif

}  // namespace heddle
