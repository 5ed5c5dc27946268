#include "bench.h"

#include <stdexcept>

#include "os/os.h"

namespace heddle::bench {

double number(const Params& params, const char* key) {
  const auto found = params.find(key);
  if (found == params.end() || !std::holds_alternative<double>(found->second)) {
    throw std::invalid_argument(std::string("expected a number for '") + key + "', got none");
  }
  return std::get<double>(found->second);
}

double number(const Params& params, const char* key, double otherwise) {
  return params.count(key) != 0 ? number(params, key) : otherwise;
}

std::string text(const Params& params, const char* key, const char* otherwise) {
  const auto found = params.find(key);
  if (found == params.end() || !std::holds_alternative<std::string>(found->second)) {
    return otherwise;
  }
  return std::get<std::string>(found->second);
}

void run_on_fiber(Scheduler& scheduler, std::function<void()> body) {
  Atomic<uint32_t> done{0};
  std::exception_ptr failure;
  const SpawnError error = scheduler.go([&done, &failure, body = std::move(body)] {
    try {
      body();
    } catch (...) {
      failure = std::current_exception();
    }
    done.store_release(1);
    os::futex_wake(done, 1);
  });
  if (error != SpawnError::kNone) throw std::runtime_error(spawn_error_name(error));
  while (done.load_acquire() == 0) os::futex_wait(done, 0, os::kNever);
  if (failure) std::rethrow_exception(failure);
}

void note_failure(Result& result, const FailedAt& failure) {
  result["failedAt"] = static_cast<double>(failure.count);
  result["reason"] = failure.reason;
}

Result run(Scheduler& scheduler, const std::string& name, const Params& params) {
  using Benchmark = Result (*)(Scheduler&, const Params&);
  static const std::map<std::string, Benchmark> kBenchmarks = {
      {"create", create},
      {"spawn", spawn},
      {"memory", memory},
      {"switch", yield_around},
      {"stack", stack},
      {"steal", steal},
      {"timer", timer},
      {"timer-cancel", timer_cancel},
      {"preempt", preempt},
      {"pingpong", pingpong},
      {"channel", channel},
      {"channel-latency", channel_latency},
      {"channel-memory", channel_memory},
      {"select", select_among},
  };
  const auto found = kBenchmarks.find(name);
  if (found == kBenchmarks.end()) {
    std::string known;
    for (const auto& each : kBenchmarks) known += (known.empty() ? "" : ", ") + each.first;
    throw std::invalid_argument("expected a benchmark of: " + known + "; got '" + name + "'");
  }
  return found->second(scheduler, params);
}

}  // namespace heddle::bench
