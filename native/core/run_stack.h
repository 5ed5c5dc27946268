// The stack that compact fibers take turns on.
//
// A compact fiber always runs from the same top of the same run stack; when it parks, its live
// bytes are copied out, and later back to the same addresses. So a started compact fiber is bound
// to its run stack, and what moves between processors is the run stack with all its ready fibers.
//
// Always true:
// - `executing` is a try-lock: its holder alone touches the stack's memory and `ready`.
// - A run stack is in a run queue if and only if `queued` is set. Whoever pops it clears `queued`
//   first; if it then finds the stack executing it drops it, because the executor looks at the
//   inbox again after it has let go.
// - A run stack that is executing for long (a hog is on it) gets no new fibers: the try-lock fails
//   and the processor starts them elsewhere.
// - The last to let go of a stack that is detached, has no bound fibers and is in no queue puts it
//   among the free ones. There it stays held and queued, so that a late `post` leaves it alone.
#pragma once

#include "core/atomic.h"
#include "core/fiber.h"
#include "core/stack.h"

namespace heddle {

struct RunStack : Runnable {
  explicit RunStack(Stack* memory) noexcept : Runnable(RunnableKind::kRunStack), stack(memory) {}

  bool try_acquire() noexcept {
    uint32_t free = 0;
    return executing.load_relaxed() == 0 && executing.compare_exchange_acq_rel(free, 1);
  }

  // Any thread: a started fiber of this stack is ready. True if the caller must queue the stack.
  bool post(Fiber* fiber) noexcept;
  // Holder only.
  Fiber* take_ready() noexcept;
  // Holder only. True if the caller must queue the stack.
  bool release() noexcept;
  // Its processor starts no more fibers on it. True if the caller must queue it.
  bool detach() noexcept;

  Stack* const stack;
  Atomic<uint32_t> executing{0};
  Atomic<uint32_t> queued{0};
  Atomic<Runnable*> inbox{nullptr};
  RunnableList ready;
  Atomic<uint32_t> bound{0};     // started fibers that have not ended
  Atomic<uint32_t> attached{0};  // some processor starts fibers here

 private:
  bool unused() const noexcept;
};

// An attached run stack that nobody uses, held by the caller; nullptr without memory.
RunStack* take_run_stack() noexcept;

}  // namespace heddle
