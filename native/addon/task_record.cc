#include "addon/task_record.h"

#include <cerrno>
#include <cstring>

#include "addon/mailbox.h"
#include "addon/runtime.h"
#include "core/fiber_local.h"
#include "core/park.h"

namespace heddle {

namespace {

constexpr const char* kThreadLimit =
    "expected room for one more OS thread, got EAGAIN; raise `ulimit -u`, kernel.threads-max, "
    "vm.max_map_count or the pids limit of the cgroup, or run fewer threads";

// Runs the kernel where the caller is, and keeps its outcome. Cancelled passes through.
void run_kernel(TaskRecord* record) {
  try {
    if (record->cancel_requested.load_relaxed() != 0) throw Cancelled{};
    KernelCall call(record->arguments.data(), static_cast<uint32_t>(record->arguments.size()),
                    &record->result);
    record->kernel->run(call);
    return;
  } catch (const Cancelled&) {
    throw;
  } catch (const SystemFailure& failure) {
    record->error_code = uv_err_name(-failure.error());
    record->error_message = record->error_code + ": " + uv_strerror(-failure.error()) + ", " +
                            failure.syscall() + " '" + failure.path() + "'";
    record->error_number = failure.error();
    record->error_system_call = failure.syscall();
    record->error_path = failure.path();
  } catch (const std::exception& failure) {
    record->error_message = failure.what();
  } catch (...) {
    record->error_message = "the kernel threw something that is no std::exception";
  }
  record->outcome = TaskOutcome::kFailed;
}

TaskRecord* record_of(Fiber* fiber) noexcept {
  TaskRecord* record;
  std::memcpy(&record, fiber->payload, sizeof record);
  return record;
}

void task_entry(Fiber* fiber) {
  TaskRecord* record = record_of(fiber);
  {
    LockGuard guard(record->lock);
    record->fiber = fiber;
  }
  run_kernel(record);
}

void finish(TaskRecord* record) noexcept {
  {
    LockGuard guard(record->lock);
    record->fiber = nullptr;
    record->finished = true;
  }
  record->mailbox->post(record);
}

void task_exit(Fiber* fiber, ExitStatus status) {
  TaskRecord* record = record_of(fiber);
  if (status == ExitStatus::kCancelled) record->outcome = TaskOutcome::kCancelled;
  if (status == ExitStatus::kNoStack) {
    record->outcome = TaskOutcome::kFailed;
    record->error_code = "ERR_HEDDLE_STACK_MEMORY";
    record->error_message =
        "expected memory for a fiber's stack, got none; raise vm.max_map_count or the memory "
        "limit, or run fewer fibers at once";
  }
  finish(record);
}

void thread_entry(void* raw) {
  auto* record = static_cast<TaskRecord*>(raw);
  record->first_run_ns = os::now_ns() - record->asked_at_ns;
  os::thread_slot().cancel_flag = &record->cancel_requested;
  try {
    run_kernel(record);
  } catch (const Cancelled&) {
    record->outcome = TaskOutcome::kCancelled;
  }
  destroy_fiber_locals();
  os::thread_slot().cancel_flag = nullptr;
  finish(record);
}

void settle_timer(void* raw) noexcept { finish(static_cast<TaskRecord*>(raw)); }

}  // namespace

bool start_on_fiber(TaskRecord* record, size_t stack_bytes, bool compact, bool lock_to_thread,
                    std::string* error_code, std::string* reason) {
  SpawnOptions options;
  options.stack_class = compact ? StackClass::kCompact : StackClass::kStandard;
  options.stack_bytes = stack_bytes;
  options.lock_to_thread = lock_to_thread;
  options.name = record->name.empty() ? record->kernel->name : record->name.c_str();
  options.on_exit = task_exit;
  SpawnError error = SpawnError::kNone;
  runtime().spawn(options, task_entry, &record, sizeof record, &error);
  if (error == SpawnError::kNone) return true;
  *error_code = error == SpawnError::kOutOfMemory ? "ERR_HEDDLE_MEMORY" : "ERR_HEDDLE_SHUT_DOWN";
  *reason = spawn_error_name(error);
  return false;
}

bool start_on_thread(TaskRecord* record, size_t stack_bytes, std::string* error_code,
                     std::string* reason) {
  record->on_thread = true;
  record->asked_at_ns = os::now_ns();
  // The thread may finish before its handle is stored here; its isolate joins it later, in a turn
  // of its own, so the handle is there by then.
  const int error =
      os::start_thread(&record->thread, "heddle-task", stack_bytes, thread_entry, record);
  if (error == 0) {
    record->created_ns = os::now_ns() - record->asked_at_ns;
    return true;
  }
  *error_code = error == EAGAIN ? "ERR_HEDDLE_THREAD_LIMIT" : "ERR_HEDDLE_MEMORY";
  *reason = error == EAGAIN ? kThreadLimit : std::strerror(error);
  return false;
}

bool start_as_timer(TaskRecord* record, uint64_t deadline_ns, std::string* error_code,
                    std::string* reason) {
  record->timer = start_timer(runtime(), deadline_ns, settle_timer, record);
  if (record->timer.node != nullptr) return true;
  *error_code = "ERR_HEDDLE_MEMORY";
  *reason = "out of memory for a timer";
  return false;
}

void cancel_task(TaskRecord* record) noexcept {
  if (record->kernel == nullptr) {
    if (!stop_timer(runtime(), record->timer)) return;
    record->outcome = TaskOutcome::kCancelled;
    finish(record);
    return;
  }
  LockGuard guard(record->lock);
  record->cancel_requested.store_seq_cst(1);
  if (record->fiber != nullptr) runtime().cancel(record->fiber);
}

TaskState task_state(TaskRecord* record) noexcept {
  LockGuard guard(record->lock);
  if (record->finished) return TaskState::kFinished;
  if (record->kernel == nullptr) return TaskState::kWaiting;
  if (record->on_thread) return TaskState::kRunning;
  if (record->fiber == nullptr) return TaskState::kRunnable;
  switch (record->fiber->state()) {
    case WaiterState::kWaiting:
      return TaskState::kWaiting;
    case WaiterState::kRunnable:
      return TaskState::kRunnable;
    default:
      return TaskState::kRunning;
  }
}

}  // namespace heddle
