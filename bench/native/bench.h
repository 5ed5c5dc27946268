// The measured loops of `heddle bench`, free of Node: part of the addon that is published, so what
// is measured is what is used. Each runs once per process and returns what it measured.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "core/latch.h"
#include "core/park.h"
#include "core/scheduler.h"

namespace heddle::bench {

using Params = std::map<std::string, std::variant<double, std::string>>;

using Numbers = std::vector<double>;
using Value =
    std::variant<double, std::string, Numbers, std::vector<Numbers>, std::map<std::string, double>>;
using Result = std::map<std::string, Value>;

// Blocks the calling OS thread, which must not be one of the runtime's, until the benchmark is
// done. Throws std::invalid_argument for an unknown name or a missing parameter.
Result run(Scheduler& scheduler, const std::string& name, const Params& params);

// --- shared by the benchmarks ---

double number(const Params& params, const char* key);
double number(const Params& params, const char* key, double otherwise);
std::string text(const Params& params, const char* key, const char* otherwise);

// Runs `body` on a fiber and blocks the calling thread until it returns.
void run_on_fiber(Scheduler& scheduler, std::function<void()> body);

struct FailedAt {
  uint64_t count;
  std::string reason;
};
void note_failure(Result& result, const FailedAt& failure);

Result create(Scheduler& scheduler, const Params& params);
Result spawn(Scheduler& scheduler, const Params& params);
Result memory(Scheduler& scheduler, const Params& params);
Result yield_around(Scheduler& scheduler, const Params& params);
Result stack(Scheduler& scheduler, const Params& params);
Result steal(Scheduler& scheduler, const Params& params);
Result timer(Scheduler& scheduler, const Params& params);
Result timer_cancel(Scheduler& scheduler, const Params& params);
Result preempt(Scheduler& scheduler, const Params& params);
Result pingpong(Scheduler& scheduler, const Params& params);
Result channel(Scheduler& scheduler, const Params& params);
Result channel_latency(Scheduler& scheduler, const Params& params);
Result channel_memory(Scheduler& scheduler, const Params& params);
Result select_among(Scheduler& scheduler, const Params& params);

}  // namespace heddle::bench
