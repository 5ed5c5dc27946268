// One picture of the whole scheduler. Counters are read one by one while everything runs, so sums
// may be a few events apart; each counter alone is exact.
#include "core/scheduler.h"

namespace heddle {

void Scheduler::read_stats(SchedulerStats* stats) noexcept {
  *stats = SchedulerStats{};
  stats->processors = processor_count_.load_relaxed();
  stats->idle_processors = idle_count_.load_relaxed();
  stats->machines = machine_count_.load_acquire();
  stats->searching = searching_.load_relaxed();
  stats->global_queue = global_.size();
  stats->spawned = foreign_spawned_.load_relaxed();
  const uint32_t known = created_processors_.load_acquire();
  for (uint32_t i = 0; i < known; ++i) {
    Processor* processor = processor_at(i);
    const Counters& counters = processor->counters;
    stats->spawned += counters.spawned.load_relaxed();
    stats->started += counters.started.load_relaxed();
    stats->exited += counters.exited.load_relaxed();
    stats->parked += counters.parked.load_relaxed();
    stats->readied += counters.readied.load_relaxed();
    stats->yielded += counters.yielded.load_relaxed();
    stats->run_local += counters.run_local.load_relaxed();
    stats->run_global += counters.run_global.load_relaxed();
    stats->run_stolen += counters.run_stolen.load_relaxed();
    stats->steal_attempts += counters.steal_attempts.load_relaxed();
    stats->steal_successes += counters.steal_successes.load_relaxed();
    stats->stolen_items += counters.stolen_items.load_relaxed();
    stats->steal_ns += counters.steal_ns.load_relaxed();
    stats->timers_fired += counters.timers_fired.load_relaxed();
    stats->hand_offs += counters.hand_offs.load_relaxed();
    stats->idle_sleeps += counters.idle_sleeps.load_relaxed();
    stats->polls += counters.polls.load_relaxed();
    stats->poll_events += counters.poll_events.load_relaxed();
    stats->stacks_earned += counters.stacks_earned.load_relaxed();
    stats->queue_bytes += sizeof(Processor);
    stats->per_processor[i] = SchedulerStats::PerProcessor{
        processor->queue.size(), counters.started.load_relaxed(), counters.run_local.load_relaxed(),
        counters.run_global.load_relaxed(), counters.run_stolen.load_relaxed()};
  }
  stats->monitor_cpu_ns = monitor_cpu_ns();
  const StackPool::Use stacks = default_stack_pool().use();
  stats->stacks_in_use = stacks.in_use;
  stats->stacks_warm = stacks.warm;
  stats->descriptor_bytes = fiber_pool().resident_bytes();
  stats->frame_bytes = FrameStore::resident_bytes();
}

}  // namespace heddle
