#include "addon/runtime.h"

#include <algorithm>
#include <mutex>

#include <dlfcn.h>

namespace heddle {

namespace {

// Isolates on several threads may arrive here at once. Standard locks: no fiber runs this.
std::mutex start_mutex;
Atomic<Scheduler*> scheduler{nullptr};
uint32_t wanted_processors = 0;

enum Sample { kCreate, kFirstRun, kJoin, kSampleKinds };
std::mutex times_mutex;
uint64_t samples[kSampleKinds][kThreadSamples];
uint64_t threads_recorded = 0;

ThreadTimes::Measure measure(const uint64_t* kind) {
  const uint64_t count = std::min<uint64_t>(threads_recorded, kThreadSamples);
  if (count == 0) return {};
  uint64_t sorted[kThreadSamples];
  std::copy_n(kind, count, sorted);
  std::nth_element(sorted, sorted + count / 2, sorted + count);
  return {kind[(threads_recorded - 1) % kThreadSamples], sorted[count / 2]};
}

Scheduler& start_runtime() {
  const std::lock_guard<std::mutex> guard(start_mutex);
  if (scheduler.load_acquire() == nullptr) {
    SchedulerOptions options;
    options.processors = wanted_processors;
    scheduler.store_release(new Scheduler(options));
  }
  return *scheduler.load_acquire();
}

}  // namespace

void pin_library() noexcept {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&pin_library), &info) != 0) {
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
  }
}

Scheduler* runtime_if_started() noexcept { return scheduler.load_acquire(); }

Scheduler& runtime() {
  Scheduler* started = scheduler.load_acquire();
  return started != nullptr ? *started : start_runtime();
}

void set_processor_count(uint32_t count) {
  const std::lock_guard<std::mutex> guard(start_mutex);
  wanted_processors = count;
  if (Scheduler* started = scheduler.load_acquire()) started->set_processors(count);
}

uint32_t processor_count() {
  if (Scheduler* started = scheduler.load_acquire()) return started->processors();
  const std::lock_guard<std::mutex> guard(start_mutex);
  if (wanted_processors != 0) return wanted_processors;
  return std::min(os::usable_cpus(), kMaxProcessors);
}

void record_thread_times(uint64_t create_ns, uint64_t first_run_ns, uint64_t join_ns) {
  const std::lock_guard<std::mutex> guard(times_mutex);
  const uint64_t at = threads_recorded++ % kThreadSamples;
  samples[kCreate][at] = create_ns;
  samples[kFirstRun][at] = first_run_ns;
  samples[kJoin][at] = join_ns;
}

ThreadTimes thread_times() {
  const std::lock_guard<std::mutex> guard(times_mutex);
  return ThreadTimes{threads_recorded, measure(samples[kCreate]), measure(samples[kFirstRun]),
                     measure(samples[kJoin])};
}

}  // namespace heddle
