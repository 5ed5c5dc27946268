// The one table of lock order. A thread may take a lock only if it holds none of the same or a
// higher rank; test builds check it on every acquisition, and that no lock is held at a park.
// Waitables are the exception to both: several are locked in the order of their addresses, and a
// fiber that parks on them leaves the unlocking to the commit of its park.
#pragma once

#include <cstdint>

namespace heddle {

enum class LockRank : uint8_t {
  kWaitable = 0,  // a channel, mutex, context ... and who waits for it
  kScheduler,     // idle processors and machines, the processor count
  kBlockingPool,  // jobs and threads of the pool for compact fibers
  kGlobalQueue,   // the overflow queue behind the inbox
  kRunStacks,     // run stacks that no processor holds
  kTimerInbox,    // timers armed from outside their processor
  kFiberLocals,   // keys of fiber-local storage
  kStackPool,     // stacks of one size
  kSlabPool,      // blocks of one size
  kLeaf,          // takes nothing while held
};

}  // namespace heddle
