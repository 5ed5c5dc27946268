#include "addon/addon.h"

#include "addon/environment.h"
#include "addon/runtime.h"

namespace heddle {

namespace {

// attach(dispatch, makeError, entries, numbers, values, scratch, state, outbox)
napi_value js_attach(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  const napi_value* given = call.arguments;
  call.environment->attach(
      {given[0], given[1], given[2], given[3], given[4], given[5], given[6], given[7]});
  return nullptr;
}

// take(): see Environment::take
napi_value js_take(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  napi_value count = nullptr;
  napi_create_uint32(env, call.environment->take(), &count);
  return count;
}

napi_value initialise(napi_env env, napi_value exports) {
  pin_library();
  Environment* environment = Environment::create(env);
  if (environment == nullptr) return nullptr;
  const struct {
    const char* name;
    napi_callback function;
  } kFunctions[] = {
      {"attach", js_attach},
      {"take", js_take},
      {"spawn", js_spawn},
      {"spawnWith", js_spawn_with},
      {"cancel", js_cancel},
      {"state", js_state},
      {"kernels", js_kernels},
      {"sleep", js_sleep},
      {"makeHandle", js_make_handle},
      {"dropHandle", js_drop_handle},
      {"waitOn", js_wait_on},
      {"trySend", js_try_send},
      {"tryReceive", js_try_receive},
      {"waitForAny", js_wait_for_any},
      {"cancelWait", js_cancel_wait},
      {"sleepOn", js_sleep_on},
      {"sendNumbers", js_send_numbers},
      {"receiveMany", js_receive_many},
      {"lookAt", js_look_at},
      {"act", js_act},
      {"noteHeld", js_note_held},
      {"childContext", js_child_context},
      {"cancelContext", js_cancel_context},
      {"contextReason", js_context_reason},
      {"allocate", js_allocate},
      {"carry", js_carry},
      {"free", js_free},
      {"leave", js_leave},
      {"shareHandle", js_share_handle},
      {"adoptHandle", js_adopt_handle},
      {"functionId", js_function_id},
      {"functionText", js_function_text},
      {"newLimiter", js_new_limiter},
      {"spawnTask", js_spawn_task},
      {"cancelTask", js_cancel_task},
      {"taskAge", js_task_age},
      {"killTask", js_kill_task},
      {"makeSet", js_make_set},
      {"setNumber", js_set_number},
      {"setMost", js_set_most},
      {"growSet", js_grow_set},
      {"askToGrow", js_ask_to_grow},
      {"replaceLate", js_replace_late},
      {"socketAddress", js_socket_address},
      {"shrinkSet", js_shrink_set},
      {"takeKill", js_take_kill},
      {"loseIsolate", js_lose_isolate},
      {"failWaiting", js_fail_waiting},
      {"closeSet", js_close_set},
      {"lookAtSet", js_look_at_set},
      {"joinSet", js_join_set},
      {"nextTask", js_next_task},
      {"finishTask", js_finish_task},
      {"isTaskCancelled", js_is_task_cancelled},
      {"taskContext", js_task_context},
      {"getProcessors", js_get_processors},
      {"setProcessors", js_set_processors},
      {"stats", js_stats},
      {"benchmark", js_benchmark},
  };
  for (const auto& each : kFunctions) {
    napi_value function = nullptr;
    napi_create_function(env, each.name, NAPI_AUTO_LENGTH, each.function, environment, &function);
    napi_set_named_property(env, exports, each.name, function);
  }
  return exports;
}

}  // namespace
}  // namespace heddle

NAPI_MODULE_INIT() { return heddle::initialise(env, exports); }
