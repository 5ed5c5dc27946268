#include "core/blocking.h"

namespace heddle {

BlockingScope::BlockingScope() noexcept {
  RuntimeScope scope;
  Machine* machine = scope.machine();
  if (machine == nullptr || machine->fiber == nullptr) return;
  active_ = true;
  machine->blocking_calls.increment_single_writer();
  machine->blocking.store_release(1);
  Scheduler* scheduler = machine->scheduler;
  // Only if others wait already is the monitor worth waking; otherwise its next tick is enough.
  if (scheduler->others_wait(machine->processor, 0)) scheduler->kick_monitor();
}

BlockingScope::~BlockingScope() {
  if (!active_) return;
  // The fiber has not parked in between, so the thread is the same.
  Machine* machine = Machine::current();
  machine->blocking_calls.increment_single_writer();
  machine->blocking.store_release(0);
  exit_runtime(enter_runtime(machine));
}

namespace detail {

bool runs_compact() noexcept {
  Fiber* fiber = current_fiber();
  return fiber != nullptr && fiber->is_compact();
}

namespace {
bool submit_call(Fiber* fiber, void* argument) noexcept {
  auto* call = static_cast<BlockingCall*>(argument);
  call->fiber = fiber;
  call->epoch = fiber->epoch();
  // The fiber may go on as soon as the job is in the pool, so nothing of it is used afterwards.
  Scheduler* scheduler = call->scheduler;
  const int error = scheduler->blocking_pool().submit(call);
  if (error != 0) call->refused = true;
  return error == 0;
}
}  // namespace

void await_blocking_call(BlockingCall* call) {
  call->scheduler = Machine::current()->scheduler;
  // A cancelled fiber leaves at once; the call goes on and its result is dropped.
  try {
    park(WaitReason::kBlocking, submit_call, call);
  } catch (const Cancelled&) {
    const bool never_submitted = call->fiber == nullptr || call->refused;
    if (never_submitted) call->drop();
    throw;
  }
  if (call->refused) {
    // No thread can be had: the call is made here, and the monitor may take the processor.
    call->run(call);
  }
  if (call->failure) std::rethrow_exception(call->failure);
}

}  // namespace detail
}  // namespace heddle
