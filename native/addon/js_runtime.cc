// The runtime as a whole: processors and statistics.
#include <memory>

#include "addon/addon.h"
#include "addon/environment.h"
#include "addon/runtime.h"
#include "addon/translate.h"

namespace heddle {

napi_value js_get_processors(napi_env env, napi_callback_info) {
  napi_value result;
  napi_create_uint32(env, processor_count(), &result);
  return result;
}

napi_value js_set_processors(napi_env env, napi_callback_info info) {
  set_processor_count(JsCall(env, info).index(0));
  return nullptr;
}

namespace {

napi_value per_processor(napi_env env, const SchedulerStats& stats) {
  napi_value list;
  napi_create_array(env, &list);
  for (uint32_t i = 0; i < stats.processors; ++i) {
    napi_value each;
    napi_create_object(env, &each);
    set_number(env, each, "queued", stats.per_processor[i].queue);
    set_number(env, each, "started", static_cast<double>(stats.per_processor[i].started));
    set_number(env, each, "local", static_cast<double>(stats.per_processor[i].run_local));
    set_number(env, each, "global", static_cast<double>(stats.per_processor[i].run_global));
    set_number(env, each, "stolen", static_cast<double>(stats.per_processor[i].run_stolen));
    napi_set_element(env, list, i, each);
  }
  return list;
}

napi_value measure_to_js(napi_env env, const ThreadTimes::Measure& measure) {
  napi_value result = nullptr;
  napi_create_object(env, &result);
  set_number(env, result, "last", static_cast<double>(measure.last_ns));
  set_number(env, result, "median", static_cast<double>(measure.median_ns));
  return result;
}

napi_value threads_to_js(napi_env env, const ThreadTimes& times) {
  napi_value result = nullptr;
  napi_create_object(env, &result);
  set_number(env, result, "started", static_cast<double>(times.started));
  napi_set_named_property(env, result, "createNs", measure_to_js(env, times.create));
  napi_set_named_property(env, result, "firstRunNs", measure_to_js(env, times.first_run));
  napi_set_named_property(env, result, "joinNs", measure_to_js(env, times.join));
  return result;
}

}  // namespace

napi_value js_stats(napi_env env, napi_callback_info) {
  auto stats = std::make_unique<SchedulerStats>();
  if (Scheduler* started = runtime_if_started()) {
    started->read_stats(stats.get());
  } else {
    stats->processors = processor_count();
    stats->idle_processors = stats->processors;
  }
  napi_value result;
  napi_create_object(env, &result);
  const struct {
    const char* key;
    uint64_t value;
  } kNumbers[] = {
      {"processors", stats->processors},
      {"idleProcessors", stats->idle_processors},
      {"machines", stats->machines},
      {"searching", stats->searching},
      {"globalQueue", stats->global_queue},
      {"spawned", stats->spawned},
      {"started", stats->started},
      {"exited", stats->exited},
      {"parked", stats->parked},
      {"readied", stats->readied},
      {"yielded", stats->yielded},
      {"stealAttempts", stats->steal_attempts},
      {"steals", stats->steal_successes},
      {"stolen", stats->stolen_items},
      {"stealNs", stats->steal_ns},
      {"timersFired", stats->timers_fired},
      {"handOffs", stats->hand_offs},
      {"idleSleeps", stats->idle_sleeps},
      {"polls", stats->polls},
      {"pollEvents", stats->poll_events},
      {"stacksEarned", stats->stacks_earned},
      {"monitorCpuNs", stats->monitor_cpu_ns},
      {"stacksInUse", stats->stacks_in_use},
      {"stacksWarm", stats->stacks_warm},
      {"descriptorBytes", stats->descriptor_bytes},
      {"frameBytes", stats->frame_bytes},
  };
  for (const auto& each : kNumbers) {
    set_number(env, result, each.key, static_cast<double>(each.value));
  }
  napi_set_named_property(env, result, "perProcessor", per_processor(env, *stats));
  napi_set_named_property(env, result, "threads", threads_to_js(env, thread_times()));
  return result;
}

}  // namespace heddle
