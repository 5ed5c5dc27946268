// How a fiber or an OS thread waits for waitables. Promises do it in native/addon, with the same
// nodes.
#pragma once

#include "core/park.h"
#include "core/scheduler.h"
#include "sync/waitable.h"

namespace heddle {

// How an operation that waits has ended.
enum class WaitStatus : uint8_t { kDone, kClosed, kAbandoned, kTimedOut, kNoMemory };

enum class WaitEnd : uint8_t {
  kServed,     // wait->winner says by what
  kTimedOut,   // the deadline came first
  kCancelled,  // the fiber or task was asked to end first
};

// The calling fiber or OS thread for the length of one operation: meanwhile no processor is taken
// from it.
class Caller {
 public:
  Caller() noexcept { count_call(); }
  // At a place where a fiber lets itself be interrupted, as checkpoint(): before an operation that
  // waits. Throws Cancelled.
  struct Interruptible {};
  explicit Caller(Interruptible) : scope_(ready_machine()) { count_call(); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // A wait of so many nodes, to be filled in by the caller; nullptr if memory is refused.
  Wait* begin(uint32_t count) noexcept {
    const size_t bytes = Wait::bytes_for(count);
    Machine* const own = machine();
    void* block = own != nullptr ? own->processor->frames.take(bytes) : begin_on_thread(count);
    if (block == nullptr) return nullptr;
    auto* wait = static_cast<Wait*>(block);
    wait->init(count);
    return wait;
  }

  // The locks of all waitables of `wait` are held, in any order, and its nodes are not linked yet.
  // Links them, waits, unlinks what is left, and releases the locks meanwhile: on return none is
  // held. `wait` can be read until end().
  WaitEnd block(Wait* wait, WaitReason reason) noexcept;

  void end(Wait* wait, uint32_t count) noexcept {
    if (Machine* const own = machine()) {
      own->processor->frames.give(wait, Wait::bytes_for(count));
    } else {
      end_on_thread(wait, count);
    }
  }

  Machine* machine() const noexcept { return scope_.machine(); }
  // As Waitable::lock wants it.
  uint32_t who() const noexcept {
    const Machine* machine = scope_.machine();
    return machine != nullptr ? machine->index + 1 : 0;
  }

 private:
  void count_call() noexcept {
    if (scope_.machine() != nullptr) scope_.machine()->processor->calls.increment_single_writer();
  }
  static Machine* ready_machine() {
    Machine* machine = Machine::current();
    if (__builtin_expect(machine == nullptr || may_be_interrupted(machine), false)) {
      checkpoint();
      machine = Machine::current();
    }
    return machine;
  }
  static void* begin_on_thread(uint32_t count) noexcept;
  static void end_on_thread(Wait* wait, uint32_t count) noexcept;
  bool block_fiber(Wait* wait, WaitReason reason) noexcept;
  bool block_thread(Wait* wait) noexcept;

  RuntimeScope scope_;
};

// One operation on one waitable, by a fiber or an OS thread: tries, and waits in that queue if it
// has to. Throws Cancelled; then, and if it timed out, nothing was taken or given.
WaitStatus wait_on(Waitable* waitable, uint32_t queue, Cell* cell, WaitReason reason,
                   uint64_t deadline_ns);
// The same after a try under the lock, which is held and will be released.
WaitStatus wait_locked(Caller& caller, Waitable* waitable, uint32_t queue, Cell* cell,
                       WaitReason reason, uint64_t deadline_ns);
WaitStatus status_of(WaitOutcome outcome) noexcept;

// Under the locks of all waitables: links the nodes. False if one of the waitables is abandoned by
// that: then no node is linked, `winner` says so, others who wait there have been served, and the
// locks are released. `machine`: as in Served.
bool link_all(Wait* wait, Machine* machine) noexcept;
// Releases the lock of each waitable once. The wait may be over before the last one is released,
// and the block anybody's then.
void unlock_all(Wait* wait) noexcept;
// After the end of a wait: without locks.
void unlink_rest(Wait* wait, Machine* machine) noexcept;

}  // namespace heddle
