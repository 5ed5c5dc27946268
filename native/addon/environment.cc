#include "addon/environment.h"

#include <utility>

#include "addon/runtime.h"
#include "addon/translate.h"
#include "arch/context.h"

namespace heddle {

namespace {

// The second number of an entry; lib/task.ts reads it.
enum Status : uint32_t {
  kUndefined = 0,
  kNumber = 1,
  kValue = 2,
  kCancelled = 3,
  kFailed = 4,  // its value is (code, type, message, errno, errno's name, syscall, path)
};

uv_handle_t* handle_of(uv_async_t& handle) { return reinterpret_cast<uv_handle_t*>(&handle); }
uv_handle_t* handle_of(uv_prepare_t& handle) { return reinterpret_cast<uv_handle_t*>(&handle); }
uv_handle_t* handle_of(uv_check_t& handle) { return reinterpret_cast<uv_handle_t*>(&handle); }

}  // namespace

Environment* Environment::create(napi_env env) {
  auto* self = new Environment(env);
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok ||
      uv_async_init(loop, &self->doorbell_, on_doorbell) != 0) {
    delete self;
    napi_throw_error(env, nullptr, "heddle: expected an event loop to attach to, got none");
    return nullptr;
  }
  uv_prepare_init(loop, &self->loop_sleeps_);
  uv_check_init(loop, &self->loop_wakes_);
  self->open_handles_ = 3;
  for (uv_handle_t* handle :
       {handle_of(self->doorbell_), handle_of(self->loop_sleeps_), handle_of(self->loop_wakes_)}) {
    handle->data = self;
    uv_unref(handle);
  }
  self->mailbox_ = Mailbox::open(&self->doorbell_);
  napi_add_async_cleanup_hook(env, on_cleanup, self, &self->cleanup_hook_);
  return self;
}

Environment::~Environment() {
  keep_records(0);
  fiber_stock_.flush(fiber_pool());
}

void Environment::attach(const Face& face) {
  size_t entry_count = 0, number_count = 0;
  void* memory = nullptr;
  napi_get_typedarray_info(env_, face.entries, nullptr, &entry_count, &memory, nullptr, nullptr);
  entries_ = static_cast<uint32_t*>(memory);
  napi_get_typedarray_info(env_, face.numbers, nullptr, &number_count, &memory, nullptr, nullptr);
  numbers_ = static_cast<double*>(memory);
  capacity_ =
      static_cast<uint32_t>(number_count < entry_count / 2 ? number_count : entry_count / 2);
  napi_create_reference(env_, face.dispatch, 1, &dispatch_);
  napi_create_reference(env_, face.make_error, 1, &make_error_);
  napi_create_reference(env_, face.entries, 1, &entries_reference_);
  napi_create_reference(env_, face.numbers, 1, &numbers_reference_);
  napi_create_reference(env_, face.values, 1, &values_);
}

TaskRecord* Environment::take_record(uint32_t slot) {
  TaskRecord* record = free_records_;
  if (record != nullptr) {
    free_records_ = record->next;
    --free_count_;
    // A burst of tasks is more than the cache holds: the next one is there when it is wanted.
    arch::prefetch_for_write(free_records_);
  } else {
    record = new TaskRecord;
    record->mailbox = mailbox_;
  }
  record->slot = slot;
  record->holds_loop = true;
  return record;
}

void Environment::give_record(TaskRecord* record) noexcept {
  record->reset();
  record->next = free_records_;
  free_records_ = record;
  ++free_count_;
}

void Environment::keep_records(uint32_t count) noexcept {
  for (; free_count_ > count; --free_count_) {
    delete std::exchange(free_records_, free_records_->next);
  }
}

void Environment::note_started(TaskRecord* record) {
  if (record->slot >= by_slot_.size()) by_slot_.resize(size_t{record->slot} * 2 + 64, nullptr);
  by_slot_[record->slot] = record;
  if (++live_ > most_live_) most_live_ = live_;
  if (record->holds_loop && holding_++ == 0) hold_loop(true);
}

