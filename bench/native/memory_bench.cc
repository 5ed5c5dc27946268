// What n parked units hold, when they hold it, and whether it is given back.
#include <algorithm>

#include "bench.h"
#include "threads.h"

namespace heddle::bench {

namespace {

constexpr uint64_t kSampleNs = 5'000'000;
constexpr size_t kMaxSamples = 200;
constexpr uint64_t kSettleLimitNs = 10'000'000'000;

// Residency over time, sampled by a thread of its own.
class ResidencyCurve {
 public:
  ResidencyCurve() : began_ns_(os::now_ns()) {
    samples_.reserve(4 * kMaxSamples);
    sample();
    os::start_thread(&thread_, "heddle-bench", 0, sample_until_stopped, this);
  }
  ~ResidencyCurve() { stop(); }

  std::vector<Numbers> stop() {
    if (thread_.handle != 0) {
      stopped_.store_release(1);
      os::futex_wake(stopped_, 1);
      os::join_thread(thread_);
      thread_ = os::Thread{};
      sample();
    }
    // Thinned evenly: the shape matters, not every point.
    std::vector<Numbers> curve;
    const size_t step = samples_.size() / kMaxSamples + 1;
    for (size_t i = 0; i < samples_.size(); i += step) curve.push_back(samples_[i]);
    return curve;
  }
  double peak() const {
    double highest = 0;
    for (const Numbers& each : samples_) highest = std::max(highest, each[1]);
    return highest;
  }

 private:
  static void sample_until_stopped(void* self) noexcept {
    auto* curve = static_cast<ResidencyCurve*>(self);
    while (curve->stopped_.load_acquire() == 0) {
      curve->sample();
      os::futex_wait(curve->stopped_, 0, os::now_ns() + kSampleNs);
    }
  }
  void sample() {
    samples_.push_back({static_cast<double>(os::now_ns() - began_ns_) / 1e6,
                        static_cast<double>(os::memory_use().resident_bytes)});
  }

  const uint64_t began_ns_;
  std::vector<Numbers> samples_;
  Atomic<uint32_t> stopped_{0};
  os::Thread thread_;
};

double total(const os::MemoryUse& use) {
  return static_cast<double>(use.resident_bytes + use.page_table_bytes);
}

// The runtime gives memory back when it has been idle for a while: wait until no more comes.
os::MemoryUse settled_use(uint64_t started_bytes) {
  const uint64_t deadline = os::now_ns() + kSettleLimitNs;
  os::MemoryUse use = os::memory_use();
  while (os::now_ns() < deadline && use.resident_bytes > started_bytes + started_bytes / 20) {
    os::sleep_until(os::now_ns() + 50'000'000);
    use = os::memory_use();
  }
  return use;
}

// One list through the parked fibers' descriptors would do; an array is what a program would have.
struct Parked {
  Scheduler* scheduler;
  Latch* all_parked;
  Latch* all_done;
  Atomic<uint64_t> taken{0};
  struct Place {
    Waiter* waiter;
    uint64_t epoch;
  }* places;
};

void park_in(Parked* lot) {
  park(
      WaitReason::kPark,
      [](Fiber* fiber, void* argument) noexcept {
        auto* own = static_cast<Parked*>(argument);
        own->places[own->taken.fetch_add_acq_rel(1)] = Parked::Place{fiber, fiber->epoch()};
        own->all_parked->count_down(*own->scheduler);
        return true;
      },
      lot);
}

std::map<std::string, double> split(Scheduler& scheduler, const os::MemoryUse& before,
                                    const os::MemoryUse& while_parked) {
  SchedulerStats stats;
  scheduler.read_stats(&stats);
  const double page = static_cast<double>(os::page_size());
  const double grown = total(while_parked) - total(before);
  std::map<std::string, double> parts;
  parts["descriptors"] = static_cast<double>(stats.descriptor_bytes);
  parts["savedFrames"] = static_cast<double>(stats.frame_bytes);
  parts["queues"] = static_cast<double>(stats.queue_bytes);
  // Parked units of the benchmark touch one page of their stack.
  parts["stacks"] = static_cast<double>(stats.stacks_in_use + stats.stacks_warm) * page;
  parts["pageTables"] = static_cast<double>(while_parked.page_table_bytes) -
                        static_cast<double>(before.page_table_bytes);
  double known = 0;
  for (const auto& part : parts) known += part.second;
  parts["other"] = std::max(0.0, grown - known);
  return parts;
}

Result fiber_memory(Scheduler& scheduler, uint64_t n, StackClass stack_class) {
  // Touched before the first measurement, so that it does not count.
  std::vector<Parked::Place> places(n, Parked::Place{nullptr, 1});
  run_on_fiber(scheduler, [] {});
  const os::MemoryUse before = os::memory_use();
  ResidencyCurve curve;
  Result result;
  os::MemoryUse while_parked{0, 0};
  const uint64_t began = os::now_ns();
  run_on_fiber(scheduler, [&] {
    Latch all_parked(n);
    Latch all_done(n);
    Parked lot;
    lot.scheduler = &scheduler;
    lot.all_parked = &all_parked;
    lot.all_done = &all_done;
    lot.places = places.data();
    SpawnOptions options;
    options.stack_class = stack_class;
    options.name = "parked";
    for (uint64_t i = 0; i < n; ++i) {
      scheduler.go(
          [lot = &lot] {
            park_in(lot);
            lot->all_done->count_down(*lot->scheduler);
          },
          options);
    }
    all_parked.wait();
    result["startMs"] = static_cast<double>(os::now_ns() - began) / 1e6;
    while_parked = os::memory_use();
    result["components"] = split(scheduler, before, while_parked);
    for (const Parked::Place& place : places) {
      scheduler.ready(place.waiter, place.epoch);
      checkpoint();
    }
    all_done.wait();
  });
  const os::MemoryUse after = settled_use(before.resident_bytes);
  result["curve"] = curve.stop();
  result["bytesPerUnit"] = (total(while_parked) - total(before)) / static_cast<double>(n);
  result["rssStart"] = static_cast<double>(before.resident_bytes);
  result["rssPeak"] = std::max(curve.peak(), static_cast<double>(while_parked.resident_bytes));
  result["rssAfter"] = static_cast<double>(after.resident_bytes);
  return result;
}

Result thread_memory(uint64_t n) {
  Result result;
  const os::MemoryUse before = os::memory_use();
  ResidencyCurve curve;
  const uint64_t began = os::now_ns();
  ParkedThreads threads(n);
  result["startMs"] = static_cast<double>(os::now_ns() - began) / 1e6;
  const os::MemoryUse while_parked = os::memory_use();
  const uint64_t started = threads.started();
  if (threads.error() != 0) {
    note_failure(result, FailedAt{started, refusal(threads.error())});
  }
  threads.release();
  result["curve"] = curve.stop();
  result["bytesPerUnit"] =
      (total(while_parked) - total(before)) / static_cast<double>(std::max<uint64_t>(started, 1));
  result["rssStart"] = static_cast<double>(before.resident_bytes);
  result["rssPeak"] = std::max(curve.peak(), static_cast<double>(while_parked.resident_bytes));
  result["rssAfter"] = static_cast<double>(os::memory_use().resident_bytes);
  return result;
}

}  // namespace

Result memory(Scheduler& scheduler, const Params& params) {
  const auto n = static_cast<uint64_t>(number(params, "n"));
  const std::string impl = text(params, "impl", "standard");
  if (impl == "pthread") return thread_memory(n);
  return fiber_memory(scheduler, n,
                      impl == "compact" ? StackClass::kCompact : StackClass::kStandard);
}

}  // namespace heddle::bench
