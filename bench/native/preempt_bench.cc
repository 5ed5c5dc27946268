// How long a fiber waits beside one that never yields, and what the monitor costs when nothing has
// to be preempted.
#include <algorithm>

#include "bench.h"

namespace heddle::bench {

namespace {

constexpr uint64_t kSleepNs = 1'000'000;

double worst_delay_ms(Scheduler& scheduler, uint64_t run_ns) {
  uint64_t worst_ns = 0;
  run_on_fiber(scheduler, [&] {
    Atomic<uint32_t> stop{0};
    Latch ended(1);
    scheduler.go([&scheduler, &stop, &ended] {
      while (stop.load_relaxed() == 0) spin_hint();  // no call into the runtime
      ended.count_down(scheduler);
    });
    const uint64_t end = os::now_ns() + run_ns;
    for (uint64_t before = os::now_ns(); before < end; before = os::now_ns()) {
      sleep_for(kSleepNs);
      worst_ns = std::max(worst_ns, os::now_ns() - before - kSleepNs);
    }
    stop.store_relaxed(1);
    ended.wait();
  });
  return static_cast<double>(worst_ns) / 1e6;
}

// Two fibers that yield to each other keep the processor busy and never overrun their slice.
double monitor_cpu_percent(Scheduler& scheduler, uint64_t run_ns) {
  double percent = 0;
  run_on_fiber(scheduler, [&] {
    const uint64_t end = os::now_ns() + run_ns;
    Latch ended(1);
    scheduler.go([&scheduler, &ended, end] {
      while (os::now_ns() < end) yield();
      ended.count_down(scheduler);
    });
    SchedulerStats before;
    scheduler.read_stats(&before);
    const uint64_t began = os::now_ns();
    while (os::now_ns() < end) yield();
    SchedulerStats after;
    scheduler.read_stats(&after);
    percent = 100 * static_cast<double>(after.monitor_cpu_ns - before.monitor_cpu_ns) /
              static_cast<double>(os::now_ns() - began);
    ended.wait();
  });
  return percent;
}

}  // namespace

Result preempt(Scheduler& scheduler, const Params& params) {
  const auto run_ns = static_cast<uint64_t>(number(params, "seconds", 1) * 1e9);
  scheduler.set_processors(1);
  return Result{{"worstDelayMs", worst_delay_ms(scheduler, run_ns)},
                {"monitorCpuPercent", monitor_cpu_percent(scheduler, run_ns)}};
}

}  // namespace heddle::bench