void Environment::take_back(TaskRecord* record) {
  by_slot_[record->slot] = nullptr;
  --live_;
  if (record->holds_loop && --holding_ == 0) hold_loop(false);
  give_record(record);
}

bool Environment::cancel(uint32_t slot) {
  TaskRecord* record = record_at(slot);
  if (record == nullptr || !cancel_task(record)) return false;
  take_back(record);
  return true;
}

void Environment::hold_loop(bool hold) {
  if (hold) {
    uv_ref(handle_of(doorbell_));
    if (!is_outside_waker_) runtime().note_outside_waker(1);
    is_outside_waker_ = true;
    note_running(true);
    uv_prepare_start(&loop_sleeps_, on_loop_sleeps);
    uv_check_start(&loop_wakes_, on_loop_wakes);
  } else {
    uv_unref(handle_of(doorbell_));
    note_running(false);
    uv_prepare_stop(&loop_sleeps_);
    uv_check_stop(&loop_wakes_);
    // Enough for another burst like the last one.
    keep_records(std::exchange(most_live_, live_));
  }
}

// While JavaScript runs, its core is not free for machines that look for work.
void Environment::note_running(bool running) {
  if (counts_as_running_ == running) return;
  counts_as_running_ = running;
  runtime().note_foreign_running(running ? 1 : -1);
}

void Environment::on_loop_sleeps(uv_prepare_t* handle) {
  static_cast<Environment*>(handle->data)->note_running(false);
}

void Environment::on_loop_wakes(uv_check_t* handle) {
  static_cast<Environment*>(handle->data)->note_running(true);
}

void Environment::on_doorbell(uv_async_t* handle) {
  static_cast<Environment*>(handle->data)->drain();
}

void Environment::drain() {
  if (batch_ != nullptr || dispatch_ == nullptr) return;  // a dispatcher is at work further down
  batch_ = mailbox_->take_all();
  if (batch_ == nullptr) return;
  if (holding_ != 0) note_running(true);  // the loop calls this between `sleeps` and `wakes`
  napi_handle_scope scope = nullptr;
  napi_value dispatch = nullptr, receiver = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  if (napi_get_reference_value(env_, dispatch_, &dispatch) == napi_ok &&
      napi_get_global(env_, &receiver) == napi_ok) {
    const napi_status status =
        napi_make_callback(env_, nullptr, receiver, dispatch, 0, nullptr, nullptr);
    // The dispatcher itself throws nothing; but while an isolate is being terminated every call
    // ends this way, and then clearing and reporting fail as well, which is right.
    napi_value error = nullptr;
    if (status == napi_pending_exception &&
        napi_get_and_clear_last_exception(env_, &error) == napi_ok) {
      napi_fatal_exception(env_, error);
    }
  }
  napi_close_handle_scope(env_, scope);
}

uint32_t Environment::take() {
  napi_value values = nullptr;
  if (batch_ == nullptr || napi_get_reference_value(env_, values_, &values) != napi_ok) return 0;
  uint32_t count = 0;
  while (batch_ != nullptr && count < capacity_) {
    TaskRecord* record = batch_;
    batch_ = record->next;
    arch::prefetch(batch_);
    write_result(record, count++, values);
    retire(record);
  }
  return count;
}

namespace {

const char* code_of(TaskOutcome outcome) {
  if (outcome == TaskOutcome::kNoStack) return "ERR_HEDDLE_STACK_MEMORY";
  return outcome == TaskOutcome::kNoMemory ? "ERR_HEDDLE_MEMORY" : "";
}

napi_value failure_to_js(napi_env env, const TaskRecord& record) {
  static const Failure kNone;
  const Failure& failure = record.failure ? *record.failure : kNone;
  napi_value parts = nullptr, error = nullptr;
  napi_create_array_with_length(env, 7, &parts);
  napi_set_element(env, parts, 0, string_to_js(env, code_of(record.outcome)));
  napi_set_element(env, parts, 1, string_to_js(env, failure.type));
  std::string message = failure.message;
  if (failure.error != 0) message = uv_strerror(-failure.error);
  napi_set_element(env, parts, 2, string_to_js(env, message));
  napi_create_int32(env, -failure.error, &error);  // negative, as in Node's own errors
  napi_set_element(env, parts, 3, error);
  const char* name = failure.error != 0 ? uv_err_name(-failure.error) : "";
  napi_set_element(env, parts, 4, string_to_js(env, name));
  napi_set_element(env, parts, 5, string_to_js(env, failure.syscall));
  napi_set_element(env, parts, 6, string_to_js(env, failure.path));
  return parts;
}

}  // namespace

