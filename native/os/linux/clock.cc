#include <cerrno>
#include <ctime>

#include <pthread.h>
#include <sys/random.h>

#include "os/os.h"

namespace heddle::os {

namespace {
constexpr uint64_t kNsPerSecond = 1'000'000'000;

uint64_t in_ns(const timespec& time) noexcept {
  return static_cast<uint64_t>(time.tv_sec) * kNsPerSecond + static_cast<uint64_t>(time.tv_nsec);
}

uint64_t read_clock_ns(clockid_t clock) noexcept {
  timespec time;
  clock_gettime(clock, &time);
  return in_ns(time);
}
}  // namespace

uint64_t now_ns() noexcept { return read_clock_ns(CLOCK_MONOTONIC); }
uint64_t thread_cpu_ns() noexcept { return read_clock_ns(CLOCK_THREAD_CPUTIME_ID); }

int32_t thread_cpu_clock() noexcept {
  clockid_t clock = CLOCK_THREAD_CPUTIME_ID;
  pthread_getcpuclockid(pthread_self(), &clock);
  return clock;
}

uint64_t cpu_clock_ns(int32_t clock) noexcept {
  timespec time;
  return clock_gettime(clock, &time) == 0 ? in_ns(time) : 0;
}

uint64_t random_seed() noexcept {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) seed = now_ns();
  return seed;
}

void sleep_until(uint64_t deadline_ns) noexcept {
  // Far deadlines are cut to what the kernel takes; the loop goes on until the real one.
  for (uint64_t now = now_ns(); now < deadline_ns; now = now_ns()) {
    const uint64_t day_ns = 86'400 * kNsPerSecond;
    const uint64_t until = deadline_ns - now > day_ns ? now + day_ns : deadline_ns;
    timespec time{static_cast<time_t>(until / kNsPerSecond),
                  static_cast<long>(until % kNsPerSecond)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) == EINTR) {
    }
  }
}

}  // namespace heddle::os
