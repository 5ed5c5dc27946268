// One task as native code sees it: from the call that spawned it until its isolate has its result.
//
// Owned by the spawning isolate's thread until it is queued, then by the fiber (or thread) that
// runs it, then by the mailbox, and at last by the isolate again. `fiber` and `finished` change
// under `lock`, so that a cancellation and the fiber's end cannot pass each other.
#pragma once

#include <string>
#include <vector>

#include "core/lock.h"
#include "core/timer.h"
#include "kernels/kernel.h"
#include "os/os.h"

namespace heddle {

class Mailbox;

enum class TaskOutcome : uint8_t { kValue, kCancelled, kFailed };

struct TaskRecord {
  TaskRecord* next = nullptr;      // in the mailbox, or in the isolate's free list
  Mailbox* mailbox = nullptr;      // holds a reference
  const Kernel* kernel = nullptr;  // nullptr: a sleep of a promise, which is a timer alone
  uint32_t slot = 0;               // of the promise in JavaScript
  std::string name;
  std::vector<Value> arguments;

  Lock lock{LockRank::kTaskRecord};
  Fiber* fiber = nullptr;  // while it runs
  bool finished = false;
  Atomic<uint8_t> cancel_requested{0};
  TimerHandle timer;

  TaskOutcome outcome = TaskOutcome::kValue;
  Value result;
  std::string error_code;
  std::string error_message;
  int error_number = 0;
  std::string error_system_call;
  std::string error_path;

  bool on_thread = false;
  os::Thread thread;
  uint64_t asked_at_ns = 0;   // thread: before it was created
  uint64_t created_ns = 0;    // ... how long its creation took
  uint64_t first_run_ns = 0;  // ... from then to its first instruction
};

// Puts the task on a fiber. False and a reason when nothing was queued.
bool start_on_fiber(TaskRecord* record, size_t stack_bytes, bool compact, bool lock_to_thread,
                    std::string* error_code, std::string* reason);

// Puts the task on a fresh OS thread. 0 bytes = the system's default size.
bool start_on_thread(TaskRecord* record, size_t stack_bytes, std::string* error_code,
                     std::string* reason);

// Settles the record at the deadline; os::kNever never.
bool start_as_timer(TaskRecord* record, uint64_t deadline_ns, std::string* error_code,
                    std::string* reason);

// Any thread that may hold the record: its isolate's.
void cancel_task(TaskRecord* record) noexcept;

enum class TaskState : uint8_t { kRunnable, kRunning, kWaiting, kFinished };
TaskState task_state(TaskRecord* record) noexcept;

}  // namespace heddle
