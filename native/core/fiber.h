// The descriptor of a fiber: three cache lines, recycled, type-stable.
//
// A spawn is a descriptor; a stack is earned by parking. `stack_pointer` is null until the fiber
// has started. A standard fiber that parked owns `stack`; a compact fiber that parked owns `frame`
// (its live bytes) and is bound to `run_stack`, to whose fixed addresses the bytes must return.
//
// Who may touch what: the fields below `word` belong to whoever owns the fiber by its state (see
// waiter.h). `cancel_requested` may be set by anyone who holds a live reference.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/runnable.h"
#include "core/waiter.h"

namespace heddle {

struct Stack;
struct RunStack;
struct Machine;
struct FiberLocals;

enum class StackClass : uint8_t { kStandard, kCompact };

// Why a fiber is parked; part of every event, snapshot and deadlock report.
enum class WaitReason : uint8_t {
  kNone,
  kPark,
  kSleep,
  kBlocking,
  kLatch,
  kSend,
  kReceive,
  kSelect,
  kMutex,
  kSemaphore,
  kWaitGroup,
  kOnce,
  kBarrier,
  kContext,
  kRead,
  kWrite,
  kCount
};
const char* wait_reason_name(WaitReason reason) noexcept;

enum class ExitStatus : uint8_t {
  kDone,       // the entry returned
  kCancelled,  // it ended by heddle::Cancelled
  kNoStack,    // it never ran: no stack could be had (memory or vm.max_map_count)
};

struct Fiber;
using FiberEntry = void (*)(Fiber* fiber);
// Runs once, as the last thing that happens to a fiber, in the runtime (not in user code).
using FiberExit = void (*)(Fiber* fiber, ExitStatus status);

// What the spawner says about a fiber; fixed for its life.
struct FiberSpec {
  StackClass stack_class = StackClass::kStandard;
  bool locks_thread = false;
  uint8_t stack_size_log2 = 0;  // of a stack of another size than the default; 0 = default
  FiberEntry entry = nullptr;
  FiberExit on_exit = nullptr;
  const char* name = nullptr;  // lives as long as the fiber
  const void* site = nullptr;
};

// A free descriptor is clean: but for the spec and the payload, a spawn finds every field as it is
// initialised here, because the end of a fiber leaves it so.
struct alignas(64) Fiber : Waiter, Runnable {
  static constexpr size_t kPayloadBytes = 56;

  Fiber() noexcept : Runnable(RunnableKind::kFiber) {}

  bool started() const noexcept { return stack_pointer != nullptr; }
  bool is_compact() const noexcept { return spec.stack_class == StackClass::kCompact; }

  // The first cache line is all that a yield and a wake-up touch.
  WaitReason wait_reason = WaitReason::kNone;
  Atomic<uint8_t> cancel_requested{0};
  void* stack_pointer = nullptr;  // of a fiber that has started and does not run
  union {
    Stack* stack = nullptr;
    RunStack* run_stack;
  };
  Machine* locked_machine = nullptr;
  FiberSpec spec;
  uint64_t parked_at_ns = 0;
  uint64_t id = 0;
  void* frame = nullptr;
  FiberLocals* locals = nullptr;
  uint32_t frame_bytes = 0;

  alignas(8) unsigned char payload[kPayloadBytes];
};
inline constexpr size_t kFiberLinkOffset = sizeof(Waiter);  // of Runnable::next
static_assert(sizeof(Fiber) == 192, "a descriptor is three cache lines");

}  // namespace heddle
