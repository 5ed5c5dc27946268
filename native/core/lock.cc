#include "core/lock.h"

#include "core/check.h"
#include "os/os.h"

namespace heddle {

namespace {
#if defined(HEDDLE_MODEL)
constexpr int kSpinTurns = 2;  // few enough for threads to sleep, which is what can go wrong
#else
constexpr int kSpinTurns = 100;
#endif

#if defined(HEDDLE_CHECKS)
void note_acquired(LockRank rank) noexcept {
  uint32_t& held = os::thread_slot().held_lock_ranks;
  const uint32_t bit = 1u << static_cast<uint32_t>(rank);
  HEDDLE_CHECK(held < bit, "lock order: a lock of the same or a higher rank is already held");
  held |= bit;
}
void note_released(LockRank rank) noexcept {
  os::thread_slot().held_lock_ranks &= ~(1u << static_cast<uint32_t>(rank));
}
#else
void note_acquired(LockRank) noexcept {}
void note_released(LockRank) noexcept {}
#endif
}  // namespace

void Lock::lock() noexcept {
  note_acquired(rank_);
  uint32_t free = 0;
  if (!word_.compare_exchange_acq_rel(free, 1)) lock_slow();
}

bool Lock::try_lock() noexcept {
  uint32_t free = 0;
  if (!word_.compare_exchange_acq_rel(free, 1)) return false;
  note_acquired(rank_);
  return true;
}

void Lock::lock_slow() noexcept {
  for (int turn = 0; turn < kSpinTurns; ++turn) {
    uint32_t free = 0;
    if (word_.load_relaxed() == 0 && word_.compare_exchange_acq_rel(free, 1)) return;
    spin_hint();
  }
  // From here on we take it as "somebody may sleep", since we cannot know that nobody else does.
  while (word_.exchange_acquire(2) != 0) os::futex_wait(word_, 2, os::kNever);
}

void Lock::unlock() noexcept {
  note_released(rank_);
  if (word_.exchange_acq_rel(0) == 2) os::futex_wake(word_, 1);
}

#if defined(HEDDLE_CHECKS)
void check_no_lock_held(const char* where) noexcept {
  HEDDLE_CHECK(os::thread_slot().held_lock_ranks == 0, where);
}
#endif

}  // namespace heddle
