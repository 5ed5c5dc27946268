#include "addon/environment.h"

#include "addon/runtime.h"
#include "addon/translate.h"

namespace heddle {

namespace {

constexpr uint32_t kBatch = 1024;
constexpr uint32_t kNumbersPerTask = 3;
constexpr size_t kFreeRecords = 4096;

// The second number of a task in a batch; lib/task.ts reads it.
enum Status : uint32_t { kUndefined = 0, kNumber = 1, kExtra = 2, kCancelled = 3, kFailed = 4 };

}  // namespace

Environment* Environment::of(napi_env env) {
  void* self = nullptr;
  napi_get_instance_data(env, &self);
  return static_cast<Environment*>(self);
}

Environment* Environment::create(napi_env env) {
  auto* self = new Environment(env);
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok ||
      uv_async_init(loop, &self->doorbell_, on_doorbell) != 0) {
    delete self;
    napi_throw_error(env, "ERR_HEDDLE_LOAD", "expected an event loop, got none");
    return nullptr;
  }
  uv_prepare_init(loop, &self->loop_sleeps_);
  uv_check_init(loop, &self->loop_wakes_);
  self->open_handles_ = 3;
  self->doorbell_.data = self->loop_sleeps_.data = self->loop_wakes_.data = self;
  uv_unref(reinterpret_cast<uv_handle_t*>(&self->doorbell_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&self->loop_sleeps_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&self->loop_wakes_));
  self->mailbox_ = new Mailbox(&self->doorbell_);
  napi_value name;
  napi_create_string_utf8(env, "heddle", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, nullptr, name, &self->async_context_);
  napi_set_instance_data(env, self, nullptr, nullptr);
  napi_add_async_cleanup_hook(env, on_cleanup, self, &self->cleanup_hook_);
  return self;
}

napi_value Environment::set_dispatcher(napi_value dispatcher) {
  napi_value array_buffer, numbers;
  void* memory = nullptr;
  napi_create_reference(env_, dispatcher, 1, &dispatcher_);
  const size_t count = size_t{kBatch} * kNumbersPerTask;
  napi_create_arraybuffer(env_, count * sizeof(double), &memory, &array_buffer);
  napi_create_typedarray(env_, napi_float64_array, count, array_buffer, 0, &numbers);
  napi_create_reference(env_, array_buffer, 1, &buffer_reference_);
  buffer_ = static_cast<double*>(memory);
  return numbers;
}

TaskRecord* Environment::take_record(uint32_t slot) {
  TaskRecord* record;
  if (free_records_.empty()) {
    record = new TaskRecord;
  } else {
    record = free_records_.back();
    free_records_.pop_back();
  }
  record->slot = slot;
  return record;
}

void Environment::drop_record(TaskRecord* record) { delete record; }

void Environment::started(TaskRecord* record) {
  if (record->slot >= by_slot_.size()) by_slot_.resize(record->slot * 2 + 64, nullptr);
  by_slot_[record->slot] = record;
  mailbox_->retain();
  if (pending_++ == 0) hold_loop(true);
}

void Environment::take_back(TaskRecord* record) {
  by_slot_[record->slot] = nullptr;
  mailbox_->release();
  if (--pending_ == 0) hold_loop(false);
  delete record;
}

void Environment::hold_loop(bool hold) {
  auto* doorbell = reinterpret_cast<uv_handle_t*>(&doorbell_);
  if (hold) {
    uv_ref(doorbell);
    if (!attached_) runtime().note_outside_waker(1);
    attached_ = true;
    note_running(true);
    uv_prepare_start(&loop_sleeps_, on_loop_sleeps);
    uv_check_start(&loop_wakes_, on_loop_wakes);
  } else {
    uv_unref(doorbell);
    note_running(false);
    uv_prepare_stop(&loop_sleeps_);
    uv_check_stop(&loop_wakes_);
  }
}

// While JavaScript runs, its core is not free for searching machines.
void Environment::note_running(bool running) {
  if (counts_as_running_ == running) return;
  counts_as_running_ = running;
  runtime().note_foreign_running(running ? 1 : -1);
}

void Environment::on_loop_sleeps(uv_prepare_t* handle) {
  static_cast<Environment*>(handle->data)->note_running(false);
}

void Environment::on_loop_wakes(uv_check_t* handle) {
  auto* self = static_cast<Environment*>(handle->data);
  if (self->pending_ != 0) self->note_running(true);
}

void Environment::on_doorbell(uv_async_t* handle) {
  static_cast<Environment*>(handle->data)->drain();
}

