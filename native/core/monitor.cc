// The monitor: one OS thread that sees to it that nothing holds a processor for too long.
//
// - A fiber that has run for a time slice is asked to yield; if it does not, and others wait, its
//   processor is taken and given to another machine. The fiber runs on, on its own OS thread, and
//   gets a processor again as the first act of its next runtime call.
// - A machine in a blocking call loses its processor after a short grace, if others wait.
// No fiber is ever interrupted at an arbitrary instruction: foreign C++ may hold a lock there.
//
// To wake a thread costs tens of microseconds where the timer of an idle core is a virtual one, so
// the monitor looks rarely. Every processor reads the clock once in kGlobalTurns turns; one that
// did so just now is left alone for kLookNs. One that did not may be in a long fiber: the next look
// comes when that would have run for a slice, and decides by whether the turn is still the same. So
// nothing holds up others for longer than kLookNs and a few looks. While somebody is in a blocking
// call that others wait behind, there is a look every 50 us; while everything is idle, none.
#include <algorithm>

#include "core/check.h"
#include "core/scheduler.h"

namespace heddle {

namespace {
constexpr uint64_t kSliceNs = 10'000'000;  // Go's forcePreemptNS
constexpr uint64_t kLookNs = 22'000'000;
constexpr uint64_t kFreshNs = 500'000;    // a processor whose clock is no older gets on
constexpr uint64_t kConfirmNs = 200'000;  // a short fiber has ended by then
constexpr uint64_t kBlockingGraceNs = 20'000;
constexpr uint64_t kFastLookNs = 50'000;
constexpr uint64_t kFastForNs = 1'000'000;  // stay fast for so long after the last need
constexpr uint64_t kDeepAfterNs = 50'000'000;
constexpr uint64_t kDecayNs = 200'000'000;

enum MonitorSleep : uint32_t { kAwake = 0, kShallow = 1, kDeep = 2 };
}  // namespace

void Scheduler::monitor_main(void* scheduler) noexcept {
  static_cast<Scheduler*>(scheduler)->monitor();
}

void Scheduler::monitor() noexcept {
  monitor_clock_.store_relaxed(os::thread_cpu_clock());
  uint64_t idle_since = os::now_ns();
  uint64_t fast_until = 0;
  uint64_t decayed_at = idle_since;
  while (!stopping_.load_acquire()) {
    const uint64_t now = os::now_ns();
    const uint32_t known = created_processors_.load_acquire();
    uint64_t pause_ns = kLookNs;
    for (uint32_t i = 0; i < known; ++i) {
      pause_ns = std::min(pause_ns, watch(processor_at(i), now));
    }
    // The machine that slept in the poller was woken for work, and has more of it.
    if (idle_count_.load_relaxed() != 0 && nobody_polls()) wake_one();
    if (pause_ns <= kFastLookNs) fast_until = now + kFastForNs;
    if (now < fast_until) pause_ns = kFastLookNs;
    if (idle_count_.load_relaxed() < live_processors_.load_relaxed()) idle_since = now;
    if (now - decayed_at >= kDecayNs) {
      decay_stack_pools();
      decayed_at = now;
    }
    if (now - idle_since >= kDeepAfterNs && sleep_deeply()) {
      idle_since = decayed_at = os::now_ns();
      // What runs now has begun after this.
      for (uint32_t i = 0; i < known; ++i) processor_at(i)->now_ns.store_relaxed(idle_since);
      continue;
    }
    const uint32_t signal = monitor_signal_.load_acquire();
    if (pause_ns > kFastLookNs) monitor_sleep_.store_seq_cst(kShallow);
    os::futex_wait(monitor_signal_, signal, now + pause_ns);
    monitor_sleep_.store_relaxed(kAwake);
  }
  monitor_clock_.store_relaxed(0);
  monitor_cpu_ns_.store_relaxed(os::thread_cpu_ns());
}

uint64_t Scheduler::monitor_cpu_ns() const noexcept {
  const int32_t clock = monitor_clock_.load_relaxed();
  return clock != 0 ? os::cpu_clock_ns(clock) : monitor_cpu_ns_.load_relaxed();
}

bool Scheduler::sleep_deeply() noexcept {
  uint32_t signal;
  {
    LockGuard guard(lock_);
    if (stopping_.load_relaxed() || idle_count_.load_relaxed() < live_processors_.load_relaxed()) {
      return false;
    }
    signal = monitor_signal_.load_relaxed();
    monitor_sleep_.store_relaxed(kDeep);
  }
  os::futex_wait(monitor_signal_, signal, os::kNever);
  monitor_sleep_.store_relaxed(kAwake);
  return true;
}

void Scheduler::wake_monitor_locked() noexcept {
  if (monitor_sleep_.load_relaxed() != kDeep) return;
  monitor_sleep_.store_relaxed(kAwake);
  monitor_signal_.fetch_add_acq_rel(1);
  os::futex_wake(monitor_signal_, 1);
}

void Scheduler::kick_monitor() noexcept {
  uint32_t shallow = kShallow;
  if (monitor_sleep_.compare_exchange_acq_rel(shallow, kAwake)) {
    monitor_signal_.fetch_add_acq_rel(1);
    os::futex_wake(monitor_signal_, 1);
  }
}

bool Scheduler::others_wait(const Processor* processor, uint64_t now_ns) const noexcept {
  return processor->queue.size() != 0 || processor->run_next.peek() != nullptr ||
         processor->timers.next_deadline_ns() <= now_ns || processor->timers.has_inbox() ||
         processor->must_retire.load_relaxed() ||
         (idle_count_.load_relaxed() == 0 && (!global_.empty() || nobody_polls()));
}

// Answers in how many nanoseconds it wants to look again.
uint64_t Scheduler::watch(Processor* processor, uint64_t now_ns) noexcept {
  const uint64_t clock_ns = std::min(processor->now_ns.load_relaxed(), now_ns);
  processor->now_ns.store_relaxed(now_ns);
  Machine* machine = processor->machine.load_acquire();
  Processor::Watch& seen = processor->watch;
  if (machine == nullptr || processor->status.load_relaxed() != ProcessorStatus::kRunning) {
    seen.machine = nullptr;
    return kLookNs;
  }
  const uint32_t turn = processor->turn.load_relaxed();
  const uint32_t call = machine->blocking_calls.load_relaxed();
  const bool is_blocking = machine->blocking.load_relaxed() != 0;
  const bool is_same = machine == seen.machine && turn == seen.turn && call == seen.blocking_call;
  if (is_blocking) {
    if (!is_same) seen = Processor::Watch{machine, turn, call, now_ns, false};
    if (!others_wait(processor, now_ns)) return kLookNs;
    if (now_ns - seen.since_ns >= kBlockingGraceNs) retake(machine);
    return kFastLookNs;
  }
  if (!is_same) seen = Processor::Watch{machine, turn, call, clock_ns, false};
  const uint64_t age_ns = now_ns - seen.since_ns;
  if (age_ns < kFreshNs) return kLookNs;
  if (age_ns < kSliceNs) return kSliceNs - age_ns;
  if (!is_same) return kConfirmNs;
  if (!seen.was_asked) {
    machine->preempt.store_relaxed(1);
    seen.was_asked = true;
    return others_wait(processor, now_ns) ? kConfirmNs : kLookNs;
  }
  if (!others_wait(processor, now_ns)) return kLookNs;
  if (hogs_.load_relaxed() >= 2 * processor_count_.load_relaxed()) return kSliceNs;
  retake(machine);
  return kConfirmNs;
}

bool Scheduler::retake(Machine* machine) noexcept {
  uint32_t state = kRetakeNone;
  if (!machine->retake.compare_exchange_acq_rel(state, kRetakeRequested)) return false;
  fence_heavy();  // pairs with the light fence in enter_runtime
  state = kRetakeRequested;
  if (machine->in_runtime.load_acquire() != 0) {
    machine->retake.compare_exchange_acq_rel(state, kRetakeNone);
    return false;
  }
  // Read before the last CAS: afterwards the machine may notice and let go of it at any moment. If
  // the CAS succeeds, the machine has not been inside the runtime since.
  Processor* processor = machine->held.load_acquire();
  // Said before the processor is gone, so that no deadlock can be seen in between.
  const bool is_hog = machine->blocking.load_relaxed() == 0;
  if (is_hog) {
    machine->is_hog.store_release(true);
    hogs_.fetch_add_relaxed(1);
  }
  if (!machine->retake.compare_exchange_acq_rel(state, kRetakeTaken)) {
    if (is_hog) note_hog_returned(machine);
    return false;
  }
  // The machine is outside the runtime and will find out at its next entry.
  processor->counters.hand_offs.increment_single_writer();
  processor->record(EventType::kHandOff, machine->index);
  hand_off(processor);
  return true;
}

void Scheduler::note_hog_returned(Machine* machine) noexcept {
  if (!machine->is_hog.load_relaxed()) return;
  machine->is_hog.store_release(false);
  hogs_.fetch_sub_acq_rel(1);
}

}  // namespace heddle
