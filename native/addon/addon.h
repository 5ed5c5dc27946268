// The functions that the addon exports, one file per concept; lib/binding.ts has their types.
#pragma once

#include <node_api.h>

namespace heddle {

// js_spawn.cc
napi_value js_spawn(napi_env env, napi_callback_info info);
napi_value js_spawn_with(napi_env env, napi_callback_info info);
napi_value js_cancel(napi_env env, napi_callback_info info);
napi_value js_state(napi_env env, napi_callback_info info);
napi_value js_kernels(napi_env env, napi_callback_info info);

// js_sleep.cc
napi_value js_sleep(napi_env env, napi_callback_info info);

// js_runtime.cc
napi_value js_get_processors(napi_env env, napi_callback_info info);
napi_value js_set_processors(napi_env env, napi_callback_info info);
napi_value js_stats(napi_env env, napi_callback_info info);

// js_benchmark.cc
napi_value js_benchmark(napi_env env, napi_callback_info info);

}  // namespace heddle
