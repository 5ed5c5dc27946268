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

// js_sync.cc
napi_value js_make_handle(napi_env env, napi_callback_info info);
napi_value js_drop_handle(napi_env env, napi_callback_info info);
napi_value js_wait_on(napi_env env, napi_callback_info info);
napi_value js_try_send(napi_env env, napi_callback_info info);
napi_value js_try_receive(napi_env env, napi_callback_info info);
napi_value js_wait_for_any(napi_env env, napi_callback_info info);
napi_value js_cancel_wait(napi_env env, napi_callback_info info);
napi_value js_sleep_on(napi_env env, napi_callback_info info);
napi_value js_send_numbers(napi_env env, napi_callback_info info);
napi_value js_receive_many(napi_env env, napi_callback_info info);
napi_value js_look_at(napi_env env, napi_callback_info info);
napi_value js_act(napi_env env, napi_callback_info info);
napi_value js_note_held(napi_env env, napi_callback_info info);
napi_value js_child_context(napi_env env, napi_callback_info info);
napi_value js_cancel_context(napi_env env, napi_callback_info info);
napi_value js_context_reason(napi_env env, napi_callback_info info);
napi_value js_allocate(napi_env env, napi_callback_info info);
napi_value js_carry(napi_env env, napi_callback_info info);
napi_value js_free(napi_env env, napi_callback_info info);
napi_value js_leave(napi_env env, napi_callback_info info);
napi_value js_share_handle(napi_env env, napi_callback_info info);
napi_value js_adopt_handle(napi_env env, napi_callback_info info);

// js_isolates.cc
napi_value js_function_id(napi_env env, napi_callback_info info);
napi_value js_function_text(napi_env env, napi_callback_info info);
napi_value js_new_limiter(napi_env env, napi_callback_info info);
napi_value js_spawn_task(napi_env env, napi_callback_info info);
napi_value js_cancel_task(napi_env env, napi_callback_info info);
napi_value js_task_age(napi_env env, napi_callback_info info);
napi_value js_kill_task(napi_env env, napi_callback_info info);
napi_value js_make_set(napi_env env, napi_callback_info info);
napi_value js_set_number(napi_env env, napi_callback_info info);
napi_value js_set_most(napi_env env, napi_callback_info info);
napi_value js_grow_set(napi_env env, napi_callback_info info);
napi_value js_ask_to_grow(napi_env env, napi_callback_info info);
napi_value js_socket_address(napi_env env, napi_callback_info info);
napi_value js_replace_late(napi_env env, napi_callback_info info);
napi_value js_shrink_set(napi_env env, napi_callback_info info);
napi_value js_take_kill(napi_env env, napi_callback_info info);
napi_value js_lose_isolate(napi_env env, napi_callback_info info);
napi_value js_fail_waiting(napi_env env, napi_callback_info info);
napi_value js_close_set(napi_env env, napi_callback_info info);
napi_value js_look_at_set(napi_env env, napi_callback_info info);
napi_value js_join_set(napi_env env, napi_callback_info info);
napi_value js_next_task(napi_env env, napi_callback_info info);
napi_value js_finish_task(napi_env env, napi_callback_info info);
napi_value js_is_task_cancelled(napi_env env, napi_callback_info info);
napi_value js_task_context(napi_env env, napi_callback_info info);

// js_runtime.cc
napi_value js_get_processors(napi_env env, napi_callback_info info);
napi_value js_set_processors(napi_env env, napi_callback_info info);
napi_value js_stats(napi_env env, napi_callback_info info);

// js_benchmark.cc
napi_value js_benchmark(napi_env env, napi_callback_info info);

}  // namespace heddle
