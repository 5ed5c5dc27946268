#include <cerrno>
#include <climits>
#include <ctime>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

namespace heddle::os {

int Poller::open() noexcept {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return errno;
  event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_ < 0) {
    const int error = errno;
    close();
    return error;
  }
  epoll_event interest{};
  interest.events = EPOLLIN;
  interest.data.fd = event_;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &interest) != 0) {
    const int error = errno;
    close();
    return error;
  }
  return 0;
}

void Poller::close() noexcept {
  if (event_ >= 0) ::close(event_);
  if (epoll_ >= 0) ::close(epoll_);
  event_ = epoll_ = -1;
}

void Poller::wait(uint64_t deadline_ns) noexcept {
  timespec time{};
  timespec* timeout = nullptr;
  int timeout_ms = -1;
  if (deadline_ns != kNever) {
    const uint64_t now = now_ns();
    const uint64_t left_ns = deadline_ns > now ? deadline_ns - now : 0;
    time.tv_sec = static_cast<time_t>(left_ns / 1'000'000'000);
    time.tv_nsec = static_cast<long>(left_ns % 1'000'000'000);
    timeout = &time;
    const uint64_t left_ms = left_ns / 1'000'000 + 1;
    timeout_ms = left_ms > INT_MAX ? INT_MAX : static_cast<int>(left_ms);
  }
  epoll_event event{};
  long ready = syscall(SYS_epoll_pwait2, epoll_, &event, 1, timeout, nullptr, 0);
  if (ready < 0 && errno == ENOSYS) ready = epoll_wait(epoll_, &event, 1, timeout_ms);
  if (ready > 0) {
    uint64_t count;
    while (read(event_, &count, sizeof count) < 0 && errno == EINTR) {
    }
  }
}

void Poller::wake() noexcept {
  const uint64_t one = 1;
  while (write(event_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

}  // namespace heddle::os
