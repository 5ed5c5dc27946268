// One fiber spawns tasks of about a microsecond; all other processors can only steal them.
#include <cmath>

#include "bench.h"

namespace heddle::bench {

namespace {

// Steps of a dependent multiply chain, as in bench/peers/go/spawn.go.
constexpr int kSteps = 800;

__attribute__((noinline)) void work(int steps) {
  uint64_t x = static_cast<uint64_t>(steps) | 1;
  for (int i = 0; i < steps; ++i) x = x * 6364136223846793005ULL + 1442695040888963407ULL;
  asm volatile("" ::"r"(x));
}

// Standard deviation of the tasks per processor, in percent of their mean.
double spread_percent(const Numbers& tasks) {
  double mean = 0;
  for (const double each : tasks) mean += each / static_cast<double>(tasks.size());
  double variance = 0;
  for (const double each : tasks) {
    variance += (each - mean) * (each - mean) / static_cast<double>(tasks.size());
  }
  return mean > 0 ? 100 * std::sqrt(variance) / mean : 0;
}

}  // namespace

Result steal(Scheduler& scheduler, const Params& params) {
  const auto processors = static_cast<uint32_t>(number(params, "processors"));
  const auto n = static_cast<uint64_t>(number(params, "n"));
  scheduler.set_processors(processors);
  run_on_fiber(scheduler, [] {});
  SchedulerStats before;
  scheduler.read_stats(&before);
  uint64_t elapsed_ns = 0;
  run_on_fiber(scheduler, [&] {
    const uint64_t began = os::now_ns();
    Latch done(n);
    for (uint64_t i = 0; i < n; ++i) {
      scheduler.go([&scheduler, latch = &done] {
        work(kSteps);
        latch->count_down(scheduler);
      });
    }
    done.wait();
    elapsed_ns = os::now_ns() - began;
  });
  SchedulerStats after;
  scheduler.read_stats(&after);
  Numbers tasks;
  for (uint32_t i = 0; i < processors; ++i) {
    tasks.push_back(
        static_cast<double>(after.per_processor[i].started - before.per_processor[i].started));
  }
  const auto attempts = static_cast<double>(after.steal_attempts - before.steal_attempts);
  const auto successes = static_cast<double>(after.steal_successes - before.steal_successes);
  const auto stolen = static_cast<double>(after.stolen_items - before.stolen_items);
  Result result;
  result["nsPerTask"] = static_cast<double>(elapsed_ns) / static_cast<double>(n);
  if (successes > 0) {
    result["stealLatencyNs"] = static_cast<double>(after.steal_ns - before.steal_ns) / successes;
  }
  result["localShare"] = 1 - stolen / static_cast<double>(n);
  result["failureRate"] = attempts > 0 ? 1 - successes / attempts : 0.0;
  result["spread"] = spread_percent(tasks);
  result["tasksPerProcessor"] = tasks;
  return result;
}

}  // namespace heddle::bench
