#include "sync/wait.h"

#include <cstdlib>
#include <new>

#include "core/check.h"
#if defined(HEDDLE_MODEL)
#include "os/sim/simulation.h"
#include "os/sim/vector_clock.h"
#endif

namespace heddle {

namespace {

// In slices, so that a cancelled task on a thread of its own notices.
constexpr uint64_t kSliceNs = 20'000'000;
constexpr uint32_t kThreadNodes = 4;

struct ThreadWaiter : Waiter {
  Atomic<uint32_t> signal{0};
  alignas(8) unsigned char block[sizeof(Wait) + kThreadNodes * sizeof(WaitNode)];
};

// Its thread may be gone when the last call returns: only the address is used then.
void resume_thread(Waiter* waiter) {
  auto* thread = static_cast<ThreadWaiter*>(waiter);
  thread->signal.store_release(1);
  os::futex_wake(thread->signal, 1);
}

ThreadWaiter& thread_waiter() noexcept {
#if defined(HEDDLE_MODEL)
  // Simulated threads share the thread-local variables of one OS thread.
  static ThreadWaiter waiters[sim::kMaxThreads];
  return waiters[sim::running_thread()];
#else
  static thread_local ThreadWaiter waiter;
  return waiter;
#endif
}

bool thread_is_cancelled() noexcept {
  const Atomic<uint8_t>* flag = os::thread_slot().cancel_flag;
  return flag != nullptr && flag->load_relaxed() != 0;
}

bool commit_wait(Fiber* fiber, void* argument) noexcept {
  auto* wait = static_cast<Wait*>(argument);
  if (wait->deadline_ns != os::kNever) {
    Processor* processor = Machine::current()->processor;
    wait->timers = &processor->timers;
    processor->arm_timer(TimerEntry{wait->deadline_ns, fiber, wait->epoch});
  }
  unlock_all(wait);
  return true;
}

// True for the first node of its waitable, in the order of the block.
bool is_first_there(Wait* wait, const WaitNode* node) noexcept {
  for (const WaitNode* each = wait->nodes(); each != node; ++each) {
    if (each->waitable == node->waitable) return false;
  }
  return true;
}

void end_abandoned(Wait* wait, Machine* machine) noexcept {
  WaitNode* const nodes = wait->nodes();
  Served served(machine);
  for (uint32_t i = 0; i < wait->count; ++i) nodes[i].waitable->unlink(&nodes[i]);
  wait->winner->waitable->abandon_all(&served);
  unlock_all(wait);
}

}  // namespace

bool link_all(Wait* wait, Machine* machine) noexcept {
  WaitNode* const nodes = wait->nodes();
  for (uint32_t i = 0; i < wait->count; ++i) {
    nodes[i].wait = wait;
    nodes[i].outcome = WaitOutcome::kPending;
    nodes[i].is_holder = i == 0 || is_first_there(wait, &nodes[i]);
    nodes[i].waitable->link(&nodes[i]);
    // Asked once: the answer may change at any time, with the end of somebody else's wait.
    if (__builtin_expect(nodes[i].waitable->is_abandoned(), false) && wait->winner == nullptr) {
      nodes[i].outcome = WaitOutcome::kAbandoned;
      wait->winner = &nodes[i];
    }
  }
  if (__builtin_expect(wait->winner == nullptr, true)) return true;
  end_abandoned(wait, machine);
  return false;
}

void unlock_all(Wait* wait) noexcept {
  // A node whose lock is still held keeps the block alive, so the last lock is the last act.
  WaitNode* const nodes = wait->nodes();
  const uint32_t count = wait->count;
  if (count == 1) {
    nodes[0].waitable->unlock();
    return;
  }
  Waitable* last = nullptr;
  for (uint32_t i = 0; i < count; ++i) {
    if (!is_first_there(wait, &nodes[i])) continue;
    Waitable* const next = nodes[i].waitable;
    if (last != nullptr) last->unlock();
    last = next;
  }
  if (last != nullptr) last->unlock();
}

void unlink_rest(Wait* wait, Machine* machine) noexcept {
  WaitNode* const nodes = wait->nodes();
  for (uint32_t i = 0; i < wait->count; ++i) {
    if (&nodes[i] == wait->winner) continue;
    // Also a node that is off its queue: whoever took it off may still hold the lock and look at
    // it, and so may the commit of this wait.
    Served served(machine);
    Waitable* const waitable = nodes[i].waitable;
    waitable->lock();
    const bool late = waitable->take_back_locked(&nodes[i], &served);
    waitable->unlock();
    if (late && wait->winner == nullptr) {
      nodes[i].outcome = WaitOutcome::kDone;
      wait->winner = &nodes[i];
    }
  }
}

void* Caller::begin_on_thread(uint32_t count) noexcept {
  return count <= kThreadNodes ? thread_waiter().block : std::malloc(Wait::bytes_for(count));
}

void Caller::end_on_thread(Wait* wait, uint32_t count) noexcept {
  if (count > kThreadNodes) std::free(wait);
}

WaitEnd Caller::block(Wait* wait, WaitReason reason) noexcept {
  if (!link_all(wait, machine())) return WaitEnd::kServed;
  const bool cancelled = machine() != nullptr ? block_fiber(wait, reason) : block_thread(wait);
  if (wait->winner == nullptr || wait->count > 1) unlink_rest(wait, machine());
  if (wait->winner != nullptr) return WaitEnd::kServed;
  return cancelled ? WaitEnd::kCancelled : WaitEnd::kTimedOut;
}

// Both answer whether the task was asked to end.

bool Caller::block_fiber(Wait* wait, WaitReason reason) noexcept {
  Machine* machine = scope_.machine();
  Fiber* const self = machine->fiber;
  wait->waiter = self;
  wait->epoch = self->epoch() + 1;  // as begin_wait will make it
  park_inside(machine, reason, commit_wait, wait);
  scope_.continue_on(Machine::current());
  // The winner first: without one, the commit may still be at work on the rest.
  if (wait->winner != nullptr && wait->timers != nullptr) {
    TimerQueue& own = scope_.machine()->processor->timers;
    if (wait->timers == &own) {
      own.note_dead();
    } else {
      wait->timers->note_dead_remotely();
    }
  }
  return self->cancel_requested.load_relaxed() != 0;
}

bool Caller::block_thread(Wait* wait) noexcept {
  check_no_lock_held("a thread waits while it holds a lock of the runtime");
  ThreadWaiter& self = thread_waiter();
  self.resume = resume_thread;
  self.signal.store_relaxed(0);
  wait->waiter = &self;
  wait->epoch = self.epoch() + 1;
  self.begin_wait();
  const uint64_t epoch = wait->epoch;
  const uint64_t deadline_ns = wait->deadline_ns;
  unlock_all(wait);
  bool cancelled = false;
  while (self.signal.load_acquire() == 0) {
    const uint64_t now = os::now_ns();
    cancelled = thread_is_cancelled();
    // A lost claim means that the signal is on its way.
    if ((cancelled || now >= deadline_ns) && self.claim(epoch)) break;
    uint64_t until = deadline_ns;
    if (os::thread_slot().cancel_flag != nullptr && deadline_ns - now > kSliceNs) {
      until = now + kSliceNs;
    }
    if (now >= deadline_ns || cancelled) until = os::kNever;
    os::futex_wait(self.signal, 0, until);
  }
  return cancelled;
}

WaitStatus status_of(WaitOutcome outcome) noexcept {
  if (outcome == WaitOutcome::kDone) return WaitStatus::kDone;
  return outcome == WaitOutcome::kClosed ? WaitStatus::kClosed : WaitStatus::kAbandoned;
}

WaitStatus wait_locked(Caller& caller, Waitable* waitable, uint32_t queue, Cell* cell,
                       WaitReason reason, uint64_t deadline_ns) {
  Wait* const wait = caller.begin(1);
  if (wait == nullptr) {
    waitable->unlock();
    return WaitStatus::kNoMemory;
  }
  wait->deadline_ns = deadline_ns;
  WaitNode& node = *wait->nodes();
  node.waitable = waitable;
  node.queue = static_cast<uint8_t>(queue);
  node.cell = *cell;
  const WaitEnd end = caller.block(wait, reason);
  const WaitOutcome outcome = node.outcome;
  *cell = node.cell;
  caller.end(wait, 1);
  if (end == WaitEnd::kCancelled) throw Cancelled{};
  return end == WaitEnd::kTimedOut ? WaitStatus::kTimedOut : status_of(outcome);
}

WaitStatus wait_on(Waitable* waitable, uint32_t queue, Cell* cell, WaitReason reason,
                   uint64_t deadline_ns) {
  Caller caller{Caller::Interruptible{}};
  Served served(caller.machine());
  waitable->lock(caller.who());
  const Readiness readiness = waitable->try_locked(queue, cell, &served);
  if (readiness == Readiness::kNotReady) {
    return wait_locked(caller, waitable, queue, cell, reason, deadline_ns);
  }
  waitable->unlock();
  return readiness == Readiness::kDone ? WaitStatus::kDone : WaitStatus::kClosed;
}

}  // namespace heddle
