// Sleeping fibers, and timers that are armed only to be cancelled, as time-outs are.
#include "bench.h"
#include "core/timer.h"

namespace heddle::bench {

namespace {
constexpr uint64_t kSleepNs = 1'000'000;
constexpr uint64_t kFarNs = 3'600'000'000'000;
}  // namespace

Result timer(Scheduler& scheduler, const Params& params) {
  const auto n = static_cast<uint64_t>(number(params, "n"));
  SpawnOptions options;
  if (text(params, "impl", "fiber") == "compact") options.stack_class = StackClass::kCompact;
  double ms = 0;
  run_on_fiber(scheduler, [&] {
    const uint64_t began = os::now_ns();
    Latch done(n);
    for (uint64_t i = 0; i < n; ++i) {
      scheduler.go(
          [&scheduler, latch = &done] {
            sleep_for(kSleepNs);
            latch->count_down(scheduler);
          },
          options);
    }
    done.wait();
    ms = static_cast<double>(os::now_ns() - began) / 1e6;
  });
  return Result{{"ms", ms}};
}

Result timer_cancel(Scheduler& scheduler, const Params& params) {
  const auto armed = static_cast<uint64_t>(number(params, "armed"));
  const auto n = static_cast<uint64_t>(number(params, "n"));
  double ns_per_op = 0;
  run_on_fiber(scheduler, [&] {
    const auto ignore = [](void*) noexcept {};
    std::vector<TimerHandle> handles(armed);
    for (uint64_t i = 0; i < armed; ++i) {
      handles[i] = start_timer(scheduler, os::now_ns() + kFarNs + i, ignore, nullptr);
    }
    const uint64_t began = os::now_ns();
    for (uint64_t i = 0; i < n; ++i) {
      const TimerHandle handle = start_timer(scheduler, os::now_ns() + kFarNs / 2, ignore, nullptr);
      stop_timer(scheduler, handle);
    }
    ns_per_op = static_cast<double>(os::now_ns() - began) / static_cast<double>(n);
    for (const TimerHandle handle : handles) stop_timer(scheduler, handle);
  });
  return Result{{"nsPerOp", ns_per_op}};
}

}  // namespace heddle::bench
