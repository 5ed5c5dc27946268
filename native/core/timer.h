// Timers that call a function when they fire, for whoever is not a fiber: promises, time-outs.
#pragma once

#include <cstdint>

#include "core/waiter.h"

namespace heddle {

class Scheduler;
class SlabPool;
struct TimerNode;

// Names one firing of one timer; harmless when it has fired or was stopped.
struct TimerHandle {
  TimerNode* node = nullptr;
  uint64_t epoch = 0;
};

// Runs on a processor, in the runtime: it must be short, must not park and must not throw.
using TimerCallback = void (*)(void* argument) noexcept;

// From any thread. An empty handle means that memory was refused. os::kNever never fires.
TimerHandle start_timer(Scheduler& scheduler, uint64_t deadline_ns, TimerCallback callback,
                        void* argument) noexcept;

// True if the callback has not been called and never will be.
bool stop_timer(Scheduler& scheduler, TimerHandle timer) noexcept;

SlabPool& timer_pool() noexcept;

}  // namespace heddle
