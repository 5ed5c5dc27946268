// The scheduler: processors, machines, and the way of a fiber through them.
//
//   spawn (scheduler.cc) -> queue -> run_turn (turn.cc) -> entry on the carrier
//   park, yield, sleep (park.cc) -> make_runnable (scheduler.cc) -> wake_one (search.cc)
//   stealing, going idle (search.cc) · count changes (resize.cc) · hogs (monitor.cc)
//   blocking calls (blocking.cc) · OS threads (machine.cc)
//
// After Go's G/M/P scheduler (runtime/proc.go; D. Vyukov, "Scalable Go Scheduler Design Doc",
// 2012) with these differences: a new fiber is called on the loop's own stack; an idle machine
// keeps its processor while it sleeps, so that a processor's timers have a sleeper of their own;
// the submit side of the sleep/submit race takes a light fence, the sleep side a heavy one.
//
// One scheduler exists at a time in a process; pools of stacks and descriptors are process-wide.
#pragma once

#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "core/blocking_pool.h"
#include "core/global_queue.h"
#include "core/machine.h"
#include "core/processor.h"

namespace heddle {

struct SchedulerOptions {
  uint32_t processors = 0;       // 0 = usable CPUs; at most kMaxProcessors
  uint32_t machine_limit = 512;  // OS threads that run fibers or wait to
};

struct SpawnOptions {
  StackClass stack_class = StackClass::kStandard;
  size_t stack_bytes = 0;       // standard only; 0 = default; rounded up to a power of two
  bool lock_to_thread = false;  // refused for compact
  const char* name = nullptr;   // must outlive the fiber
  const void* site = nullptr;
  FiberExit on_exit = nullptr;
};

enum class SpawnError : uint8_t { kNone, kShutDown, kOutOfMemory, kForkedChild };
const char* spawn_error_name(SpawnError error) noexcept;

struct SchedulerStats;

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options = {}) noexcept;
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Queues a fiber that will call `entry` with `payload` (copied; at most Fiber::kPayloadBytes).
  // From a fiber: to the processor's own queue; when that is full the spawner lets others run
  // first, so a spawn is a place where a fiber may be descheduled (never a cancellation point).
  // From any other thread: to the inbox.
  // nullptr and *error when nothing was queued.
  Fiber* spawn(const SpawnOptions& options, FiberEntry entry, const void* payload,
               size_t payload_bytes, SpawnError* error) noexcept;

  // The same in two steps, for payloads that are built in place. Between them the caller is inside
  // the runtime: it may only write the payload.
  struct Spawning {
    Fiber* fiber = nullptr;
    Machine* machine = nullptr;
    bool leaves_runtime = false;
  };
  // `stock`: where a thread outside the runtime that spawns much keeps descriptors at hand.
  Spawning begin_spawn(const FiberSpec& spec, SpawnError* error,
                       Magazine* stock = nullptr) noexcept;
  void finish_spawn(const Spawning& spawning) noexcept;

  // The same for a callable, which is moved into the descriptor, or to the heap if it is large.
  template <typename F>
  SpawnError go(F&& callable, const SpawnOptions& options = {});

  // Ends the wait (waiter, epoch) if it is still on; true for one caller only.
  bool ready(Waiter* waiter, uint64_t epoch) noexcept;

  // The one that exists.
  static Scheduler& running() noexcept;

  // Asks a fiber to end: its current wait and every later one throw Cancelled. The caller must
  // know that the fiber has not ended and does not end meanwhile.
  void cancel(Fiber* fiber) noexcept;

  // 1..kMaxProcessors. Takes effect at once for new work; running fibers are not interrupted.
  void set_processors(uint32_t count) noexcept;
  uint32_t processors() const noexcept { return processor_count_.load_relaxed(); }

  // Threads outside the runtime that use a core right now, such as one that runs JavaScript.
  void note_foreign_running(int32_t delta) noexcept {
    foreign_running_.fetch_add_relaxed(static_cast<uint32_t>(delta));
  }
  // True if somebody may use a core for spinning without keeping it from others.
  bool may_spin() const noexcept;
  // Something outside may still wake fibers, so their waiting is no deadlock.
  void note_outside_waker(int32_t delta) noexcept {
    outside_wakers_.fetch_add_acq_rel(static_cast<uint32_t>(delta));
  }
  // Called when every fiber is parked and nothing can wake them; default: no report.
  using DeadlockHandler = void (*)(Scheduler& scheduler);
  void set_deadlock_handler(DeadlockHandler handler) noexcept { deadlock_handler_ = handler; }

  // Stops the machines after their current fiber parks or ends and joins them. Parked and queued
  // fibers never run again; their memory is reclaimed. False if a fiber did not yield in time.
  bool shutdown(uint64_t timeout_ns = os::kNever) noexcept;
  bool stopping() const noexcept { return stopping_.load_acquire(); }

  void read_stats(SchedulerStats* stats) noexcept;
  Processor* processor_at(uint32_t index) const noexcept {
    return processors_[index].load_acquire();
  }
  void trace(bool on) noexcept;  // turns the event rings on or off

  // --- for the runtime's own files ---
  void make_runnable(Fiber* fiber, bool run_next) noexcept;
  // `machine`: the calling thread's, inside the runtime; nullptr if it has none.
  void make_runnable_on(Machine* machine, Fiber* fiber, bool run_next) noexcept;
  void enqueue_local(Processor* processor, Runnable* item, bool run_next) noexcept;
  void enqueue_global(Runnable* item) noexcept;
  void wake_if_needed() noexcept;
  void wake_one() noexcept;
  Runnable* next_runnable(Machine* machine) noexcept;
  bool has_global_work() const noexcept { return !global_.empty(); }
  void run_timers(Machine* machine, uint64_t now_ns) noexcept;
  void arm_timer(uint64_t deadline_ns, Waiter* waiter, uint64_t epoch) noexcept;

  bool claim_idle_processor(Machine* machine) noexcept;
  void hand_off(Processor* processor) noexcept;
  void wait_for_processor(Machine* machine) noexcept;
  void wait_in_place(Machine* machine, Fiber* self) noexcept;
  void act_at_home(Machine* machine) noexcept;
  void retire_processor(Processor* processor) noexcept;
  void serve_locked(Machine* machine) noexcept;
  void hand_off_locked(Machine* machine) noexcept;
  void kick_monitor() noexcept;
  bool others_wait(const Processor* processor, uint64_t now_ns) const noexcept;
  void note_hog_returned(Machine* machine) noexcept;
  static void machine_main(void* machine) noexcept;
  static void monitor_main(void* scheduler) noexcept;
  BlockingPool& blocking_pool() noexcept { return blocking_pool_; }
  os::Poller& poller() noexcept { return poller_; }
  // Descriptors that the poller knows (netpoll.h).
  void note_watched(int32_t delta) noexcept {
    watched_.fetch_add_seq_cst(static_cast<uint32_t>(delta));
  }

 private:
  Runnable* take_in_full_turn(Machine* machine) noexcept;
  Runnable* take_global(Machine* machine) noexcept;
  Runnable* search(Machine* machine) noexcept;
  Runnable* steal_once(Machine* machine, bool* declined) noexcept;
  Runnable* steal_from(Machine* machine, Processor* victim, bool take_run_next,
                       bool* declined) noexcept;
  bool try_begin_search(Machine* machine) noexcept;
  void end_search(Machine* machine) noexcept;
  bool sleep_idle(Machine* machine) noexcept;
  bool nobody_polls() const noexcept {
    return watched_.load_relaxed() != 0 && !poller_taken_.load_relaxed();
  }
  bool poll(Machine* machine) noexcept;
  void deliver(Machine* machine, const os::PollEvent* events, uint32_t count) noexcept;
  bool enqueue_woken(Machine* machine, Fiber* fiber, bool run_next) noexcept;
  bool work_visible(Processor* own) const noexcept;
  void settle(Machine* machine) noexcept;
  void empty_stocks(Processor* processor) noexcept;
  void check_deadlock() noexcept;
  enum class Sleep : uint8_t { kOn, kWithoutProcessor, kOver };
  Sleep look_from_sleep(Machine* machine, bool has_events, uint64_t* deadline_ns) noexcept;
  void wait_for_signal(Machine* machine, uint64_t deadline_ns, bool may_poll) noexcept;
  void leave_poller(Machine* machine, bool* in_poller) noexcept;
  void wake_processor(Processor* processor) noexcept;
  Spawning try_begin_spawn(const FiberSpec& spec) noexcept;
  void finish_local_spawn(const Spawning& spawning) noexcept;
  void finish_foreign_spawn(Fiber* fiber) noexcept;
  [[gnu::always_inline]] static void start_life(Fiber* fiber, const FiberSpec& spec) noexcept {
    fiber->spec = spec;
    const uint64_t old_epoch = fiber->epoch();
    const uint64_t epoch = __builtin_expect(old_epoch != 0, true) ? old_epoch : fresh_epoch();
    fiber->word.store_relaxed(Waiter::make_word(WaiterState::kRunnable, epoch));
  }
  Fiber* take_descriptor(Machine* machine, Magazine* stock) noexcept;
  Machine* make_room(Machine* machine) noexcept;
  void wake_thread(Machine* machine) noexcept;
  void push_idle_locked(Processor* processor) noexcept;
  bool remove_idle_locked(Processor* processor) noexcept;
  Processor* pop_idle_locked() noexcept;
  void make_spare_locked(Machine* machine) noexcept;
  Machine* start_machine_locked(Processor* processor, bool searching = false) noexcept;
  void empty_processor(Processor* processor) noexcept;
  void monitor() noexcept;
  uint64_t watch(Processor* processor, uint64_t now_ns) noexcept;
  uint64_t monitor_cpu_ns() const noexcept;
  bool retake(Machine* machine) noexcept;
  bool sleep_deeply() noexcept;
  void wake_monitor_locked() noexcept;
  void reclaim_fibers() noexcept;

  Lock lock_{LockRank::kScheduler};
  Atomic<uint32_t> processor_count_{0};  // as set
  Atomic<uint32_t> live_processors_{0};  // idle or running; more than set while some retire
  Atomic<Processor*> processors_[kMaxProcessors];
  Atomic<uint32_t> created_processors_{0};
  Processor* idle_processors_ = nullptr;
  alignas(64) Atomic<uint32_t> idle_count_{0};  // processors in the idle list
  Atomic<uint32_t> searching_{0};               // machines that look for work

  alignas(64) GlobalQueue global_;
  Atomic<uint32_t> foreign_running_{0};
  Atomic<uint32_t> outside_wakers_{0};
  // On a line of its own: threads outside write it at every spawn.
  alignas(64) Atomic<uint64_t> foreign_spawned_{0};
  alignas(64) uint32_t usable_cpus_ = 1;

  Atomic<Machine*>* machines_ = nullptr;  // machine_limit_ slots; filled in order
  Atomic<uint32_t> machine_count_{0};
  uint32_t machine_limit_;
  Machine* spare_machines_ = nullptr;
  Atomic<bool> poller_taken_{false};  // a machine sleeps in it
  Atomic<uint32_t> watched_{0};
  os::Poller poller_;
  Atomic<bool> stopping_{false};
  Atomic<uint32_t> stopped_machines_{0};
  bool shut_down_ = false;

  os::Thread monitor_thread_;
  Atomic<uint32_t> monitor_signal_{0};
  Atomic<uint32_t> monitor_sleep_{0};   // MonitorSleep
  Atomic<int32_t> monitor_clock_{0};    // of the monitor's CPU time, while it lives
  Atomic<uint64_t> monitor_cpu_ns_{0};  // afterwards
  Atomic<uint32_t> hogs_{0};            // detached: they run without a processor

  BlockingPool blocking_pool_;
  DeadlockHandler deadlock_handler_ = nullptr;
};

