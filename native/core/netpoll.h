// File descriptors that fibers wait on until they can be read or written.
//
// A descriptor is registered once, edge-triggered, for its life. Whoever uses it tries its system
// call first and waits only if that would have blocked. The edges of a side are a state of one
// word:
//   kIdle     no edge since the last forget_edge
//   kReady    an edge; the next wait returns at once, and consumes it
//   kWaiting  a fiber waits; `fiber` and `epoch` may be read by whoever makes it kTaking
//   kTaking   a poller reads them, for a few instructions
//   kClosed   every wait ends, now and later
// An edge that meets nobody stays; so a wait may return although the call would still block, and
// callers try again. At most one fiber waits for a side at a time.
//
// PollDescriptors are type-stable. An event carries the sequence number of the life that it was
// meant for, so that one that comes late finds another and does nothing; if it slips through, it
// is an edge that meets nobody. After Go's runtime/netpoll.go.
#pragma once

#include "core/fiber.h"
#include "core/timer_queue.h"

namespace heddle {

enum class Direction : uint8_t { kRead, kWrite };
enum class PollStatus : uint8_t { kReady, kTimedOut, kClosed };

struct PollDescriptor {
  enum State : uint32_t { kIdle, kReady, kWaiting, kTaking, kClosed };
  struct Side {
    Atomic<uint32_t> state{kIdle};
    Fiber* fiber = nullptr;
    uint64_t epoch = 0;
    // The waiting fiber's own.
    uint64_t deadline_ns = 0;
    TimerQueue* timers = nullptr;
  };
  Side& side(Direction direction) noexcept { return sides[static_cast<size_t>(direction)]; }

  Side sides[2];
  Atomic<bool> is_hung_up{false};  // the other end has closed, at least its way here
  Atomic<uint32_t> sequence{0};
  uint32_t index = 0;
  PollDescriptor* next_free = nullptr;
};

// 0, or an errno value: ENOMEM, or what epoll says. Needs a running scheduler.
int watch(int file, PollDescriptor** descriptor) noexcept;
// Nobody waits any more, and nobody will.
void unwatch(int file, PollDescriptor* descriptor) noexcept;

// Before a try: edges until now say nothing about what comes after it.
void forget_edge(PollDescriptor* descriptor, Direction direction) noexcept;
// On a fiber. Throws Cancelled.
PollStatus wait_ready(PollDescriptor* descriptor, Direction direction, uint64_t deadline_ns);
// Ends every wait, now and later, with kClosed. Any thread.
void evict(PollDescriptor* descriptor) noexcept;

// For the scheduler: the fibers that the event wakes, claimed; at most one for each side.
uint32_t take_woken(const os::PollEvent& event, Fiber* woken[2]) noexcept;

}  // namespace heddle
