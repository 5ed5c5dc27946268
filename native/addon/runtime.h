// The one scheduler of the process: started by the first task of any isolate, never before, and
// kept until the process ends. Its threads sleep while there is nothing to do.
#pragma once

#include "core/scheduler.h"

namespace heddle {

Scheduler& runtime();
Scheduler* runtime_if_started() noexcept;

// Used for the scheduler when it starts; applied at once if it runs.
void set_processor_count(uint32_t count);
uint32_t processor_count();

struct ThreadTimes {
  uint64_t started = 0;
  uint64_t create_ns = 0;  // of the newest thread
  uint64_t first_run_ns = 0;
  uint64_t join_ns = 0;
};
void record_thread_times(uint64_t create_ns, uint64_t first_run_ns, uint64_t join_ns);
ThreadTimes thread_times();

}  // namespace heddle
