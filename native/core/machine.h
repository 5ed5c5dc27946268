// An OS thread that can hold a processor.
//
// A machine runs either at home (its pthread stack: start, waiting without a processor, the end)
// or on a carrier or fiber stack. What must happen after a stack was left is put into `post` by
// the leaver and done by `finish_switch` on the stack that is arrived at.
//
// Retaking a processor (see monitor.cc): a machine inside the runtime owns its processor; outside
// it may lose it. Entry sets `in_runtime`, then reads `retake`; the monitor sets `retake`, makes
// every thread execute a barrier, then reads `in_runtime`. A CAS on `retake` settles ties.
#pragma once

#include "core/fiber.h"
#include "core/processor.h"
#include "core/sanitizer.h"

namespace heddle {

class Scheduler;

// Runs after the parking fiber has left its stack and is officially waiting. It publishes the wait
// (arms a timer, unlocks a channel). False takes the park back: the fiber goes on.
// `argument` is passed by value; it must not point into the fiber's stack.
using ParkCommit = bool (*)(Fiber* fiber, void* argument) noexcept;

enum class PostAction : uint8_t {
  kNone,
  kPark,   // the fiber waits; commit publishes it
  kYield,  // the standard fiber goes to the tail of the local queue
  kYieldCompact,
  kYieldGlobal,  // the fiber goes to the tail of the global queue
  kRetireStack,  // the fiber ended on a stack of its own
  kExitCompact,  // the fiber ended on a run stack
};

enum class HomeAction : uint8_t {
  kNone,           // the processor is lost already, or the machine stops
  kRelease,        // give the processor away: its count was lowered
  kHandOffLocked,  // the locked fiber parked: others need the processor
  kServeLocked,    // a fiber locked to another machine is ready: that machine needs the processor
};

enum RetakeState : uint32_t { kRetakeNone = 0, kRetakeRequested = 1, kRetakeTaken = 2 };

struct Post {
  PostAction action = PostAction::kNone;
  Fiber* fiber = nullptr;
  Stack* stack = nullptr;
  ParkCommit commit = nullptr;
  void* argument = nullptr;
};

struct Machine {
  explicit Machine(Scheduler* owner, uint32_t machine_index) noexcept;

  // The machine of the calling OS thread; nullptr on foreign threads. Valid until the next park.
  static Machine* current() noexcept { return static_cast<Machine*>(os::thread_slot().machine); }

  SwitchSide home_side() noexcept {
#if defined(HEDDLE_ASAN) || defined(HEDDLE_TSAN)
    return SwitchSide{&home_stack_pointer, static_cast<char*>(home.bottom), home.bytes,
                      &home_sanitizer_fiber, &home_fake_stack};
#else
    return SwitchSide{&home_stack_pointer};
#endif
  }

  // By the machine itself, or under the scheduler's lock while it sleeps or has not started.
  void hold(Processor* next) noexcept {
    processor = next;
    held.store_release(next);
  }

  Scheduler* const scheduler;
  const uint32_t index;
  Processor* processor = nullptr;
  Atomic<Processor*> held{nullptr};  // the same, for the monitor
  Fiber* fiber = nullptr;            // that runs
  Stack* stack = nullptr;            // that it or the loop runs on; nullptr at home
  RunStack* run_stack = nullptr;     // held by this machine
  uint32_t run_stack_budget = 0;
  Post post;
  const void* left_from = nullptr;  // the place that the fiber which left last will return to
  HomeAction home_action = HomeAction::kNone;
  Fiber* home_fiber = nullptr;
  bool searching = false;
  bool settled = false;  // has given back what it could since it last ran something
  uint64_t random;
  void* exception_globals = nullptr;  // __cxa_get_globals() of this thread
  int* error_number = nullptr;        // &errno of this thread

  alignas(64) Atomic<uint32_t> in_runtime{1};
  Atomic<uint32_t> retake{kRetakeNone};
  Atomic<uint32_t> preempt{0};   // asks the running fiber to yield
  Atomic<uint32_t> blocking{0};  // inside blocking(): the processor may be taken at once
  Atomic<uint32_t> blocking_calls{0};

  // Written under the scheduler's lock.
  alignas(64) Atomic<uint32_t> signal{0};  // futex word: 1 = look at `processor` again
  Atomic<bool> sleeps_in_poller{false};
  Fiber* locked_fiber = nullptr;  // fiber that is locked to this thread
  bool awaits_locked = false;     // handed its processor off until the locked fiber is ready
  bool locked_ready = false;      // ... which it became before the hand-off was complete
  Machine* next_spare = nullptr;

  os::Thread thread;
  os::StackBounds home;
  void* home_stack_pointer = nullptr;
  void* home_sanitizer_fiber = nullptr;
  void* home_fake_stack = nullptr;

  Atomic<bool> is_hog{false};  // lost its processor while running a fiber
};

}  // namespace heddle
