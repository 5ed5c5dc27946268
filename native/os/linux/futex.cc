#include <cerrno>
#include <climits>
#include <ctime>

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"

namespace heddle {

bool light_fence_is_full = true;

void fence_heavy() noexcept {
  fence_seq_cst();
  if (!light_fence_is_full) syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

namespace os {

bool prepare_heavy_fence() noexcept {
  const long supported = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  const bool available =
      supported > 0 && (supported & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
      syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  light_fence_is_full = !available;
  return available;
}

void futex_wait(Atomic<uint32_t>& word, uint32_t expected, uint64_t deadline_ns) noexcept {
  timespec time;
  timespec* until = nullptr;
  if (deadline_ns != kNever) {
    // FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock.
    const uint64_t seconds = deadline_ns / 1'000'000'000;
    time.tv_sec = seconds > LONG_MAX ? LONG_MAX : static_cast<time_t>(seconds);
    time.tv_nsec = static_cast<long>(deadline_ns % 1'000'000'000);
    until = &time;
  }
  syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected, until, nullptr,
          FUTEX_BITSET_MATCH_ANY);
}

void futex_wake(Atomic<uint32_t>& word, int count) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

}  // namespace os
}  // namespace heddle
