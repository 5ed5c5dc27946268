#include "addon/runtime.h"

#include <mutex>

#include <dlfcn.h>

namespace heddle {

namespace {

// Isolates on several threads may arrive here at once. Plain standard locks: no fiber runs this.
std::mutex start_mutex;
Atomic<Scheduler*> scheduler{nullptr};
uint32_t wanted_processors = 0;

std::mutex times_mutex;
ThreadTimes times;

// When a Worker that loaded the addon ends, Node unloads the library; our threads would lose their
// code. From the first thread on it stays.
void pin_library() {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&pin_library), &info) != 0) {
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
  }
}

}  // namespace

Scheduler* runtime_if_started() noexcept { return scheduler.load_acquire(); }

Scheduler& runtime() {
  if (Scheduler* started = scheduler.load_acquire()) return *started;
  const std::lock_guard<std::mutex> guard(start_mutex);
  if (scheduler.load_acquire() == nullptr) {
    pin_library();
    SchedulerOptions options;
    options.processors = wanted_processors;
    scheduler.store_release(new Scheduler(options));
  }
  return *scheduler.load_acquire();
}

void set_processor_count(uint32_t count) {
  const std::lock_guard<std::mutex> guard(start_mutex);
  wanted_processors = count;
  if (Scheduler* started = scheduler.load_acquire()) started->set_processors(count);
}

uint32_t processor_count() {
  if (Scheduler* started = scheduler.load_acquire()) return started->processors();
  const std::lock_guard<std::mutex> guard(start_mutex);
  return wanted_processors != 0 ? wanted_processors : os::usable_cpus();
}

void record_thread_times(uint64_t create_ns, uint64_t first_run_ns, uint64_t join_ns) {
  const std::lock_guard<std::mutex> guard(times_mutex);
  ++times.started;
  times.create_ns = create_ns;
  times.first_run_ns = first_run_ns;
  times.join_ns = join_ns;
}

ThreadTimes thread_times() {
  const std::lock_guard<std::mutex> guard(times_mutex);
  return times;
}

}  // namespace heddle
