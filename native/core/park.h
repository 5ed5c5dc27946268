// What a fiber may do with its time. The only ways for a fiber to give up its processor.
//
// All of these may be called on any OS thread as well; there `park` is refused, and the others
// sleep or yield the thread. After any of them the fiber may be on another OS thread.
#pragma once

#include "core/machine.h"

namespace heddle {

// Thrown inside a cancelled fiber by every wait and checkpoint; ends it quietly.
struct Cancelled {};

// Parks the running fiber. See ParkCommit for what `commit` must do. Returns when somebody claimed
// the wait; throws Cancelled if the fiber was asked to end, before or during the wait.
void park(WaitReason reason, ParkCommit commit, void* argument);

// The running fiber, or nullptr on a thread that is not running one.
Fiber* current_fiber() noexcept;

// Lets others run first.
void yield();

// A place where a long computation lets itself be interrupted: yields if the time slice (10 ms) is
// over, throws Cancelled if the task was cancelled. Costs a few nanoseconds otherwise.
void checkpoint();

// Whether a checkpoint would do anything.
inline bool may_be_interrupted(const Machine* machine) noexcept {
  return machine->preempt.load_relaxed() != 0 || machine->blocking.load_relaxed() != 0 ||
         machine->retake.load_relaxed() == kRetakeTaken ||
         machine->fiber->cancel_requested.load_relaxed() != 0;
}

// Never early; a deadline in the past only yields. os::kNever sleeps until cancelled.
void sleep_until(uint64_t deadline_ns);
void sleep_for(uint64_t duration_ns);  // saturates

// From now on the fiber runs on this OS thread only, and the thread runs nothing else, until the
// fiber ends. False for a compact fiber, which cannot keep a thread.
bool lock_to_thread() noexcept;

// --- for the runtime's own files ---

// Does what the context that was left has asked for. The first act after every switch.
void finish_post(Machine* machine) noexcept;
void overflow_to_global(Machine* machine, Fiber* fiber) noexcept;
[[gnu::always_inline]] inline void finish_switch(Machine* machine) noexcept {
  const PostAction action = machine->post.action;
  if (action == PostAction::kYield) {
    machine->post.action = PostAction::kNone;
    Fiber* fiber = machine->post.fiber;
    fiber->word.store_release(Waiter::make_word(WaiterState::kRunnable, fiber->epoch()));
    if (__builtin_expect(machine->processor->queue.push(fiber), true)) return;
    overflow_to_global(machine, fiber);
  } else if (action != PostAction::kNone) {
    finish_post(machine);
  }
}

// Leaves the running fiber's stack with machine->post set. When the fiber is resumed, it returns
// the machine of then.
Machine* leave_fiber(Machine* machine, Fiber* self) noexcept;

// Leaves a stack that will never be resumed.
[[noreturn]] void leave_for_good(Machine* machine, Stack* stack) noexcept;

// A stack whose context is a scheduler loop; nullptr without memory.
Stack* take_carrier(Processor* processor) noexcept;
void cache_carrier(Processor* processor, Stack* carrier) noexcept;

// Parks the fiber of a machine that is inside the runtime, and stays so: for waits that are served
// by their claimer (sync/), whose end counts even if the fiber was asked to end meanwhile.
void park_inside(Machine* machine, WaitReason reason, ParkCommit commit, void* argument) noexcept;

// Puts a fiber whose machine lost its processor back to work; returns its machine.
Machine* reacquire_processor(Machine* machine) noexcept;

}  // namespace heddle
