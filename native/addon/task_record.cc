#include "addon/task_record.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <typeinfo>

#include <cxxabi.h>

#include "addon/isolate_set.h"
#include "addon/runtime.h"
#include "core/fiber_local.h"
#include "core/park.h"

namespace heddle {

void end_task(TaskRecord* record) noexcept {
  for (uint32_t turn = 0;; ++turn) {
    auto gate = static_cast<uint8_t>(Gate::kOpen);
    if (record->gate.compare_exchange_acq_rel(gate, static_cast<uint8_t>(Gate::kEnded))) break;
    // The isolate is inside Scheduler::cancel for this very task: microseconds, unless it lost its
    // core.
    if (turn < 64) {
      spin_hint();
    } else {
      os::yield_thread();
    }
  }
  record->mailbox->post(record);
}

namespace {

std::string class_name(const std::exception& exception) {
  int status = 0;
  const char* mangled = typeid(exception).name();
  char* readable = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string name = readable != nullptr ? readable : mangled;
  std::free(readable);
  return name;
}

void keep_failure(TaskRecord* record, std::unique_ptr<Failure> failure) noexcept {
  record->outcome = TaskOutcome::kException;
  record->failure = std::move(failure);
}

// Runs the kernel on the calling fiber or thread and keeps whatever becomes of it.
void run_kernel(TaskRecord* record) {
  const uint32_t count = record->is_special ? record->argument_count : 0;
  KernelCall call(record->arguments, count, &record->result);
  try {
    record->kernel->run(call);
  } catch (const Cancelled&) {
    record->outcome = TaskOutcome::kCancelled;
  } catch (const SyncFailure& failure) {
    keep_failure(record,
                 std::make_unique<Failure>(Failure{failure.code(), "", failure.what(), 0, "", ""}));
  } catch (const SystemFailure& failure) {
    keep_failure(record, std::make_unique<Failure>(Failure{"", "", "", failure.error(),
                                                           failure.syscall(), failure.path()}));
  } catch (const std::bad_alloc&) {
    record->outcome = TaskOutcome::kNoMemory;
  } catch (const std::exception& failure) {
    keep_failure(record, std::make_unique<Failure>(
                             Failure{"", class_name(failure), failure.what(), 0, "", ""}));
  } catch (const abi::__forced_unwind&) {
    throw;  // the system ends the thread
  } catch (...) {
    keep_failure(record,
                 std::make_unique<Failure>(Failure{
                     "", "", "the kernel threw something that is no std::exception", 0, "", ""}));
  }
}

TaskRecord* record_of(const Fiber* fiber) noexcept {
  TaskRecord* record = nullptr;
  std::memcpy(&record, fiber->payload, sizeof record);
  return record;
}

void fiber_entry(Fiber* fiber) {
  // A task that was cancelled while it was queued does not begin.
  if (fiber->cancel_requested.load_relaxed() != 0) throw Cancelled{};
  run_kernel(record_of(fiber));
}

void fiber_exit(Fiber* fiber, ExitStatus status) {
  TaskRecord* record = record_of(fiber);
  if (status == ExitStatus::kCancelled) record->outcome = TaskOutcome::kCancelled;
  if (status == ExitStatus::kNoStack) record->outcome = TaskOutcome::kNoStack;
  end_task(record);
}

void thread_entry(void* argument) {
  auto* record = static_cast<TaskRecord*>(argument);
  record->thread->first_run_ns = os::now_ns() - record->thread->asked_at_ns;
  os::thread_slot().cancel_flag = &record->cancel_flag;
  run_kernel(record);
  destroy_fiber_locals();
  os::thread_slot().cancel_flag = nullptr;
  end_task(record);
}

void timer_fires(void* argument) noexcept { end_task(static_cast<TaskRecord*>(argument)); }

}  // namespace

void destroy_record(TaskRecord* record) noexcept {
  if (record->is_isolate_task) {
    delete static_cast<IsolateTask*>(record);
  } else {
    delete record;
  }
}

void TaskRecord::reset() noexcept {
  fiber = nullptr;
  if (outcome != TaskOutcome::kValue) failure.reset();
  outcome = TaskOutcome::kValue;
  gate.store_relaxed(static_cast<uint8_t>(Gate::kOpen));
  result.clear();
  if (!is_special) return;
  is_special = false;
  for (uint32_t i = 0; i < argument_count; ++i) arguments[i].clear();
  argument_count = 0;
  cancel_flag.store_relaxed(0);
  timer = TimerHandle{};
  name.reset();
  thread.reset();
  if (is_isolate_task) static_cast<IsolateTask*>(this)->reset_isolate_task();
}

const char* start_on_fiber(TaskRecord* record, const FiberPlan& plan, Magazine* stock) noexcept {
  SpawnOptions options;
  options.stack_class = plan.stack_class;
  options.stack_bytes = plan.stack_bytes;
  options.lock_to_thread = plan.lock_to_thread;
  options.name = record->display_name();
  options.on_exit = fiber_exit;
  SpawnError error = SpawnError::kNone;
  Scheduler& scheduler = runtime();
  const Scheduler::Spawning spawning =
      scheduler.begin_spawn(make_spec(options, fiber_entry), &error, stock);
  if (spawning.fiber == nullptr) {
    return error == SpawnError::kOutOfMemory ? "ERR_HEDDLE_MEMORY" : "ERR_HEDDLE_SHUT_DOWN";
  }
  std::memcpy(spawning.fiber->payload, &record, sizeof record);
  record->fiber = spawning.fiber;
  scheduler.finish_spawn(spawning);
  return nullptr;
}

const char* start_on_thread(TaskRecord* record, size_t stack_bytes, int* error) noexcept {
  record->is_special = true;
  record->thread = std::make_unique<ThreadTwin>();
  ThreadTwin* twin = record->thread.get();
  twin->asked_at_ns = os::now_ns();
  // The thread may be done before its handle is stored here. Its isolate joins it in a later turn
  // of its event loop, when the handle is there.
  *error =
      os::start_thread(&twin->thread, record->display_name(), stack_bytes, thread_entry, record);
  if (*error != 0) return *error == EAGAIN ? "ERR_HEDDLE_THREAD_LIMIT" : "ERR_HEDDLE_MEMORY";
  twin->create_ns = os::now_ns() - twin->asked_at_ns;
  return nullptr;
}

const char* start_as_timer(TaskRecord* record, uint64_t deadline_ns) noexcept {
  record->is_special = true;
  record->timer = start_timer(runtime(), deadline_ns, timer_fires, record);
  return record->timer.node != nullptr ? nullptr : "ERR_HEDDLE_MEMORY";
}

bool cancel_task(TaskRecord* record) noexcept {
  if (record->is_isolate_task) {
    return cancel_isolate_task(static_cast<IsolateTask*>(record), nullptr);
  }
  if (record->kernel == nullptr) return stop_timer(runtime(), record->timer);
  if (record->is_special && record->thread) {
    record->cancel_flag.store_relaxed(1);
    return false;
  }
  auto gate = static_cast<uint8_t>(Gate::kOpen);
  if (record->gate.compare_exchange_acq_rel(gate, static_cast<uint8_t>(Gate::kCancelling))) {
    runtime().cancel(record->fiber);
    record->gate.store_release(static_cast<uint8_t>(Gate::kOpen));
  }
  return false;
}

TaskState task_state(const TaskRecord& record) noexcept {
  if (record.is_isolate_task) {
    const auto& task = static_cast<const IsolateTask&>(record);
    return task.started_ns.load_relaxed() == 0 ? TaskState::kRunnable : TaskState::kRunning;
  }
  if (record.fiber == nullptr) {
    return record.kernel == nullptr ? TaskState::kWaiting : TaskState::kRunning;
  }
  const WaiterState state = record.fiber->state();
  // Descriptors stay readable; if the task has ended, this one may be another fiber's by now.
  if (record.has_ended()) return TaskState::kRunning;
  if (state == WaiterState::kWaiting) return TaskState::kWaiting;
  return state == WaiterState::kRunnable ? TaskState::kRunnable : TaskState::kRunning;
}

}  // namespace heddle
