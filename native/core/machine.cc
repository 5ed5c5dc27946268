// The life of the OS threads that run fibers, seen from their own stacks.
#include "core/machine.h"

#include <cxxabi.h>

#include "core/check.h"
#include "core/park.h"
#include "core/scheduler.h"
#include "core/turn.h"

namespace heddle {

namespace {
// Fibers never run on a machine's own stack; the runtime's own frames need little.
constexpr size_t kHomeStackBytes = 128 * 1024;
}  // namespace

Machine::Machine(Scheduler* owner, uint32_t machine_index) noexcept
    : scheduler(owner), index(machine_index), random(os::random_seed() | 1) {}

void Scheduler::machine_main(void* argument) noexcept {
  auto* machine = static_cast<Machine*>(argument);
  os::thread_slot().machine = machine;
  machine->exception_globals = abi::__cxa_get_globals();
  machine->error_number = os::errno_address();
  machine->home = os::thread_stack_bounds();
  Scheduler* scheduler = machine->scheduler;
  while (!scheduler->stopping()) {
    if (machine->processor == nullptr) {
      scheduler->wait_for_processor(machine);
      continue;
    }
    enter_carrier(machine);
    scheduler->act_at_home(machine);
  }
  os::thread_slot().machine = nullptr;
  scheduler->stopped_machines_.fetch_add_seq_cst(1);
  os::futex_wake(scheduler->stopped_machines_, 1);
}

void Scheduler::act_at_home(Machine* machine) noexcept {
  const HomeAction action = machine->home_action;
  machine->home_action = HomeAction::kNone;
  switch (action) {
    case HomeAction::kNone:
      break;
    case HomeAction::kRelease: {
      Processor* processor = machine->processor;
      machine->hold(nullptr);
      retire_processor(processor);
      break;
    }
    case HomeAction::kHandOffLocked:
      hand_off_locked(machine);
      break;
    case HomeAction::kServeLocked:
      serve_locked(machine);
      break;
  }
}

void Scheduler::make_spare_locked(Machine* machine) noexcept {
  machine->next_spare = spare_machines_;
  spare_machines_ = machine;
}

void Scheduler::wait_for_processor(Machine* machine) noexcept {
  {
    LockGuard guard(lock_);
    if (stopping_.load_relaxed()) return;
    machine->signal.store_relaxed(0);
    make_spare_locked(machine);
  }
  wait_for_signal(machine, os::kNever, false);
}

// A machine for a processor that has none awake: its sleeping owner, a spare one, or a new one.
// The caller wakes its thread after unlocking. nullptr: the processor went back to the idle list.
Machine* Scheduler::start_machine_locked(Processor* processor, bool searching) noexcept {
  Machine* machine = processor->machine.load_relaxed();
  if (machine == nullptr && spare_machines_ != nullptr) {
    machine = spare_machines_;
    spare_machines_ = machine->next_spare;
    machine->hold(processor);
    processor->machine.store_release(machine);
  }
  if (machine != nullptr) {
    // Under the lock, or a late signal could end a later sleep that nobody has claimed.
    machine->searching = searching;
    machine->signal.store_seq_cst(1);
    return machine;
  }
  const uint32_t count = machine_count_.load_relaxed();
  if (count < machine_limit_ && !stopping_.load_relaxed()) {
    machine = new (std::nothrow) Machine(this, count);
    if (machine != nullptr) {
      machine->hold(processor);
      machine->searching = searching;
      if (os::start_thread(&machine->thread, "heddle", kHomeStackBytes, machine_main, machine) ==
          0) {
        processor->machine.store_release(machine);
        machines_[count].store_release(machine);
        machine_count_.store_release(count + 1);
        return machine;
      }
      delete machine;
    }
  }
  // No thread can be had. What is queued here can be stolen, and a machine that comes back from a
  // blocking call takes the processor from the idle list.
  push_idle_locked(processor);
  return nullptr;
}

bool Scheduler::claim_idle_processor(Machine* machine) noexcept {
  LockGuard guard(lock_);
  if (stopping_.load_relaxed()) return false;
  Processor* processor = pop_idle_locked();
  if (processor == nullptr) return false;
  Machine* sleeper = processor->machine.load_relaxed();
  if (sleeper != nullptr) {
    sleeper->hold(nullptr);
    make_spare_locked(sleeper);  // sleeps on, without a deadline
  }
  processor->machine.store_release(machine);
  machine->hold(processor);
  return true;
}

void Scheduler::hand_off(Processor* processor) noexcept {
  Machine* machine;
  {
    LockGuard guard(lock_);
    processor->machine.store_release(nullptr);
    machine = start_machine_locked(processor);
  }
  wake_thread(machine);
}

// The fiber locked to this thread has parked: the processor serves others until it is ready.
void Scheduler::hand_off_locked(Machine* machine) noexcept {
  Machine* other = nullptr;
  {
    LockGuard guard(lock_);
    if (machine->locked_ready || stopping_.load_relaxed()) {
      machine->locked_ready = false;
      return;
    }
    machine->awaits_locked = true;
    machine->signal.store_relaxed(0);
    if (Processor* processor = machine->processor) {
      machine->hold(nullptr);
      processor->machine.store_release(nullptr);
      other = start_machine_locked(processor);
    }
  }
  wake_thread(other);
  wait_for_signal(machine, os::kNever, false);
}

// This machine has taken a fiber from a queue that only another thread may run.
void Scheduler::serve_locked(Machine* machine) noexcept {
  Machine* owner = machine->home_fiber->locked_machine;
  machine->home_fiber = nullptr;
  {
    LockGuard guard(lock_);
    if (!owner->awaits_locked) {
      owner->locked_ready = true;  // it is about to look
      return;
    }
    owner->awaits_locked = false;
    owner->hold(machine->processor);
    owner->processor->machine.store_release(owner);
    owner->signal.store_seq_cst(1);
    machine->hold(nullptr);
  }
  wake_thread(owner);
}

// A fiber whose stack cannot be left waits for a processor on its own thread.
void Scheduler::wait_in_place(Machine* machine, Fiber* self) noexcept {
  self->locked_machine = machine;
  machine->locked_fiber = self;
  if (!self->is_compact()) {
    // As after a park, so that nobody takes it for one that has not started.
    self->stack = machine->stack;
    self->stack_pointer = __builtin_frame_address(0);
  }
  {
    LockGuard guard(lock_);
    machine->awaits_locked = true;
    machine->signal.store_relaxed(stopping_.load_relaxed() ? 1 : 0);  // the stop signals once
  }
  self->word.store_release(Waiter::make_word(WaiterState::kRunnable, self->epoch()));
  enqueue_global(self);
  wait_for_signal(machine, os::kNever, false);
  if (machine->processor == nullptr) {
    // At the stop no processor comes: the fiber ends here, unfinished as all others.
    machine->stack = self->is_compact() ? self->run_stack->stack : machine->stack;
    leave_for_good(machine, machine->stack);
  }
}

}  // namespace heddle
