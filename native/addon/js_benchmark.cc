// `heddle bench` from inside: the measured loops of bench/native, off the JavaScript thread.
#include <memory>
#include <stdexcept>

#include "addon/addon.h"
#include "addon/environment.h"
#include "addon/runtime.h"
#include "addon/translate.h"
#include "bench/native/bench.h"

namespace heddle {

namespace {

// A benchmark blocks the thread it is called on, so it gets one of libuv's.
struct BenchmarkCall {
  Environment* environment = nullptr;
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
    napi_reject_deferred(env, call->deferred,
                         call->environment->make_error("ERR_HEDDLE_BENCHMARK", call->failure));
  }
  napi_delete_async_work(env, call->work);
}

}  // namespace

// benchmark(name, params): a promise of what bench/native measured.
napi_value js_benchmark(napi_env env, napi_callback_info info) {
  const JsCall js(env, info);
  auto* call = new BenchmarkCall;
  call->environment = js.environment;
  call->name = string_from_js(env, js.arguments[0]);
  call->params = params_from_js(env, js.arguments[1]);
  napi_value promise = nullptr, name = nullptr;
  napi_create_promise(env, &call->deferred, &promise);
  napi_create_string_utf8(env, "heddle.benchmark", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(env, nullptr, name, run_benchmark, settle_benchmark, call, &call->work);
  napi_queue_async_work(env, call->work);
  return promise;
}

}  // namespace heddle
