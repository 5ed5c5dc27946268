// The runtime as a whole: processors, statistics, benchmarks.
#include <memory>
#include <stdexcept>

#include "addon/addon.h"
#include "addon/runtime.h"
#include "addon/translate.h"
#include "bench/native/bench.h"

namespace heddle {

napi_value js_get_processors(napi_env env, napi_callback_info) {
  napi_value result;
  napi_create_uint32(env, processor_count(), &result);
  return result;
}

napi_value js_set_processors(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  uint32_t wanted = 1;
  napi_get_value_uint32(env, argument, &wanted);
  set_processor_count(wanted);
  return nullptr;
}

namespace {

void set_number(napi_env env, napi_value object, const char* key, double number) {
  napi_value value;
  napi_create_double(env, number, &value);
  napi_set_named_property(env, object, key, value);
}

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
  const ThreadTimes times = thread_times();
  napi_value threads;
  napi_create_object(env, &threads);
  set_number(env, threads, "started", static_cast<double>(times.started));
  set_number(env, threads, "createNs", static_cast<double>(times.create_ns));
  set_number(env, threads, "firstRunNs", static_cast<double>(times.first_run_ns));
  set_number(env, threads, "joinNs", static_cast<double>(times.join_ns));
  napi_set_named_property(env, result, "threads", threads);
  return result;
}

namespace {

// A benchmark blocks the thread it is called on, so it gets one of libuv's.
struct BenchmarkCall {
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  std::string name;
  bench::Params params;
  bench::Result result;
  std::string failure;
};

napi_value numbers_to_js(napi_env env, const bench::Numbers& numbers) {
  napi_value list;
  napi_create_array(env, &list);
  for (uint32_t i = 0; i < numbers.size(); ++i) {
    napi_value number;
    napi_create_double(env, numbers[i], &number);
    napi_set_element(env, list, i, number);
  }
  return list;
}

napi_value measurement_to_js(napi_env env, const bench::Value& value) {
  napi_value result = nullptr;
  if (const auto* number = std::get_if<double>(&value)) {
    napi_create_double(env, *number, &result);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    napi_create_string_utf8(env, text->data(), text->size(), &result);
  } else if (const auto* numbers = std::get_if<bench::Numbers>(&value)) {
    result = numbers_to_js(env, *numbers);
  } else if (const auto* rows = std::get_if<std::vector<bench::Numbers>>(&value)) {
    napi_create_array(env, &result);
    for (uint32_t i = 0; i < rows->size(); ++i) {
      napi_set_element(env, result, i, numbers_to_js(env, (*rows)[i]));
    }
  } else {
    napi_create_object(env, &result);
    for (const auto& part : std::get<std::map<std::string, double>>(value)) {
      set_number(env, result, part.first.c_str(), part.second);
    }
  }
  return result;
}

bench::Params params_from_js(napi_env env, napi_value object) {
  bench::Params params;
  napi_value keys;
  uint32_t count = 0;
  if (napi_get_property_names(env, object, &keys) != napi_ok) return params;
  napi_get_array_length(env, keys, &count);
  for (uint32_t i = 0; i < count; ++i) {
    napi_value key, value;
    napi_valuetype type;
    napi_get_element(env, keys, i, &key);
    napi_get_property(env, object, key, &value);
    napi_typeof(env, value, &type);
    double number = 0;
    if (type == napi_number && napi_get_value_double(env, value, &number) == napi_ok) {
      params[string_from_js(env, key)] = number;
    } else if (type == napi_string) {
      params[string_from_js(env, key)] = string_from_js(env, value);
    }
  }
  return params;
}

void run_benchmark(napi_env, void* data) {
  auto* call = static_cast<BenchmarkCall*>(data);
  try {
    call->result = bench::run(runtime(), call->name, call->params);
  } catch (const std::exception& failure) {
    call->failure = failure.what();
  }
}

void settle_benchmark(napi_env env, napi_status, void* data) {
  const std::unique_ptr<BenchmarkCall> call(static_cast<BenchmarkCall*>(data));
  if (call->failure.empty()) {
    napi_value result;
    napi_create_object(env, &result);
    for (const auto& each : call->result) {
      napi_set_named_property(env, result, each.first.c_str(), measurement_to_js(env, each.second));
    }
    napi_resolve_deferred(env, call->deferred, result);
  } else {
    napi_value code, message, error;
    napi_create_string_utf8(env, "ERR_HEDDLE_ARGUMENT", NAPI_AUTO_LENGTH, &code);
    napi_create_string_utf8(env, call->failure.data(), call->failure.size(), &message);
    napi_create_error(env, code, message, &error);
    napi_reject_deferred(env, call->deferred, error);
  }
  napi_delete_async_work(env, call->work);
}

}  // namespace

// benchmark(name, params): a promise of what bench/native measured.
napi_value js_benchmark(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2], promise, name;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  auto* call = new BenchmarkCall;
  call->name = string_from_js(env, arguments[0]);
  call->params = params_from_js(env, arguments[1]);
  napi_create_promise(env, &call->deferred, &promise);
  napi_create_string_utf8(env, "heddle.benchmark", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, nullptr, name, run_benchmark, settle_benchmark, call, &call->work);
  napi_queue_async_work(env, call->work);
  return promise;
}

}  // namespace heddle
