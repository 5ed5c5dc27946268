// The wait of a promise, or of an isolate's thread that waits in slices: what is parked on a
// channel, mutex or context in the name of JavaScript.
//
// Always true:
// - It holds a handle of each waitable that it waits for, and lends it to the wait; so a channel of
//   which JavaScript has kept nothing but pending promises is abandoned.
// - Until its wait is claimed it belongs to the isolate; then to the claimer, which resumes it;
//   last to the mailbox, or to the thread that sleeps for it.
// - Type-stable, since a timer may still know an epoch of it.
#pragma once

#include "addon/mailbox.h"
#include "core/slab.h"
#include "sync/select.h"

namespace heddle {

class Environment;

// Who waits; lib/waits.ts has them as well.
enum class WaitKind : uint8_t {
  kPromise,
  kThread,    // the isolate's thread itself, in slices
  kListener,  // a promise that does not hold the event loop open, whoever could end it
};

struct PromiseWait : Waiter, Mail {
  static constexpr uint32_t kInlineNodes = 4;

  // nullptr without memory.
  static PromiseWait* make(Environment* environment, uint32_t slot, uint32_t count) noexcept;

  // Under the locks of the cases' waitables, which are released. The values in the cells belong to
  // the wait from here on. False: it is over already, by an abandoned waitable.
  bool start(WaitKind how, const SelectCase* cases, uint32_t count) noexcept;
  // True: it will not be resumed, and belongs to the caller.
  bool cancel() noexcept { return claim(wait->epoch); }

  // Whether somebody outside of this isolate may end it. Takes the locks of its waitables.
  bool may_end_from_outside() noexcept;

  // After its end, by its owner: takes it off all queues. *cell is what was received.
  Selected finish(Cell* cell) noexcept;
  // Gives everything back, values that were not sent included. After finish. `stock`: of the
  // isolate, on its thread.
  void free(Magazine* stock) noexcept;
  // Both, for one that nobody asks for any more; a value it has received is dropped.
  void destroy() noexcept;

  // For a thread that waits in slices: true when the wait is over.
  bool sleep_until(uint64_t deadline_ns) noexcept;

  Environment* environment;  // to be compared only, by other threads
  Mailbox* mailbox;
  Wait* wait;
  uint32_t slot;  // of the promise in JavaScript
  bool holds_loop;
  Atomic<uint32_t> signal;  // for a thread that sleeps: 1 = over
  WaitKind kind_of_wait;
  Selected selected;
  alignas(8) unsigned char block[sizeof(Wait) + kInlineNodes * sizeof(WaitNode)];
};

// The same for one thing to wait for, under its lock. One handle is this isolate's own.
bool may_end_from_outside(const Waitable& target) noexcept;

SlabPool& wait_pool() noexcept;

}  // namespace heddle
