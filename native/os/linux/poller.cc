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

namespace {
constexpr uint64_t kWakeToken = UINT64_MAX;
}

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
  interest.data.u64 = kWakeToken;
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

int Poller::add(int descriptor, uint64_t token) noexcept {
  epoll_event interest{};
  interest.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  interest.data.u64 = token;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &interest) == 0 ? 0 : errno;
}

void Poller::remove(int descriptor) noexcept {
  epoll_event unused{};
  epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, &unused);
}

namespace {

constexpr uint32_t kMostAtOnce = 128;

// Answers how many of the events are not wake-ups.
uint32_t translate(const epoll_event* ready, long count, PollEvent* events,
                   bool* is_woken) noexcept {
  constexpr uint32_t kFailed = EPOLLERR | EPOLLHUP;
  uint32_t kept = 0;
  for (long i = 0; i < count; ++i) {
    if (ready[i].data.u64 == kWakeToken) {
      *is_woken = true;
      continue;
    }
    const uint32_t bits = ready[i].events;
    events[kept++] =
        PollEvent{ready[i].data.u64, (bits & (EPOLLIN | EPOLLRDHUP | kFailed)) != 0,
                  (bits & (EPOLLOUT | kFailed)) != 0, (bits & (EPOLLRDHUP | kFailed)) != 0};
  }
  return kept;
}

}  // namespace

uint32_t Poller::wait(uint64_t deadline_ns, PollEvent* events, uint32_t most) noexcept {
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
  epoll_event ready[kMostAtOnce];
  const int room = static_cast<int>(most < kMostAtOnce ? most : kMostAtOnce);
  long count = syscall(SYS_epoll_pwait2, epoll_, ready, room, timeout, nullptr, 0);
  if (count < 0 && errno == ENOSYS) count = epoll_wait(epoll_, ready, room, timeout_ms);
  bool is_woken = false;
  const uint32_t kept = translate(ready, count, events, &is_woken);
  uint64_t wakes;
  while (is_woken && read(event_, &wakes, sizeof wakes) < 0 && errno == EINTR) {
  }
  return kept;
}

uint32_t Poller::poll(PollEvent* events, uint32_t most) noexcept {
  epoll_event ready[kMostAtOnce];
  const int room = static_cast<int>(most < kMostAtOnce ? most : kMostAtOnce);
  bool is_woken = false;
  return translate(ready, epoll_wait(epoll_, ready, room, 0), events, &is_woken);
}

void Poller::wake() noexcept {
  const uint64_t one = 1;
  while (write(event_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

}  // namespace heddle::os