// Descriptors of all fibers.
SlabPool& fiber_pool() noexcept;

// Entry from user code on a fiber of that machine; returns the machine, which may be another one
// than before if the processor had been taken. Exit hands the thread back to user code.
Machine* enter_runtime_slowly(Machine* machine) noexcept;
inline Machine* enter_runtime(Machine* machine) noexcept {
  machine->in_runtime.store_relaxed(1);
  fence_light();  // pairs with fence_heavy in Scheduler::retake
  if (__builtin_expect(machine->retake.load_relaxed() == kRetakeNone, true)) return machine;
  return enter_runtime_slowly(machine);
}
inline void exit_runtime(Machine* machine) noexcept { machine->in_runtime.store_release(0); }

// A stretch of runtime code called from a fiber. While it lasts the monitor cannot take the
// processor. `machine()` is null on foreign threads and inside blocking(). Nothing may park inside.
class RuntimeScope {
 public:
  RuntimeScope() noexcept : RuntimeScope(Machine::current()) {}
  explicit RuntimeScope(Machine* current) noexcept : machine_(current) {
    if (machine_ == nullptr) return;
    if (machine_->blocking.load_relaxed() != 0) {
      machine_ = nullptr;
    } else if (machine_->in_runtime.load_relaxed() == 0) {
      outermost_ = true;
      machine_ = enter_runtime(machine_);
    }
  }
  ~RuntimeScope() {
    if (outermost_) machine_->in_runtime.store_release(0);
  }
  // For a caller that ends the stretch itself, perhaps on another machine.
  void keep() noexcept { outermost_ = false; }
  void leave(Machine* machine) noexcept {
    if (outermost_) machine->in_runtime.store_release(0);
    outermost_ = false;
  }
  // The fiber has been parked inside, and goes on here.
  void continue_on(Machine* machine) noexcept { machine_ = machine; }
  Machine* machine() const noexcept { return machine_; }
  bool is_outermost() const noexcept { return outermost_; }

