// The right to run fibers, with the queues, timers and stocks that go with it.
//
// Everything here without a lock or an atomic of its own belongs to the machine that holds the
// processor. `status` and `machine` change under the scheduler's lock.
#pragma once

#include "core/fiber.h"
#include "core/frame_store.h"
#include "core/run_next.h"
#include "core/run_queue.h"
#include "core/run_stack.h"
#include "core/slab.h"
#include "core/timer_queue.h"
#include "observe/counters.h"
#include "observe/event_ring.h"

namespace heddle {

inline constexpr uint32_t kMaxProcessors = 256;

enum class ProcessorStatus : uint8_t {
  kRetired,  // beyond the current count; holds nothing
  kIdle,     // in the idle list; `machine`, if any, sleeps for it
  kRunning,  // held by `machine`
};

// How many quick turns may pass until the global queue is looked at (Go's number: a prime, not to
// beat with users' loops), and until due timers are, while there are any.
inline constexpr uint32_t kGlobalTurns = 61;
inline constexpr uint32_t kTimerTurns = 8;

struct Processor {
  explicit Processor(uint32_t processor_index) noexcept : index(processor_index) {}

  void record(EventType type, uint64_t subject, uint16_t detail = 0, uint32_t value = 0) noexcept {
    if (__builtin_expect(ring.enabled(), false)) record_slow(type, subject, detail, value);
  }
  void record(EventType type, const Fiber& fiber, uint16_t detail = 0) noexcept {
    if (__builtin_expect(ring.enabled(), false)) record_slow(type, fiber.id, detail, 0);
  }
  void record_slow(EventType type, uint64_t subject, uint16_t detail, uint32_t value) noexcept;

  void arm_timer(const TimerEntry& entry) noexcept {
    timers.arm(entry);
    if (quick_turns > kTimerTurns) quick_turns = kTimerTurns;
  }

  const uint32_t index;
  Atomic<ProcessorStatus> status{ProcessorStatus::kRetired};
  Atomic<bool> must_retire{false};
  Atomic<bool> attention{false};  // asks for a full turn: retire, stop
  Atomic<Machine*> machine{nullptr};
  Processor* next_idle = nullptr;

  // What runs next, and since when: the run-next slot inherits the time slice, so `turn` counts
  // only what came from elsewhere. The monitor compares turns.
  Atomic<uint32_t> turn{0};
  Atomic<uint32_t> calls{0};  // of fibers to channels and the like: how much they talk
  RunNext run_next;
  RunQueue queue;
  uint32_t global_turn = 0;    // when the global queue was last looked at
  uint32_t quick_turns = 0;    // left until a full turn is due
  Runnable* handed = nullptr;  // chosen by a parking fiber for the loop it switches to

  TimerQueue timers;
  Atomic<uint64_t> now_ns{0};  // the clock as last read here: within the last kGlobalTurns turns
  uint64_t polled_ns = 0;      // when events were last looked for

  Stack* carriers = nullptr;  // warm scheduler loops, suspended
  uint32_t carrier_count = 0;
  static constexpr uint32_t kRunStacks = 4;
  RunStack* run_stacks[kRunStacks] = {};
  uint32_t run_stack_turn = 0;

  Magazine fibers;
  Magazine timer_nodes;
  FrameStore frames;
  uint64_t next_fiber_id = 0;

  // The monitor's own: what was running when it last looked, and since when.
  struct Watch {
    const Machine* machine = nullptr;
    uint32_t turn = 0;
    uint32_t blocking_call = 0;
    uint64_t since_ns = 0;   // at the earliest
    bool was_asked = false;  // to yield
  } watch;

  alignas(64) Counters counters;
  EventRing ring;
};

}  // namespace heddle
