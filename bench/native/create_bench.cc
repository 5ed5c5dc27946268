// How long until n new units have all begun to run, from a cold start: each counts and ends.
#include "bench.h"
#include "threads.h"

namespace heddle::bench {

namespace {

Result create_threads(uint64_t n) {
  static Atomic<uint64_t> started{0};
  Result result;
  std::vector<os::Thread> threads;
  threads.reserve(n);
  const uint64_t began = os::now_ns();
  for (uint64_t i = 0; i < n; ++i) {
    os::Thread thread;
    const int error = os::start_thread(
        &thread, "heddle-bench", kThreadStackBytes, [](void*) { started.fetch_add_acq_rel(1); },
        nullptr);
    if (error != 0) {
      note_failure(result, FailedAt{i, refusal(error)});
      break;
    }
    threads.push_back(thread);
  }
  while (started.load_acquire() < threads.size()) os::yield_thread();
  result["ms"] = static_cast<double>(os::now_ns() - began) / 1e6;
  for (const os::Thread thread : threads) os::join_thread(thread);
  return result;
}

}  // namespace

Result create(Scheduler& scheduler, const Params& params) {
  const auto n = static_cast<uint64_t>(number(params, "n"));
  if (text(params, "impl", "fiber") == "pthread") return create_threads(n);
  double ms = 0;
  run_on_fiber(scheduler, [&scheduler, n, &ms] {
    const uint64_t began = os::now_ns();
    Latch started(n);
    for (uint64_t i = 0; i < n; ++i) {
      scheduler.go([&scheduler, latch = &started] { latch->count_down(scheduler); });
    }
    started.wait();
    ms = static_cast<double>(os::now_ns() - began) / 1e6;
  });
  return Result{{"ms", ms}};
}

}  // namespace heddle::bench