 private:
  Machine* machine_;
  bool outermost_ = false;
};

struct SchedulerStats {
  uint32_t processors;
  uint32_t idle_processors;
  uint32_t machines;
  uint32_t searching;
  uint32_t global_queue;
  uint64_t spawned, started, exited, parked, readied, yielded;
  uint64_t run_local, run_global, run_stolen;
  uint64_t steal_attempts, steal_successes, stolen_items, steal_ns;
  uint64_t timers_fired, hand_offs, idle_sleeps, stacks_earned, polls, poll_events;
  uint64_t monitor_cpu_ns;
  uint64_t stacks_in_use, stacks_warm, descriptor_bytes, frame_bytes, queue_bytes;
  struct PerProcessor {
    uint32_t queue;
    uint64_t started;
    uint64_t run_local, run_global, run_stolen;
  } per_processor[kMaxProcessors];
};

[[gnu::always_inline]] inline FiberSpec make_spec(const SpawnOptions& options,
                                                  FiberEntry entry) noexcept {
  FiberSpec spec;
  spec.entry = entry;
  spec.on_exit = options.on_exit;
  spec.name = options.name;
  spec.site = options.site;
  spec.stack_class = options.stack_class;
  spec.locks_thread = options.lock_to_thread;
  if (options.stack_bytes != 0 && options.stack_class == StackClass::kStandard) {
    const uint32_t log2 = stack_size_log2(options.stack_bytes);
    if (log2 != kDefaultStackLog2) spec.stack_size_log2 = static_cast<uint8_t>(log2);
  }
  return spec;
}

