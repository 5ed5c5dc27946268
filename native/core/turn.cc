#include "core/turn.h"

#include <utility>

#include "core/check.h"
#include "core/fiber_local.h"
#include "core/park.h"
#include "core/scheduler.h"

namespace heddle {

namespace {

constexpr uint32_t kRunStackBudget = 32;

inline void finish_fiber(Machine* machine, Fiber* fiber, ExitStatus status) noexcept {
  Processor* processor = machine->processor;
  processor->counters.exited.increment_single_writer();
  processor->record(EventType::kExit, *fiber, static_cast<uint16_t>(status));
  if (fiber->spec.on_exit != nullptr) fiber->spec.on_exit(fiber, status);
  // Clean again, as the next spawn expects it (see fiber.h).
  fiber->stack_pointer = nullptr;
  fiber->cancel_requested.store_relaxed(0);
  fiber->locked_machine = nullptr;
  fiber->word.store_release(Waiter::make_word(WaiterState::kFree, fiber->epoch()));
  if (!processor->fibers.try_give(fiber)) processor->fibers.give(fiber_pool(), fiber);
}

// From the first instruction of a fiber to its last; the caller decides about the stack. Returns
// the machine that it ended on.
[[gnu::always_inline]] inline Machine* run_fiber(Machine* machine, Fiber* fiber) noexcept {
  Processor* processor = machine->processor;
  processor->counters.started.increment_single_writer();
  processor->record(EventType::kStart, *fiber);
  machine->fiber = fiber;
  fiber->word.store_relaxed(Waiter::make_word(WaiterState::kRunning, fiber->epoch()));
  if (fiber->spec.locks_thread) {
    fiber->locked_machine = machine;
    machine->locked_fiber = fiber;
  }
  exit_runtime(machine);
  ExitStatus status = ExitStatus::kDone;
  try {
    fiber->spec.entry(fiber);
  } catch (const Cancelled&) {
    status = ExitStatus::kCancelled;
  }
  // Anything else, a forced unwind of the thread included, meets noexcept: std::terminate, as at
  // the end of a std::thread.
  if (fiber->locals != nullptr) destroy_fiber_locals();  // destructors may park
  // A fiber that has never left its stack is still where it started.
  if (fiber->started()) machine = Machine::current();
  machine = enter_runtime(machine);
  if (__builtin_expect(fiber->locked_machine != nullptr, false)) machine->locked_fiber = nullptr;
  machine->fiber = nullptr;
  finish_fiber(machine, fiber, status);
  return machine;
}

[[noreturn]] void own_stack_entry(void* argument) noexcept {
  sanitizer::arrive_first();
  auto* fiber = static_cast<Fiber*>(argument);
  Machine* machine = Machine::current();
  finish_switch(machine);
  Stack* stack = fiber->stack;
  machine = run_fiber(machine, fiber);
  machine->post = Post{PostAction::kRetireStack, nullptr, stack, nullptr, nullptr};
  leave_for_good(machine, stack);
}

[[noreturn]] void compact_entry(void* argument) noexcept {
  sanitizer::arrive_first();
  auto* fiber = static_cast<Fiber*>(argument);
  Machine* machine = Machine::current();
  finish_switch(machine);
  RunStack* run_stack = fiber->run_stack;
  machine = run_fiber(machine, fiber);
  run_stack->bound.fetch_sub_acq_rel(1);
  machine->post = Post{PostAction::kExitCompact, nullptr, nullptr, nullptr, nullptr};
  leave_for_good(machine, run_stack->stack);
}

// Leaves the running loop for a context. When the loop is taken up again, perhaps by another OS
// thread, it returns the machine of then.
Machine* switch_from_loop(Machine* machine, Fiber* fiber, Stack* target) noexcept {
  machine->fiber = fiber;
  const SwitchSide to = side_of(target, &fiber->stack_pointer);
  Stack* own = machine->stack;
  machine->stack = target;
  if (own != nullptr) cache_carrier(machine->processor, own);
  const SwitchSide from = own != nullptr ? side_of(own, &own->stack_pointer) : machine->home_side();
  machine = static_cast<Machine*>(switch_stacks(from, to, machine));
  finish_switch(machine);
  return machine;
}

Machine* fail_without_stack(Machine* machine, Fiber* fiber) noexcept {
  finish_fiber(machine, fiber, ExitStatus::kNoStack);
  return machine;
}

Machine* start_on_own_stack(Machine* machine, Fiber* fiber) noexcept {
  int error = 0;
  const uint32_t size_log2 =
      fiber->spec.stack_size_log2 != 0 ? fiber->spec.stack_size_log2 : kDefaultStackLog2;
  Stack* stack = stack_pool(size_log2).take(&error);
  if (stack == nullptr) return fail_without_stack(machine, fiber);
  sanitizer::renew_stack(stack);
  fiber->stack = stack;
  fiber->stack_pointer = arch::make_context(stack->top(), own_stack_entry, fiber);
  return switch_from_loop(machine, fiber, stack);
}

// A run stack of this processor that is free right now, held by the machine on return.
RunStack* acquire_start_stack(Machine* machine) noexcept {
  Processor* processor = machine->processor;
  constexpr uint32_t kRotateMask = 31;
  for (uint32_t attempt = 0; attempt < Processor::kRunStacks; ++attempt) {
    const uint32_t at = (processor->run_stack_turn + attempt) % Processor::kRunStacks;
    RunStack*& place = processor->run_stacks[at];
    if (place == nullptr) {
      place = take_run_stack();
      return place;
    }
    if (place->try_acquire()) {
      // Spread the bound fibers, or they could never run on more than one processor.
      if ((place->bound.load_relaxed() & kRotateMask) == kRotateMask) ++processor->run_stack_turn;
      return place;
    }
  }
  // All are busy elsewhere: a hog is on them, or another processor runs their fibers.
  RunStack* fresh = take_run_stack();
  if (fresh == nullptr) return nullptr;
  RunStack*& place = processor->run_stacks[processor->run_stack_turn++ % Processor::kRunStacks];
  RunStack* replaced = std::exchange(place, fresh);
  if (replaced->detach()) machine->scheduler->enqueue_local(processor, replaced, false);
  return fresh;
}

Machine* start_compact(Machine* machine, Fiber* fiber) noexcept {
  RunStack* run_stack = acquire_start_stack(machine);
  if (run_stack == nullptr) return fail_without_stack(machine, fiber);
  machine->run_stack = run_stack;
  machine->run_stack_budget = kRunStackBudget;
  run_stack->bound.fetch_add_relaxed(1);
  fiber->run_stack = run_stack;
  fiber->stack_pointer = arch::make_context(run_stack->stack->top(), compact_entry, fiber);
  return switch_from_loop(machine, fiber, run_stack->stack);
}

Machine* resume_compact(Machine* machine, Fiber* fiber) noexcept {
  std::memcpy(fiber->stack_pointer, fiber->frame, fiber->frame_bytes);
  machine->processor->frames.give(fiber->frame, fiber->frame_bytes);
  fiber->frame = nullptr;
  return switch_from_loop(machine, fiber, fiber->run_stack->stack);
}

void release_run_stack(Machine* machine) noexcept {
  RunStack* run_stack = machine->run_stack;
  machine->run_stack = nullptr;
  if (run_stack->release()) {
    machine->scheduler->enqueue_local(machine->processor, run_stack, false);
  }
}

Machine* start_fiber(Machine* machine, Fiber* fiber) noexcept {
  const bool compact = fiber->is_compact();
  if (!compact && fiber->spec.stack_size_log2 == 0) {
    if (machine->stack == nullptr) return fail_without_stack(machine, fiber);  // at home
    return run_fiber(machine, fiber);
  }
  if (compact && !kSanitized) return start_compact(machine, fiber);
  fiber->spec.stack_class = StackClass::kStandard;  // a context of its own for sanitizers
  return start_on_own_stack(machine, fiber);
}

void hold_run_stack(Machine* machine, RunStack* run_stack) noexcept {
  run_stack->queued.store_release(0);
  fence_seq_cst();  // pairs with the fence in RunStack::release: one of us sees the other
  if (!run_stack->try_acquire()) return;
  machine->run_stack = run_stack;
  machine->run_stack_budget = kRunStackBudget;
}

Machine* dispatch(Machine* machine, Runnable* runnable) noexcept {
  if (__builtin_expect(runnable->kind == RunnableKind::kRunStack, false)) {
    hold_run_stack(machine, static_cast<RunStack*>(runnable));
    return machine;
  }
  auto* fiber = static_cast<Fiber*>(runnable);
  if (!fiber->started()) return start_fiber(machine, fiber);
  if (fiber->locked_machine != nullptr && fiber->locked_machine != machine) {
    machine->home_action = HomeAction::kServeLocked;
    machine->home_fiber = fiber;
    return machine;
  }
  if (fiber->is_compact()) return resume_compact(machine, fiber);
  return switch_from_loop(machine, fiber, fiber->stack);
}

// What most spawned fibers are: they can be called right here, on the loop's own stack.
bool is_fresh_and_plain(const Runnable* runnable) noexcept {
  if (runnable->kind != RunnableKind::kFiber) return false;
  const auto* fiber = static_cast<const Fiber*>(runnable);
  return !fiber->started() && !fiber->is_compact() && fiber->spec.stack_size_log2 == 0;
}

// Runs one full turn and returns the machine of the loop from then on; sets *go_home when it has to
// go.
Machine* run_turn(Machine* machine, bool* go_home) noexcept {
  machine->preempt.store_relaxed(0);
  Runnable* runnable = nullptr;
  if (__builtin_expect(machine->run_stack != nullptr, false)) {
    if (machine->run_stack_budget-- > 0) runnable = machine->run_stack->take_ready();
    if (runnable != nullptr) {
      machine->processor->turn.increment_single_writer();
    } else {
      release_run_stack(machine);
    }
  }
  if (runnable == nullptr) runnable = machine->scheduler->next_runnable(machine);
  if (runnable != nullptr) machine = dispatch(machine, runnable);
  *go_home = runnable == nullptr || machine->home_action != HomeAction::kNone;
  return machine;
}

Machine* go_home_from(Machine* machine) noexcept {
  Stack* own = machine->stack;
  if (machine->processor != nullptr) {
    cache_carrier(machine->processor, own);
  } else {
    machine->post = Post{PostAction::kRetireStack, nullptr, own, nullptr, nullptr};
  }
  machine->stack = nullptr;
  machine->fiber = nullptr;
  machine = static_cast<Machine*>(
      switch_stacks(side_of(own, &own->stack_pointer), machine->home_side(), machine));
  finish_switch(machine);
  return machine;
}

}  // namespace

void carrier_entry(void*) noexcept {
  sanitizer::arrive_first();
  Machine* machine = Machine::current();
  finish_switch(machine);
  for (;;) {
    if (__builtin_expect(machine->run_stack == nullptr, true)) {
      Runnable* runnable = quick_pop(machine);
      if (runnable != nullptr && is_fresh_and_plain(runnable)) {
        machine = run_fiber(machine, static_cast<Fiber*>(runnable));
        continue;
      }
      if (runnable != nullptr) machine->processor->handed = runnable;
    }
    bool go_home;
    machine = run_turn(machine, &go_home);
    if (__builtin_expect(go_home, false)) machine = go_home_from(machine);
  }
}

void enter_carrier(Machine* machine) noexcept {
  if (machine->locked_fiber != nullptr) {
    switch_from_loop(machine, machine->locked_fiber, machine->locked_fiber->stack);
    return;
  }
  Stack* carrier = take_carrier(machine->processor);
  if (carrier == nullptr) {
    bool go_home;
    run_turn(machine, &go_home);
    return;
  }
  machine->stack = carrier;
  switch_stacks(machine->home_side(), side_of(carrier, &carrier->stack_pointer), machine);
  finish_switch(machine);
}

}  // namespace heddle
