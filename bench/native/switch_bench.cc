// The price of a yield between n units on one processor, from four call sites: four different
// functions yield, so that a switch cannot live on one predicted return address.
#include <algorithm>

#include "bench.h"
#include "threads.h"

namespace heddle::bench {

namespace {

struct Round {
  Scheduler* scheduler;
  Latch* begin;
  Latch* done;
  uint64_t yields;
};

// The work between yields differs, so that the compiler cannot fold the four into one.
template <int kSite>
__attribute__((noinline)) uint64_t yield_often(uint64_t yields) {
  uint64_t sum = kSite;
  for (uint64_t i = 0; i < yields; ++i) {
    yield();
    sum = sum * 3 + kSite;
  }
  return sum;
}

uint64_t yield_from_site(uint64_t site, uint64_t yields) {
  switch (site % 4) {
    case 0:
      return yield_often<0>(yields);
    case 1:
      return yield_often<1>(yields);
    case 2:
      return yield_often<2>(yields);
    default:
      return yield_often<3>(yields);
  }
}

Result switch_threads(uint64_t n, uint64_t yields) {
  static Atomic<uint64_t> arrived{0};
  static Atomic<uint32_t> open{0};
  static uint64_t yields_each;
  yields_each = yields;
  Result result;
  std::vector<os::Thread> threads;
  for (uint64_t i = 0; i < n; ++i) {
    os::Thread thread;
    const int error = os::start_thread(
        &thread, "heddle-bench", kThreadStackBytes,
        [](void*) {
          os::use_one_cpu();
          arrived.fetch_add_acq_rel(1);
          while (open.load_acquire() == 0) os::futex_wait(open, 0, os::kNever);
          for (uint64_t k = 0; k < yields_each; ++k) os::yield_thread();
        },
        nullptr);
    if (error != 0) {
      note_failure(result, FailedAt{i, refusal(error)});
      break;
    }
    threads.push_back(thread);
  }
  while (arrived.load_acquire() < threads.size()) os::yield_thread();
  const uint64_t began = os::now_ns();
  open.store_release(1);
  os::futex_wake(open, INT32_MAX);
  for (const os::Thread thread : threads) os::join_thread(thread);
  const double count = static_cast<double>(std::max<uint64_t>(threads.size() * yields, 1));
  result["nsPerYield"] = static_cast<double>(os::now_ns() - began) / count;
  return result;
}

}  // namespace

Result yield_around(Scheduler& scheduler, const Params& params) {
  const auto n = static_cast<uint64_t>(number(params, "n"));
  // `yields` of all units together.
  const auto yields = std::max<uint64_t>(
      1, static_cast<uint64_t>(number(params, "yields")) / std::max<uint64_t>(n, 1));
  if (text(params, "impl", "fiber") == "pthread") return switch_threads(n, yields);
  scheduler.set_processors(1);
  double ns_per_yield = 0;
  run_on_fiber(scheduler, [&] {
    // All have started and hold their stacks before the clock does.
    Latch started(n);
    Latch done(n);
    Atomic<uint32_t> open{0};
    for (uint64_t i = 0; i < n; ++i) {
      scheduler.go([&scheduler, &started, &done, &open, i, yields] {
        started.count_down(scheduler);
        while (open.load_acquire() == 0) yield();
        yield_from_site(i, yields);
        done.count_down(scheduler);
      });
    }
    started.wait();
    const uint64_t began = os::now_ns();
    open.store_release(1);
    done.wait();
    ns_per_yield = static_cast<double>(os::now_ns() - began) / static_cast<double>(n * yields);
  });
  return Result{{"nsPerYield", ns_per_yield}};
}

}  // namespace heddle::bench
