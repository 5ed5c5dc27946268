// Tasks: their start, cancellation and state. Everything that can be wrong is refused before
// anything is queued.
#include <string>

#include "addon/addon.h"
#include "addon/environment.h"
#include "addon/runtime.h"
#include "addon/translate.h"

namespace heddle {

namespace {

// The mailbox is referenced by every record that may still post.
TaskRecord* prepare(Environment* environment, uint32_t slot, const Kernel* kernel,
                    Mailbox* mailbox) {
  TaskRecord* record = environment->take_record(slot);
  record->kernel = kernel;
  record->mailbox = mailbox;
  return record;
}

const Kernel* kernel_of(napi_env env, napi_value value) {
  uint32_t id = UINT32_MAX;
  napi_get_value_uint32(env, value, &id);
  return id < kernel_count() ? &kernel_at(id) : nullptr;
}

uint32_t required_arguments(const Kernel& kernel) {
  uint32_t count = 0;
  while (count < kernel.argument_count && !kernel.arguments[count].is_optional) ++count;
  return count;
}

bool read_arguments(napi_env env, napi_value array, TaskRecord* record) {
  const Kernel& kernel = *record->kernel;
  uint32_t count = 0;
  napi_get_array_length(env, array, &count);
  if (count < required_arguments(kernel) || count > kernel.argument_count) {
    throw_coded(env, "ERR_HEDDLE_ARGUMENT",
                std::string(kernel.name) + ": expected " + std::to_string(kernel.argument_count) +
                    " arguments, got " + std::to_string(count));
    return false;
  }
  for (uint32_t i = 0; i < count; ++i) {
    napi_value value;
    Value argument;
    std::string expected;
    napi_get_element(env, array, i, &value);
    if (!value_from_js(env, value, kernel.arguments[i], &argument, &expected)) {
      throw_coded(env, "ERR_HEDDLE_ARGUMENT",
                  std::string(kernel.name) + ": " + kernel.arguments[i].name + ": expected " +
                      expected + ", got " + describe(env, value));
      return false;
    }
    record->arguments.push_back(std::move(argument));
  }
  return true;
}

}  // namespace

// spawn(kernel, slot): the fast path, for kernels without arguments and options.
napi_value js_spawn(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  uint32_t slot = 0;
  napi_get_value_uint32(env, arguments[1], &slot);
  Environment* environment = Environment::of(env);
  const Kernel* kernel = kernel_of(env, arguments[0]);
  TaskRecord* record = prepare(environment, slot, kernel, environment->mailbox());
  std::string code, reason;
  const bool compact = kernel->stack_class == StackClass::kCompact;
  environment->started(record);
  if (!start_on_fiber(record, 0, compact, false, &code, &reason)) {
    environment->take_back(record);
    throw_coded(env, code, reason);
  }
  return nullptr;
}

// spawnWith(kernel, slot, arguments, stack, flags, name): stack is in bytes, 0 = default;
// flags: 1 compact, 2 lock to thread, 4 on a thread of its own.
napi_value js_spawn_with(napi_env env, napi_callback_info info) {
  size_t count = 6;
  napi_value arguments[6];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  uint32_t slot = 0;
  double stack_bytes = 0;
  uint32_t flags = 0;
  napi_get_value_uint32(env, arguments[1], &slot);
  napi_get_value_double(env, arguments[3], &stack_bytes);
  napi_get_value_uint32(env, arguments[4], &flags);
  Environment* environment = Environment::of(env);
  TaskRecord* record =
      prepare(environment, slot, kernel_of(env, arguments[0]), environment->mailbox());
  if (!read_arguments(env, arguments[2], record)) {
    environment->drop_record(record);
    return nullptr;
  }
  napi_valuetype name_type = napi_undefined;
  napi_typeof(env, arguments[5], &name_type);
  if (name_type == napi_string) record->name = string_from_js(env, arguments[5]);
  std::string code, reason;
  const auto bytes = static_cast<size_t>(stack_bytes);
  environment->started(record);
  const bool started = (flags & 4) != 0 ? start_on_thread(record, bytes, &code, &reason)
                                        : start_on_fiber(record, bytes, (flags & 1) != 0,
                                                         (flags & 2) != 0, &code, &reason);
  if (!started) {
    environment->take_back(record);
    throw_coded(env, code, reason);
  }
  return nullptr;
}

// sleep(slot, ms): a timer whose firing settles the promise; no fiber waits for it.
napi_value js_sleep(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  uint32_t slot = 0;
  double ms = 0;
  napi_get_value_uint32(env, arguments[0], &slot);
  napi_get_value_double(env, arguments[1], &ms);
  Environment* environment = Environment::of(env);
  TaskRecord* record = prepare(environment, slot, nullptr, environment->mailbox());
  constexpr double kLongestMs = 9e12;  // in nanoseconds still below 2^63
  const uint64_t deadline =
      ms >= kLongestMs ? os::kNever
                       : os::now_ns() + (ms > 0 ? static_cast<uint64_t>(ms * 1e6 + 0.5) : 0);
  std::string code, reason;
  environment->started(record);
  if (!start_as_timer(record, deadline, &code, &reason)) {
    environment->take_back(record);
    throw_coded(env, code, reason);
  }
  return nullptr;
}

namespace {
TaskRecord* record_of_call(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  uint32_t slot = 0;
  napi_get_value_uint32(env, argument, &slot);
  return Environment::of(env)->record_at(slot);
}
}  // namespace

napi_value js_cancel(napi_env env, napi_callback_info info) {
  if (TaskRecord* record = record_of_call(env, info)) cancel_task(record);
  return nullptr;
}

// 0 runnable, 1 running, 2 waiting, 3 finished
napi_value js_task_state(napi_env env, napi_callback_info info) {
  TaskRecord* record = record_of_call(env, info);
  const TaskState state = record != nullptr ? task_state(record) : TaskState::kFinished;
  napi_value result;
  napi_create_uint32(env, static_cast<uint32_t>(state), &result);
  return result;
}

// The names of all kernels, in the order of their ids.
napi_value js_kernels(napi_env env, napi_callback_info) {
  napi_value names;
  napi_create_array(env, &names);
  for (uint32_t id = 0; id < kernel_count(); ++id) {
    napi_value name;
    napi_create_string_utf8(env, kernel_at(id).name, NAPI_AUTO_LENGTH, &name);
    napi_set_element(env, names, id, name);
  }
  return names;
}

}  // namespace heddle
