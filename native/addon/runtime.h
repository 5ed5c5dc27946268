// The one scheduler of the process: started by the first task of any isolate, never before, and
// kept until the process ends. Its threads sleep while there is nothing to do.
#pragma once

#include "core/scheduler.h"

namespace heddle {

// Keeps this library mapped for the life of the process. Node unloads an addon when the Worker that
// loaded it ends; our threads would lose their code.
void pin_library() noexcept;

Scheduler& runtime();
Scheduler* runtime_if_started() noexcept;

// Used for the scheduler when it starts; applied at once if it runs.
void set_processor_count(uint32_t count);
uint32_t processor_count();

// Life times of threads that tasks had for themselves.
struct ThreadTimes {
  struct Measure {
    uint64_t last_ns = 0;
    uint64_t median_ns = 0;  // of the newest kThreadSamples
  };
  uint64_t started = 0;
  Measure create, first_run, join;
};
inline constexpr uint32_t kThreadSamples = 256;
void record_thread_times(uint64_t create_ns, uint64_t first_run_ns, uint64_t join_ns);
ThreadTimes thread_times();

}  // namespace heddle