void Environment::drain() {
  napi_handle_scope scope;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  TaskRecord* records = mailbox_->take_all();
  while (records != nullptr) {
    napi_value extras = nullptr;
    const uint32_t count = write_batch(&records, &extras);
    dispatch(count, extras);
  }
  napi_close_handle_scope(env_, scope);
}

// Writes up to one buffer of results; what needs an object goes into the array `extras`, in order.
uint32_t Environment::write_batch(TaskRecord** records, napi_value* extras) {
  uint32_t count = 0;
  uint32_t extra_count = 0;
  while (*records != nullptr && count < kBatch) {
    TaskRecord* record = *records;
    *records = record->next;
    double* place = buffer_ + size_t{count++} * kNumbersPerTask;
    place[0] = record->slot;
    place[2] = 0;
    napi_value extra = nullptr;
    if (record->outcome == TaskOutcome::kCancelled) {
      place[1] = kCancelled;
    } else if (record->outcome == TaskOutcome::kFailed) {
      place[1] = kFailed;
      extra = failure_to_js(env_, *record);
    } else if (record->result.kind() == ValueKind::kUndefined) {
      place[1] = kUndefined;
    } else if (record->result.kind() == ValueKind::kNumber) {
      place[1] = kNumber;
      place[2] = record->result.number();
    } else {
      place[1] = kExtra;
      extra = value_to_js(env_, record->result);
    }
    if (extra != nullptr) {
      if (*extras == nullptr) napi_create_array(env_, extras);
      napi_set_element(env_, *extras, extra_count++, extra);
    }
    settle(record);
  }
  return count;
}

void Environment::settle(TaskRecord* record) {
  by_slot_[record->slot] = nullptr;
  if (record->on_thread) {
    const uint64_t before = os::now_ns();
    os::join_thread(record->thread);  // it has posted, so it is at its end
    record_thread_times(record->created_ns, record->first_run_ns, os::now_ns() - before);
  }
  mailbox_->release();
  if (--pending_ == 0) hold_loop(false);
  const bool is_plain = record->arguments.empty() && record->name.empty() && !record->on_thread &&
                        record->outcome == TaskOutcome::kValue && record->kernel != nullptr;
  if (!is_plain || free_records_.size() >= kFreeRecords) {
    delete record;
    return;
  }
  record->finished = false;
  record->cancel_requested.store_relaxed(0);
  record->result.clear();
  free_records_.push_back(record);
}

void Environment::dispatch(uint32_t count, napi_value extras) {
  napi_value dispatcher, receiver, arguments[2];
  if (napi_get_reference_value(env_, dispatcher_, &dispatcher) != napi_ok ||
      napi_get_global(env_, &receiver) != napi_ok) {
    return;  // the isolate is being terminated
  }
  napi_create_uint32(env_, count, &arguments[0]);
  if (extras == nullptr) napi_get_undefined(env_, &extras);
  arguments[1] = extras;
  napi_value ignored;
  const napi_status status =
      napi_make_callback(env_, async_context_, receiver, dispatcher, 2, arguments, &ignored);
  // The dispatcher throws only if the isolate is being terminated, or if a promise hook of the
  // user's does: that is an uncaught exception of theirs.
  if (status == napi_pending_exception) {
    napi_value error;
    if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) {
      napi_fatal_exception(env_, error);
    }
  }
}

void Environment::on_cleanup(napi_async_cleanup_hook_handle hook, void* self) {
  static_cast<Environment*>(self)->end(hook);
}

// The isolate ends: its tasks are asked to end, and whatever they still post is dropped.
void Environment::end(napi_async_cleanup_hook_handle hook) {
  cleanup_hook_ = hook;
  for (TaskRecord* record : by_slot_) {
    if (record != nullptr) cancel_task(record);
  }
  if (counts_as_running_) note_running(false);
  if (attached_) runtime().note_outside_waker(-1);
  mailbox_->close();
  for (TaskRecord* record : free_records_) delete record;
  uv_prepare_stop(&loop_sleeps_);
  uv_check_stop(&loop_wakes_);
  for (auto* handle :
       {reinterpret_cast<uv_handle_t*>(&doorbell_), reinterpret_cast<uv_handle_t*>(&loop_sleeps_),
        reinterpret_cast<uv_handle_t*>(&loop_wakes_)}) {
    uv_close(handle, on_handle_closed);
  }
}

void Environment::on_handle_closed(uv_handle_t* handle) {
  auto* self = static_cast<Environment*>(handle->data);
  if (--self->open_handles_ > 0) return;
  const napi_async_cleanup_hook_handle hook = self->cleanup_hook_;
  self->mailbox_->release();
  delete self;
  napi_remove_async_cleanup_hook(hook);
}

}  // namespace heddle
