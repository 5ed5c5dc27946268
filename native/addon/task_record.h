// One task as native code sees it: from the call that spawned it until its isolate has its result.
//
// Owner: the isolate's thread until it is started; then the fiber, thread or timer that runs it;
// then the mailbox; then the isolate's thread again, which recycles it. `fiber` is written before
// the fiber is queued and stays valid while `gate` is not kEnded.
//
// `gate` keeps a cancellation and the fiber's end apart, as Scheduler::cancel demands:
//   kOpen -> kCancelling -> kOpen    by the isolate's thread, around Scheduler::cancel
//   kOpen -> kEnded                  by the fiber's end, which waits while it is kCancelling
#pragma once

#include <memory>
#include <string>

#include "addon/mailbox.h"
#include "core/slab.h"
#include "core/timer.h"
#include "kernels/kernel.h"
#include "os/os.h"

namespace heddle {

enum class TaskOutcome : uint8_t {
  kValue,
  kCancelled,
  kNoStack,
  kNoMemory,
  kException,
  kThrown,  // the result is what a task of JavaScript has thrown
  kLost,    // with the isolate that ran it
};

// What a kernel threw.
struct Failure {
  const char* code = "";  // of a SyncFailure
  std::string type;       // C++ class
  std::string message;
  int error = 0;  // of a SystemFailure
  std::string syscall;
  std::string path;
};

// A task that runs on an OS thread of its own.
struct ThreadTwin {
  os::Thread thread;
  uint64_t asked_at_ns = 0;
  uint64_t create_ns = 0;     // how long the system took to create it
  uint64_t first_run_ns = 0;  // from the request to its first instruction
};

enum class Gate : uint8_t { kOpen, kCancelling, kEnded };

// The first cache line is all that a plain task touches: no arguments, no name, no failure.
struct alignas(64) TaskRecord : Mail {
  TaskRecord() noexcept
      : Mail(MailKind::kTask), holds_loop(false), is_special(false), is_isolate_task(false) {}

  Mailbox* mailbox = nullptr;
  const Kernel* kernel = nullptr;  // nullptr: a sleep, which is a timer alone, or in an isolate
  Fiber* fiber = nullptr;          // nullptr: on a thread, or a timer
  uint32_t slot = 0;               // of the promise in JavaScript
  TaskOutcome outcome = TaskOutcome::kValue;
  bool holds_loop : 1;
  bool is_special : 1;       // has more than a result and a failure; fixed before the start
  bool is_isolate_task : 1;  // it is an IsolateTask
  Atomic<uint8_t> gate{static_cast<uint8_t>(Gate::kOpen)};
  Value result;

  uint8_t argument_count = 0;
  Atomic<uint8_t> cancel_flag{0};  // of a thread
  Value arguments[kMaxArguments];
  TimerHandle timer;
  std::unique_ptr<char[]> name;  // nullptr: the kernel's
  std::unique_ptr<Failure> failure;
  std::unique_ptr<ThreadTwin> thread;

  const char* display_name() const noexcept {
    return is_special && name ? name.get() : kernel->name;
  }
  bool has_ended() const noexcept {
    return gate.load_acquire() == static_cast<uint8_t>(Gate::kEnded);
  }
  // As new, for the next task of the isolate.
  void reset() noexcept;
};
static_assert(sizeof(Mail) + 4 * sizeof(void*) + sizeof(Value) == 64,
              "all that a plain task touches is one cache line");

struct FiberPlan {
  StackClass stack_class = StackClass::kStandard;
  size_t stack_bytes = 0;
  bool lock_to_thread = false;
};

void destroy_record(TaskRecord* record) noexcept;

// It has ended: from here on it belongs to the mailbox of whoever spawned it.
void end_task(TaskRecord* record) noexcept;

// Each returns nullptr, or the code of an error, after which nothing was started.
const char* start_on_fiber(TaskRecord* record, const FiberPlan& plan, Magazine* stock) noexcept;
const char* start_on_thread(TaskRecord* record, size_t stack_bytes, int* error) noexcept;
const char* start_as_timer(TaskRecord* record, uint64_t deadline_ns) noexcept;

// The isolate's thread. True if the task has ended by this and will not be posted.
bool cancel_task(TaskRecord* record) noexcept;

enum class TaskState : uint8_t { kRunnable, kRunning, kWaiting };
TaskState task_state(const TaskRecord& record) noexcept;

}  // namespace heddle
