// Tasks of JavaScript: their way into the queue of a set, their start and their end in the isolate
// that runs them; and what the root of a set does with it.
#include <memory>
#include <string>

#include "addon/addon.h"
#include "addon/environment.h"
#include "addon/translate.h"
#include "addon/value_call.h"

namespace heddle {

namespace {

bool is_undefined(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  return type == napi_undefined;
}

}  // namespace

// functionId(text): the same in all isolates.
napi_value js_function_id(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  return number_to_js(env, function_id(string_from_js(env, call.arguments[0])));
}

// functionText(id)
napi_value js_function_text(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  return string_to_js(env, function_text(call.index(0)));
}

// newLimiter(): the number of one, for tasks of which an isolate starts only so many.
napi_value js_new_limiter(napi_env env, napi_callback_info) {
  return number_to_js(env, new_limiter());
}

// --- the one that spawns ---

// spawnTask(set, slot, function, count, modes, first, second, third, extra, plan): how the
// arguments and `extra` are given, 4 bits each. `plan`: undefined, or [priority, pin or -1, context
// or -1, milliseconds or -1, limiter or 0, most started]. Answers how it was taken
// (IsolateSet::Pushed).
napi_value js_spawn_task(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  Environment& environment = *call.environment;
  IsolateTask* const task = environment.take_isolate_task(call.index(1), call.index(0));
  task->function = call.index(2);
  task->argument_count = static_cast<uint8_t>(call.index(3));
  const uint32_t modes = call.index(4);
  for (uint32_t i = 0; i <= kMaxArguments; ++i) {
    Value* const to = i < kMaxArguments ? &task->arguments[i] : &task->extra;
    const auto mode = static_cast<Mode>((modes >> (4 * i)) & 15);
    if (mode == Mode::kNone || read_value(call, mode, call.arguments[5 + i], to)) continue;
    environment.give_record(task);
    return nullptr;
  }
  if (!is_undefined(env, call.arguments[9])) {
    double plan[6] = {};
    for (uint32_t i = 0; i < 6; ++i) {
      napi_value each = nullptr;
      napi_get_element(env, call.arguments[9], i, &each);
      napi_get_value_double(env, each, &plan[i]);
    }
    task->priority = static_cast<int32_t>(plan[0]);
    if (plan[1] >= 0) task->pin = static_cast<uint32_t>(plan[1]);
    if (plan[2] >= 0) {
      auto* const parent =
          static_cast<ContextCore*>(environment.handle_at(static_cast<uint32_t>(plan[2])).target);
      parent->retain();
      task->parent = Ref<ContextCore>(parent);
    }
    if (plan[3] >= 0) task->deadline_ns = deadline_after(plan[3]);
    task->limiter = static_cast<uint32_t>(plan[4]);
    task->most_started = static_cast<uint32_t>(plan[5]);
  }
  environment.note_started(task);
  const IsolateSet::Pushed pushed = task->set->push(task);
  const bool was_taken = pushed == IsolateSet::Pushed::kDone || pushed == IsolateSet::Pushed::kGrow;
  if (!was_taken) environment.take_back(task);
  return number_to_js(env, static_cast<double>(pushed));
}

// cancelTask(slot, mode, reason): true if the task has ended by this.
napi_value js_cancel_task(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  TaskRecord* const record = call.environment->record_at(call.index(0));
  bool ended = false;
  if (record != nullptr) {
    auto reason = std::make_shared<Value>();
    const auto mode = static_cast<Mode>(call.index(1));
    if (!read_value(call, mode, call.arguments[2], reason.get())) return nullptr;
    ended = cancel_isolate_task(static_cast<IsolateTask*>(record), reason);
    if (ended) call.environment->take_back(record);
  }
  return boolean_to_js(env, ended);
}

// taskAge(slot): milliseconds since it was started; -1 if it has not been.
napi_value js_task_age(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  const auto* task = static_cast<IsolateTask*>(call.environment->record_at(call.index(0)));
  const uint64_t started_ns = task == nullptr ? 0 : task->started_ns.load_relaxed();
  if (started_ns == 0) return number_to_js(env, -1);
  return number_to_js(env, static_cast<double>(os::now_ns() - started_ns) / 1e6);
}

// killTask(slot): asks the root to end the isolate that runs it.
napi_value js_kill_task(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  auto* task = static_cast<IsolateTask*>(call.environment->record_at(call.index(0)));
  if (task != nullptr) task->set->ask_to_kill(task);
  return nullptr;
}

// --- the root ---

// makeSet(most): its index here.
napi_value js_make_set(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  Environment& environment = *call.environment;
  auto set = std::make_shared<IsolateSet>(environment.mailbox(), call.index(0));
  return number_to_js(env, environment.add_set(std::move(set), true));
}

// setNumber(index): by which a Worker joins it.
napi_value js_set_number(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  return number_to_js(env, call.environment->set_number(call.index(0)));
}

// setMost(index, most): how many isolates it may have.
napi_value js_set_most(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  call.environment->set_at(call.index(0))->set_most(call.index(1));
  return nullptr;
}

// growSet(index, least): the place of an isolate that should be started, or -1.
napi_value js_grow_set(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  return number_to_js(env, call.environment->set_at(call.index(0))->grow(call.index(1)));
}

// askToGrow(index): for whoever is not the root.
napi_value js_ask_to_grow(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  call.environment->set_at(call.index(0))->ask_to_grow();
  return nullptr;
}

// replaceLate(index): others are woken in the place of isolates that do not come for tasks.
napi_value js_replace_late(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  call.environment->set_at(call.index(0))->replace_late();
  return nullptr;
}

// shrinkSet(index, idleMs, least): the place of an isolate that should be ended, or -1.
napi_value js_shrink_set(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  const auto idle_ns = static_cast<uint64_t>(call.number(1) * 1e6);
  return number_to_js(env, call.environment->set_at(call.index(0))->shrink(idle_ns, call.index(2)));
}

// takeKill(index): the place of an isolate that should be ended at once, or -1.
napi_value js_take_kill(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  return number_to_js(env, call.environment->set_at(call.index(0))->take_kill());
}

// loseIsolate(index, place, mode, error): it has ended; so its tasks fail. Answers how many.
napi_value js_lose_isolate(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  Value error;
  if (!read_value(call, static_cast<Mode>(call.index(2)), call.arguments[3], &error)) {
    return nullptr;
  }
  const size_t lost = call.environment->set_at(call.index(0))->lose(call.index(1), error);
  return number_to_js(env, static_cast<double>(lost));
}

// failWaiting(index, mode, error): no isolate can be started for what waits.
napi_value js_fail_waiting(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  Value error;
  if (!read_value(call, static_cast<Mode>(call.index(1)), call.arguments[2], &error)) {
    return nullptr;
  }
  call.environment->set_at(call.index(0))->fail_waiting(error);
  return nullptr;
}

// closeSet(index)
napi_value js_close_set(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  call.environment->close_set(call.index(0));
  return nullptr;
}

// lookAtSet(index): [queued, then six numbers for each isolate: place, idle, tasks that are
// started, milliseconds of its turn, tasks run, milliseconds busy].
napi_value js_look_at_set(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  uint32_t queued = 0, at = 0;
  const auto pictures = call.environment->set_at(call.index(0))->look(&queued);
  napi_value list = nullptr;
  napi_create_array(env, &list);
  const auto add = [&](double number) {
    napi_set_element(env, list, at++, number_to_js(env, number));
  };
  add(queued);
  for (const IsolateSet::Picture& each : pictures) {
    add(each.place);
    add(each.is_idle ? 1 : 0);
    add(each.started);
    add(static_cast<double>(each.turn_ns) / 1e6);
    add(static_cast<double>(each.tasks_run));
    add(static_cast<double>(each.busy_ns) / 1e6);
  }
  return list;
}

// --- an isolate of a set ---

// joinSet(number, place): false if the set is gone.
napi_value js_join_set(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  std::shared_ptr<IsolateSet> set = find_set(call.index(0));
  const bool there = set != nullptr;
  if (there) call.environment->join_set(std::move(set), call.index(1));
  return boolean_to_js(env, there);
}

// nextTask(): its run, or -1. In entries: function, how many arguments, the kind of each and of
// what is extra; they themselves where values are, the extra at place 3.
napi_value js_next_task(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  Environment& environment = *call.environment;
  IsolateTask* const task = environment.runner.take();
  if (task == nullptr) return number_to_js(env, -1);
  uint32_t* const entries = environment.entries();
  entries[0] = task->function;
  entries[1] = task->argument_count;
  size_t offset = 0;
  napi_value values = nullptr;
  for (uint32_t i = 0; i <= kMaxArguments; ++i) {
    Value* const value = i < kMaxArguments ? &task->arguments[i] : &task->extra;
    const bool is_quick =
        value->kind() == ValueKind::kUndefined || value->kind() == ValueKind::kNumber;
    if (values == nullptr && !is_quick) values = environment.values();
    entries[2 + i] = environment.write_value(*value, i, &offset, values);
    value->clear();
  }
  return number_to_js(env, task->run);
}

// finishTask(run, outcome, mode, value): 0 with a value, 1 thrown, 2 cancelled.
napi_value js_finish_task(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  TaskRunner& runner = call.environment->runner;
  IsolateTask* const task = runner.at(call.index(0));
  constexpr TaskOutcome kOutcomes[] = {TaskOutcome::kValue, TaskOutcome::kThrown,
                                       TaskOutcome::kCancelled};
  if (!read_value(call, static_cast<Mode>(call.index(2)), call.arguments[3], &task->result)) {
    return nullptr;
  }
  task->outcome = kOutcomes[call.index(1)];
  runner.finish(task);
  return nullptr;
}

// isTaskCancelled(run)
napi_value js_is_task_cancelled(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  return boolean_to_js(env, is_cancelled(call.environment->runner.at(call.index(0))));
}

// taskContext(run): a handle of its context; -1 without memory.
napi_value js_task_context(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  ContextCore* const context = context_of(call.environment->runner.at(call.index(0)));
  if (context == nullptr) return number_to_js(env, -1);
  context->retain();
  return number_to_js(env, call.environment->add_handle({context, HandleKind::kContext}));
}

}  // namespace heddle
