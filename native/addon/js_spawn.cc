// Tasks: their start, cancellation and state. What can be wrong is refused before anything is
// queued.
#include <cstring>
#include <string>

#include "addon/addon.h"
#include "addon/environment.h"
#include "addon/translate.h"
#include "addon/value_call.h"

namespace heddle {

namespace {

// Bits of spawnWith's `mode`; lib/spawn.ts has them as well, and a test compares the two.
enum StartMode : uint32_t {
  kCompact = 1,
  kStandard = 2,
  kLockToThread = 4,
  kOnThread = 8,
};

std::string count_words(const Kernel& kernel, uint32_t least) {
  const uint32_t most = kernel.argument_count;
  if (least != most) return std::to_string(least) + " to " + std::to_string(most) + " arguments";
  return most == 0 ? "no argument"
                   : std::to_string(most) + (most == 1 ? " argument" : " arguments");
}

bool check_count(const JsCall& call, const Kernel& kernel, uint32_t count) {
  uint32_t least = 0;
  while (least < kernel.argument_count && !kernel.arguments[least].is_optional) ++least;
  if (count >= least && count <= kernel.argument_count) return true;
  call.environment->throw_error("ERR_HEDDLE_ARGUMENT", std::string(kernel.name) + ": expected " +
                                                           count_words(kernel, least) + ", got " +
                                                           std::to_string(count));
  return false;
}

// Copies the arguments into the record; false with an exception pending.
bool read_arguments(const JsCall& call, const napi_value* values, uint32_t count, uint32_t modes,
                    TaskRecord* record) {
  const Kernel& kernel = *record->kernel;
  if (!check_count(call, kernel, count)) return false;
  if (count == 0) return true;
  record->is_special = true;
  record->argument_count = static_cast<uint8_t>(count);
  for (uint32_t i = 0; i < count; ++i) {
    Refusal refusal;
    const ArgumentSpec& spec = kernel.arguments[i];
    const auto mode = static_cast<Mode>((modes >> (4 * i)) & 15);
    if (mode != Mode::kAny) {
      if (!read_value(call, mode, values[i], &record->arguments[i])) return false;
      if (fits(spec, record->arguments[i])) continue;
      describe_refusal(call.env, values[i], spec, &refusal);
    } else if (encode(call.env, values[i], spec, &record->arguments[i], &refusal)) {
      continue;
    }
    call.environment->throw_error(refusal.code, std::string(kernel.name) + ": expected argument " +
                                                    std::to_string(i + 1) + " (" + spec.name +
                                                    ") to be " + refusal.expected + ", got " +
                                                    refusal.got);
    return false;
  }
  return true;
}

void read_name(napi_env env, napi_value value, TaskRecord* record) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  if (type != napi_string) return;
  const std::string text = string_from_js(env, value);
  record->is_special = true;
  record->name = std::make_unique<char[]>(text.size() + 1);
  std::memcpy(record->name.get(), text.c_str(), text.size() + 1);
}

const char* start(TaskRecord* record, uint32_t mode, size_t stack_bytes, Magazine* stock,
                  int* error) {
  if ((mode & kOnThread) != 0) return start_on_thread(record, stack_bytes, error);
  FiberPlan plan;
  plan.stack_class = record->kernel->stack_class;
  if ((mode & kCompact) != 0) plan.stack_class = StackClass::kCompact;
  if ((mode & kStandard) != 0) plan.stack_class = StackClass::kStandard;
  plan.stack_bytes = stack_bytes;
  plan.lock_to_thread = (mode & kLockToThread) != 0;
  return start_on_fiber(record, plan, stock);
}

// The refusal of a start becomes a rejection, which JavaScript makes of the returned code.
napi_value start_or_take_back(const JsCall& call, TaskRecord* record, uint32_t mode,
                              size_t stack_bytes) {
  int error = 0;
  call.environment->note_started(record);
  const char* code = start(record, mode, stack_bytes, call.environment->fiber_stock(), &error);
  if (code == nullptr) return nullptr;
  call.environment->take_back(record);
  napi_value result = nullptr;
  napi_create_string_utf8(call.env, code, NAPI_AUTO_LENGTH, &result);
  return result;
}

}  // namespace

// spawn(kernel, slot): the fast path, for a kernel without arguments and options. It and spawnWith
// answer undefined, or the code of an error after which nothing was queued.
napi_value js_spawn(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  TaskRecord* record = call.environment->take_record(call.index(1));
  record->kernel = &kernel_at(call.index(0));
  return start_or_take_back(call, record, 0, 0);
}

// spawnWith(kernel, slot, mode, stackBytes, name, count, modes, first, second, third): 0 bytes =
// the default; `modes`: how each argument is given, 4 bits each (see value_call.h).
napi_value js_spawn_with(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  TaskRecord* record = call.environment->take_record(call.index(1));
  record->kernel = &kernel_at(call.index(0));
  if (!read_arguments(call, call.arguments + 7, call.index(5), call.index(6), record)) {
    call.environment->give_record(record);
    return nullptr;
  }
  read_name(env, call.arguments[4], record);
  return start_or_take_back(call, record, call.index(2), static_cast<size_t>(call.number(3)));
}

// cancel(slot): true if the task has ended by this.
napi_value js_cancel(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  napi_value result = nullptr;
  napi_get_boolean(env, call.environment->cancel(call.index(0)), &result);
  return result;
}

// state(slot): a TaskState as a number.
napi_value js_state(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  const TaskRecord* record = call.environment->record_at(call.index(0));
  const TaskState state = record != nullptr ? task_state(*record) : TaskState::kRunning;
  napi_value result = nullptr;
  napi_create_uint32(env, static_cast<uint32_t>(state), &result);
  return result;
}

// kernels(): their names, how many arguments each may have, and which of them may be anything or
// are handles (a bit each), in the order of their ids.
napi_value js_kernels(napi_env env, napi_callback_info) {
  napi_value list = nullptr;
  napi_create_array(env, &list);
  for (uint32_t id = 0; id < kernel_count(); ++id) {
    napi_value each = nullptr;
    napi_create_object(env, &each);
    napi_set_named_property(env, each, "name", string_to_js(env, kernel_at(id).name));
    set_number(env, each, "argumentCount", kernel_at(id).argument_count);
    uint32_t any = 0, handles = 0;
    for (uint32_t i = 0; i < kernel_at(id).argument_count; ++i) {
      const ArgumentKind kind = kernel_at(id).arguments[i].kind;
      if (kind == ArgumentKind::kAny) any |= 1u << i;
      if (kind == ArgumentKind::kChannel || kind == ArgumentKind::kSocket) handles |= 1u << i;
    }
    set_number(env, each, "any", any);
    set_number(env, each, "handles", handles);
    const bool compact = kernel_at(id).stack_class == StackClass::kCompact;
    napi_set_named_property(env, each, "stack",
                            string_to_js(env, compact ? "compact" : "standard"));
    napi_set_element(env, list, id, each);
  }
  return list;
}

}  // namespace heddle
