#include "core/biased_lock.h"

#include "os/os.h"

namespace heddle {

void BiasedLock::lock_slow(uint32_t who) noexcept {
  lock_.lock();
  const uint32_t favoured = favoured_.load_relaxed();
  if (favoured == kNobodyAnyMore) return;
  if (favoured != 0) {
    end_favour();
    by_favour_ = false;
  } else if (who == 0 || who != last_) {
    last_ = who;
    streak_ = 0;
  } else if (++streak_ == kStreak) {
    favoured_.store_relaxed(who);
  }
}

// The favoured machine is never here: only it could clear `inside_`.
void BiasedLock::end_favour() noexcept {
  favoured_.store_relaxed(kNobodyAnyMore);
  fence_heavy();
  for (uint32_t turn = 0; inside_.load_acquire() != 0; ++turn) {
    if (turn < 64) {
      spin_hint();
    } else {
      os::yield_thread();
    }
  }
}

}  // namespace heddle