void Environment::write_result(TaskRecord* record, uint32_t at, napi_value values) {
  uint32_t status = kUndefined;
  if (record->outcome == TaskOutcome::kCancelled) {
    status = kCancelled;
  } else if (record->outcome == TaskOutcome::kValue) {
    if (record->result.kind() == ValueKind::kNumber) {
      status = kNumber;
      numbers_[at] = record->result.number();
    } else if (record->result.kind() != ValueKind::kUndefined) {
      status = kValue;
    }
  } else {
    status = kFailed;
  }
  if (status == kValue || status == kFailed) {
    napi_handle_scope scope = nullptr;
    napi_open_handle_scope(env_, &scope);
    napi_value value = nullptr;
    if (status == kValue) value = decode(env_, record->result);
    if (value == nullptr) {
      // JavaScript had no memory for the result.
      napi_value ignored = nullptr;
      if (status == kValue) {
        napi_get_and_clear_last_exception(env_, &ignored);
        record->outcome = TaskOutcome::kNoMemory;
        status = kFailed;
      }
      value = failure_to_js(env_, *record);
    }
    napi_set_element(env_, values, at, value);
    napi_close_handle_scope(env_, scope);
  }
  entries_[2 * at] = record->slot;
  entries_[2 * at + 1] = status;
}

void Environment::retire(TaskRecord* record) {
  if (record->is_special && record->thread) {
    // It has posted, so all that is left of it is its end.
    const ThreadTwin& twin = *record->thread;
    const uint64_t before = os::now_ns();
    os::join_thread(twin.thread);
    record_thread_times(twin.create_ns, twin.first_run_ns, os::now_ns() - before);
  }
  take_back(record);
}

napi_value Environment::make_error(const char* code, const std::string& message) {
  napi_value make = nullptr, receiver = nullptr, error = nullptr;
  napi_value arguments[2];
  napi_get_reference_value(env_, make_error_, &make);
  napi_get_global(env_, &receiver);
  arguments[0] = string_to_js(env_, code);
  arguments[1] = string_to_js(env_, message);
  napi_call_function(env_, receiver, make, 2, arguments, &error);
  return error;
}

void Environment::throw_error(const char* code, const std::string& message) {
  napi_value error = make_error(code, message);
  if (error != nullptr) napi_throw(env_, error);
}

void Environment::on_cleanup(napi_async_cleanup_hook_handle hook, void* data) {
  auto* self = static_cast<Environment*>(data);
  self->cleanup_hook_ = hook;
  self->end_tasks();
  self->close_handles();
}

// The isolate ends: its tasks are asked to end, and whatever they still post is destroyed there.
void Environment::end_tasks() {
  while (batch_ != nullptr) {
    TaskRecord* record = batch_;
    batch_ = record->next;
    retire(record);
  }
  for (TaskRecord* record : by_slot_) {
    if (record == nullptr) continue;
    if (record->is_special && record->thread) os::detach_thread(record->thread->thread);
    if (cancel_task(record)) {
      delete record;
      --live_;
    }
  }
  mailbox_->close(live_);
  note_running(false);
  if (is_outside_waker_) runtime().note_outside_waker(-1);
}

void Environment::close_handles() {
  for (uv_handle_t* handle :
       {handle_of(doorbell_), handle_of(loop_sleeps_), handle_of(loop_wakes_)}) {
    uv_close(handle, on_handle_closed);
  }
}

void Environment::on_handle_closed(uv_handle_t* handle) {
  auto* self = static_cast<Environment*>(handle->data);
  if (--self->open_handles_ > 0) return;
  const napi_async_cleanup_hook_handle hook = self->cleanup_hook_;
  delete self;
  napi_remove_async_cleanup_hook(hook);
}

}  // namespace heddle
