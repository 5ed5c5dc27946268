#include "addon/addon.h"

#include "addon/environment.h"

namespace heddle {

namespace {

napi_value js_set_dispatcher(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value dispatcher;
  napi_get_cb_info(env, info, &count, &dispatcher, nullptr, nullptr);
  return Environment::of(env)->set_dispatcher(dispatcher);
}

napi_value initialise(napi_env env, napi_value exports) {
  if (Environment::of(env) == nullptr && Environment::create(env) == nullptr) return nullptr;
  const struct {
    const char* name;
    napi_callback function;
  } kFunctions[] = {
      {"setDispatcher", js_set_dispatcher},
      {"spawn", js_spawn},
      {"spawnWith", js_spawn_with},
      {"sleep", js_sleep},
      {"cancel", js_cancel},
      {"taskState", js_task_state},
      {"kernels", js_kernels},
      {"getProcessors", js_get_processors},
      {"setProcessors", js_set_processors},
      {"stats", js_stats},
      {"benchmark", js_benchmark},
  };
  for (const auto& each : kFunctions) {
    napi_value function;
    napi_create_function(env, each.name, NAPI_AUTO_LENGTH, each.function, nullptr, &function);
    napi_set_named_property(env, exports, each.name, function);
  }
  return exports;
}

}  // namespace
}  // namespace heddle

NAPI_MODULE_INIT() { return heddle::initialise(env, exports); }