// The common case of a spawn, inlined: on a fiber, with room in the queue and a descriptor at hand.
// A null fiber means that begin_spawn must do it.
[[gnu::always_inline]] inline Scheduler::Spawning Scheduler::try_begin_spawn(
    const FiberSpec& spec) noexcept {
  Machine* machine = Machine::current();
  if (machine == nullptr || machine->in_runtime.load_relaxed() != 0 ||
      machine->blocking.load_relaxed() != 0 || os::is_forked_child() || stopping_.load_relaxed()) {
    return Spawning{};
  }
  machine->in_runtime.store_relaxed(1);
  fence_light();  // as in enter_runtime
  if (machine->retake.load_relaxed() == kRetakeNone) {
    Processor* processor = machine->processor;
    if (!processor->queue.is_full()) {
      if (auto* fiber = static_cast<Fiber*>(processor->fibers.try_take())) {
        start_life(fiber, spec);
        return Spawning{fiber, machine, true};
      }
    }
  }
  machine->in_runtime.store_release(0);
  return Spawning{};
}

[[gnu::always_inline]] inline void Scheduler::finish_local_spawn(
    const Spawning& spawning) noexcept {
  Processor* processor = spawning.machine->processor;
  Fiber* fiber = spawning.fiber;
  fiber->id = (uint64_t{processor->index + 1} << 44) | ++processor->next_fiber_id;
  processor->counters.spawned.increment_single_writer();
  processor->record(EventType::kSpawn, *fiber);
  if (!processor->queue.push(fiber)) enqueue_local(processor, fiber, false);
  wake_if_needed();
  if (spawning.leaves_runtime) exit_runtime(spawning.machine);
}

template <typename F>
SpawnError Scheduler::go(F&& callable, const SpawnOptions& options) {
  using Callable = std::decay_t<F>;
  SpawnError error = SpawnError::kNone;
  if constexpr (sizeof(Callable) <= Fiber::kPayloadBytes && alignof(Callable) <= 8 &&
                std::is_trivially_copyable_v<Callable>) {
    const FiberSpec spec = make_spec(options, [](Fiber* fiber) {
      Callable own(*std::launder(reinterpret_cast<Callable*>(fiber->payload)));
      own();
    });
    Spawning spawning = try_begin_spawn(spec);
    if (__builtin_expect(spawning.fiber == nullptr, false)) {
      spawning = begin_spawn(spec, &error);
      if (spawning.fiber == nullptr) return error;
    }
    new (spawning.fiber->payload) Callable(std::forward<F>(callable));
    finish_spawn(spawning);
  } else {
    auto* boxed = new Callable(std::forward<F>(callable));
    const FiberEntry run = [](Fiber* fiber) {
      Callable* callable_on_heap;
      std::memcpy(&callable_on_heap, fiber->payload, sizeof(Callable*));
      struct Delete {
        Callable* object;
        ~Delete() { delete object; }
      } delete_at_end{callable_on_heap};
      (*callable_on_heap)();
    };
    if (spawn(options, run, &boxed, sizeof(Callable*), &error) == nullptr) delete boxed;
  }
  return error;
}

[[gnu::always_inline]] inline void Scheduler::finish_spawn(const Spawning& spawning) noexcept {
  if (__builtin_expect(spawning.machine != nullptr, true)) {
    finish_local_spawn(spawning);
  } else {
    finish_foreign_spawn(spawning.fiber);
  }
}

inline void Scheduler::wake_if_needed() noexcept {
  fence_light();  // pairs with the fence in sleep_idle
  if (idle_count_.load_relaxed() != 0 && searching_.load_relaxed() == 0) wake_one();
}

}  // namespace heddle
