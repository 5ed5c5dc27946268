// The one table of lock order. A thread may take a lock only if it holds none of the same or a
// higher rank; test builds check it on every acquisition, and that no lock is held at a park.
#pragma once

#include <cstdint>

namespace heddle {

enum class LockRank : uint8_t {
  kTaskRecord = 0,  // of the addon: a task and the fiber that runs it
  kScheduler,       // idle processors and machines, the processor count
  kBlockingPool,    // jobs and threads of the pool for compact fibers
  kGlobalQueue,     // the overflow queue behind the inbox
  kRunStacks,       // run stacks that no processor holds
  kTimerInbox,      // timers armed from outside their processor
  kFiberLocals,     // keys of fiber-local storage
  kStackPool,       // stacks of one size
  kSlabPool,        // blocks of one size
  kLeaf,            // takes nothing while held
};

}  // namespace heddle
