#include "core/park.h"

#include "core/check.h"
#include "core/exception_state.h"
#include "core/scheduler.h"
#include "core/turn.h"

namespace heddle {

namespace {

#if defined(HEDDLE_POISON)
constexpr unsigned char kPoison = 0xA5;
#endif

// Copies the live bytes of a compact fiber off its run stack.
void save_frame(Machine* machine, Fiber* fiber) noexcept {
  char* top = static_cast<char*>(fiber->run_stack->stack->top());
  char* low = static_cast<char*>(fiber->stack_pointer);
  const auto bytes = static_cast<uint32_t>(top - low);
  fiber->frame = machine->processor->frames.take(bytes);
  HEDDLE_CHECK(fiber->frame != nullptr, "out of memory for the frame of a compact fiber");
  fiber->frame_bytes = bytes;
  std::memcpy(fiber->frame, low, bytes);
#if defined(HEDDLE_POISON)
  // Below as well: what a returned call left behind must not be relied on either.
  const size_t below = low - fiber->run_stack->stack->bottom > 4096 ? 4096 : 0;
  std::memset(low - below, kPoison, bytes + below);
#endif
}

void publish_wait(Machine* machine, const Post& post) noexcept {
  Fiber* fiber = post.fiber;
  Processor* processor = machine->processor;
  fiber->parked_at_ns = processor->now_ns.load_relaxed();
  processor->counters.parked.increment_single_writer();
  processor->record(EventType::kPark, *fiber, static_cast<uint16_t>(fiber->wait_reason));
  fiber->begin_wait();
  const uint64_t epoch = fiber->epoch();
  if (!post.commit(fiber, post.argument)) {
    if (fiber->claim(epoch)) machine->scheduler->make_runnable(fiber, true);
    return;
  }
  // From here on the fiber may already run elsewhere, or have ended: descriptors stay readable,
  // and a claim of this epoch fails then. Pairs with the heavy fence in Scheduler::cancel.
  fence_light();
  if (fiber->cancel_requested.load_relaxed() != 0 && fiber->claim(epoch)) {
    machine->scheduler->make_runnable(fiber, false);
  }
}

}  // namespace

void finish_post(Machine* machine) noexcept {
  const Post post = machine->post;
  machine->post.action = PostAction::kNone;
  Fiber* fiber = post.fiber;
  switch (post.action) {
    case PostAction::kPark:
      if (fiber->is_compact()) save_frame(machine, fiber);
      publish_wait(machine, post);
      break;
    case PostAction::kYieldCompact:
      save_frame(machine, fiber);
      fiber->word.store_release(Waiter::make_word(WaiterState::kRunnable, fiber->epoch()));
      machine->scheduler->make_runnable(fiber, false);
      break;
    case PostAction::kYieldGlobal:
      fiber->word.store_release(Waiter::make_word(WaiterState::kRunnable, fiber->epoch()));
      machine->scheduler->enqueue_global(fiber);
      break;
    case PostAction::kRetireStack:
      stack_pool(post.stack->size_log2).give(post.stack);
      break;
    case PostAction::kExitCompact:
    case PostAction::kYield:
    case PostAction::kNone:
      break;
  }
}

void overflow_to_global(Machine* machine, Fiber* fiber) noexcept {
  machine->scheduler->enqueue_local(machine->processor, fiber, false);
}

namespace {
constexpr uint32_t kCarrierLimit = 512;  // what a full run queue leaves behind, and then some
constexpr uint32_t kCarrierBatch = 64;
}  // namespace

Stack* take_carrier(Processor* processor) noexcept {
  if (processor->carriers == nullptr) {
    int error = 0;
    processor->carriers = default_stack_pool().take_list(kCarrierBatch, &error);
    for (Stack* each = processor->carriers; each != nullptr; each = each->next) {
      each->stack_pointer = nullptr;
      ++processor->carrier_count;
    }
  }
  Stack* carrier = processor->carriers;
  if (carrier == nullptr) return nullptr;
  processor->carriers = carrier->next;
  --processor->carrier_count;
  arch::prefetch(processor->carriers);
  if (carrier->stack_pointer == nullptr) {
    sanitizer::renew_stack(carrier);
    carrier->stack_pointer = arch::make_context(carrier->top(), carrier_entry, nullptr);
  }
  return carrier;
}

void cache_carrier(Processor* processor, Stack* carrier) noexcept {
  // The suspended loops on those given back are simply forgotten: they own nothing. The one that
  // is being left right now must stay, since its context is not saved yet.
  if (processor->carrier_count >= kCarrierLimit) {
    Stack* first = processor->carriers;
    Stack* last = first;
    for (uint32_t i = 1; i < kCarrierBatch; ++i) last = last->next;
    processor->carriers = last->next;
    processor->carrier_count -= kCarrierBatch;
    default_stack_pool().give_list(first, last, kCarrierBatch);
  }
  carrier->next = processor->carriers;
  processor->carriers = carrier;
  ++processor->carrier_count;
}

namespace {

// What comes after the next fiber is on its way while that one runs: the descriptor two ahead, and
// the stack line of the one ahead. A thief may own that one by now, so what is read here may be
// stale, which a prefetch does not mind and ThreadSanitizer need not know.
__attribute__((no_sanitize("thread"))) inline void prefetch_following(
    const Processor* processor) noexcept {
  if (Runnable* second = processor->queue.peek(1)) arch::prefetch(second);
  Runnable* following = processor->queue.peek(0);
  if (following != nullptr && following->kind == RunnableKind::kFiber) {
    arch::prefetch(static_cast<Fiber*>(following)->stack_pointer);
  }
}

// A started standard fiber that can be switched to at once, without a turn of the loop.
[[gnu::always_inline]] inline Fiber* next_direct(Machine* machine) noexcept {
  Processor* processor = machine->processor;
  if (machine->run_stack != nullptr) return nullptr;  // only the loop can let go of it
  Runnable* next = quick_pop(machine);
  if (next == nullptr) return nullptr;
  prefetch_following(processor);
  if (next->kind == RunnableKind::kFiber) {
    auto* fiber = static_cast<Fiber*>(next);
    if (fiber->started() && !fiber->is_compact() && fiber->locked_machine == nullptr) {
      return fiber;
    }
  }
  processor->handed = next;
  return nullptr;
}

[[gnu::always_inline]] inline SwitchSide choose_target(Machine* machine,
                                                       bool direct_allowed) noexcept {
  if (machine->home_action == HomeAction::kNone && machine->processor != nullptr) {
    Fiber* next = direct_allowed ? next_direct(machine) : nullptr;
    if (next != nullptr) {
      machine->fiber = next;
      machine->stack = next->stack;
      return side_of(next->stack, &next->stack_pointer);
    }
    Stack* carrier = take_carrier(machine->processor);
    if (carrier != nullptr) {
      machine->fiber = nullptr;
      machine->stack = carrier;
      return side_of(carrier, &carrier->stack_pointer);
    }
  }
  machine->fiber = nullptr;
  machine->stack = nullptr;
  return machine->home_side();
}

[[gnu::always_inline]] inline Machine* leave(Machine* machine, Fiber* self) noexcept {
  check_no_lock_held("a fiber parks while it holds a lock of the runtime");
  const bool compact = self->is_compact();
  if (!compact && self->stack != machine->stack) {
    self->stack = machine->stack;
    if (machine->processor != nullptr) {
      machine->processor->counters.stacks_earned.increment_single_writer();
    }
  }
  if (self->locked_machine != nullptr) machine->home_action = HomeAction::kHandOffLocked;
  const int error_number = *machine->error_number;
  const ExceptionState exceptions = take_exception_state(machine);
  Stack* own = compact ? self->run_stack->stack : self->stack;
  const SwitchSide target = choose_target(machine, !compact);
  // Perhaps another OS thread from here on: nothing read before the switch may be used.
  auto* now =
      static_cast<Machine*>(switch_stacks(side_of(own, &self->stack_pointer), target, machine));
  finish_switch(now);
  put_exception_state(now, exceptions);
  *now->error_number = error_number;
  self->word.store_relaxed(Waiter::make_word(WaiterState::kRunning, self->epoch()));
  self->wait_reason = WaitReason::kNone;
  return now;
}

}  // namespace

Machine* leave_fiber(Machine* machine, Fiber* self) noexcept { return leave(machine, self); }

void leave_for_good(Machine* machine, Stack* stack) noexcept {
  const SwitchSide target = choose_target(machine, false);
  void* abandoned;
  switch_stacks(last_side_of(stack, &abandoned), target, machine);
  HEDDLE_CHECK(false, "a stack that was left for good was resumed");
  __builtin_unreachable();
}

Machine* reacquire_processor(Machine* machine) noexcept {
  Scheduler* scheduler = machine->scheduler;
  machine->hold(nullptr);
  scheduler->note_hog_returned(machine);
  machine->retake.store_release(kRetakeNone);
  if (scheduler->claim_idle_processor(machine)) return machine;
  Fiber* self = machine->fiber;
  const bool stays = self->is_compact() || self->locked_machine != nullptr;
  if (!stays) {
    machine->post = Post{PostAction::kYieldGlobal, self, nullptr, nullptr, nullptr};
    return leave_fiber(machine, self);
  }
  // The stack cannot be left: wait for a processor in place, as a fiber locked to this thread.
  const bool was_locked = self->locked_machine != nullptr;
  scheduler->wait_in_place(machine, self);
  if (!was_locked) {
    self->locked_machine = nullptr;
    machine->locked_fiber = nullptr;
  }
  self->word.store_relaxed(Waiter::make_word(WaiterState::kRunning, self->epoch()));
  return machine;
}

namespace {
[[noreturn]] __attribute__((noinline)) void throw_cancelled() { throw Cancelled{}; }

void throw_if_cancelled(Fiber* self) {
  if (__builtin_expect(self->cancel_requested.load_relaxed() != 0, false)) throw_cancelled();
}

const void* suspended(void* raw_machine, void* raw_self, const void* site) {
  auto* machine = static_cast<Machine*>(raw_machine);
  auto* self = static_cast<Fiber*>(raw_self);
  machine->left_from = site;
  machine = leave(machine, self);
  const void* const predicted = machine->left_from;
  exit_runtime(machine);
  throw_if_cancelled(self);
  return predicted;
}

const void* suspended_inside(void* raw_machine, void* raw_self, const void* site) {
  auto* machine = static_cast<Machine*>(raw_machine);
  machine->left_from = site;
  return leave(machine, static_cast<Fiber*>(raw_self))->left_from;
}

// The way out of a fiber and back into it, for parks and yields alike.
[[gnu::always_inline]] inline void suspend(Machine* machine, Fiber* self) {
  heddle_call_with_site(machine, self, suspended);
}

void give_way(Machine* machine, PostAction action) {
  machine = enter_runtime(machine);
  Fiber* self = machine->fiber;
  machine->processor->counters.yielded.increment_single_writer();
  machine->processor->record(EventType::kYield, *self);
  machine->post.action = self->is_compact() ? PostAction::kYieldCompact : action;
  machine->post.fiber = self;
  suspend(machine, self);
}
}  // namespace

Fiber* current_fiber() noexcept {
  Machine* machine = Machine::current();
  return machine != nullptr ? machine->fiber : nullptr;
}

void park(WaitReason reason, ParkCommit commit, void* argument) {
  Machine* machine = Machine::current();
  HEDDLE_CHECK(machine != nullptr && machine->fiber != nullptr, "park is called on a fiber");
  machine = enter_runtime(machine);
  Fiber* self = machine->fiber;
  if (__builtin_expect(self->cancel_requested.load_relaxed() != 0, false)) {
    exit_runtime(machine);
    throw_cancelled();
  }
  self->wait_reason = reason;
  machine->post = Post{PostAction::kPark, self, nullptr, commit, argument};
  suspend(machine, self);
}

void park_inside(Machine* machine, WaitReason reason, ParkCommit commit, void* argument) noexcept {
  Fiber* self = machine->fiber;
  self->wait_reason = reason;
  machine->post = Post{PostAction::kPark, self, nullptr, commit, argument};
  heddle_call_with_site(machine, self, suspended_inside);
}

void yield() {
  Machine* machine = Machine::current();
  if (machine == nullptr || machine->blocking.load_relaxed() != 0) {
    os::yield_thread();
    return;
  }
  give_way(machine, PostAction::kYield);
}

void checkpoint() {
  os::ThreadSlot& slot = os::thread_slot();
  auto* machine = static_cast<Machine*>(slot.machine);
  if (machine == nullptr) {
    if (slot.cancel_flag != nullptr && slot.cancel_flag->load_relaxed() != 0) throw_cancelled();
    return;
  }
  if (machine->blocking.load_relaxed() != 0) return;
  throw_if_cancelled(machine->fiber);
  const bool asked =
      machine->preempt.load_relaxed() != 0 || machine->retake.load_relaxed() == kRetakeTaken;
  if (__builtin_expect(asked, false)) give_way(machine, PostAction::kYieldGlobal);
}

namespace {
// In slices, so that a cancelled task on a thread of its own wakes up soon.
void sleep_thread(uint64_t deadline_ns) {
  constexpr uint64_t kSliceNs = 20'000'000;
  for (uint64_t now = os::now_ns(); now < deadline_ns; now = os::now_ns()) {
    checkpoint();
    os::sleep_until(deadline_ns - now > kSliceNs ? now + kSliceNs : deadline_ns);
  }
  checkpoint();
}

bool arm_sleep(Fiber* fiber, void* argument) noexcept {
  const auto deadline_ns = reinterpret_cast<uintptr_t>(argument);
  if (deadline_ns != os::kNever) {
    Machine::current()->processor->arm_timer(TimerEntry{deadline_ns, fiber, fiber->epoch()});
  }
  return true;
}
}  // namespace

void sleep_until(uint64_t deadline_ns) {
  static_assert(sizeof(void*) == 8, "a deadline travels as a pointer-sized value");
  Machine* machine = Machine::current();
  if (machine == nullptr || machine->blocking.load_relaxed() != 0) {
    sleep_thread(deadline_ns);
    return;
  }
  park(WaitReason::kSleep, arm_sleep, reinterpret_cast<void*>(deadline_ns));
}

void sleep_for(uint64_t duration_ns) {
  if (duration_ns == 0) {
    yield();
    return;
  }
  const uint64_t now = os::now_ns();
  sleep_until(duration_ns > os::kNever - now ? os::kNever : now + duration_ns);
}

bool lock_to_thread() noexcept {
  RuntimeScope scope;
  Machine* machine = scope.machine();
  if (machine == nullptr || machine->fiber->is_compact()) return false;
  machine->fiber->locked_machine = machine;
  machine->locked_fiber = machine->fiber;
  return true;
}

}  // namespace heddle
