#include "core/scheduler.h"

#include <cstddef>
#include <vector>

#include "core/check.h"
#include "core/overflow.h"
#include "core/park.h"

namespace heddle {

namespace {

void retire_descriptor(void* block) noexcept { retire_epoch(static_cast<Fiber*>(block)->epoch()); }

Atomic<Scheduler*> only_scheduler{nullptr};

// Free descriptors are linked through Runnable::next, so their words survive. Never destroyed.
SlabPool* const the_fiber_pool = new SlabPool(sizeof(Fiber), kFiberLinkOffset, retire_descriptor);

}  // namespace

SlabPool& fiber_pool() noexcept { return *the_fiber_pool; }

const char* wait_reason_name(WaitReason reason) noexcept {
  static const char* const kNames[] = {
      "none",  "park",      "sleep",      "blocking", "latch",   "send",    "receive", "select",
      "mutex", "semaphore", "wait group", "once",     "barrier", "context", "read",    "write"};
  static_assert(sizeof kNames / sizeof *kNames == static_cast<size_t>(WaitReason::kCount),
                "a name for every wait reason");
  return kNames[static_cast<size_t>(reason)];
}

const char* spawn_error_name(SpawnError error) noexcept {
  switch (error) {
    case SpawnError::kNone:
      return "none";
    case SpawnError::kShutDown:
      return "the runtime is shut down";
    case SpawnError::kOutOfMemory:
      return "out of memory for a descriptor";
    case SpawnError::kForkedChild:
      return "a forked child has no runtime";
  }
  return "unknown";
}

Scheduler::Scheduler(const SchedulerOptions& options) noexcept
    : machine_limit_(options.machine_limit) {
  Scheduler* none = nullptr;
  HEDDLE_CHECK(only_scheduler.compare_exchange_acq_rel(none, this),
               "one scheduler exists at a time in a process");
  os::prepare_heavy_fence();
  os::watch_for_fork();
  install_overflow_handler();
  usable_cpus_ = os::usable_cpus();
  machines_ = new Atomic<Machine*>[machine_limit_];
  HEDDLE_CHECK(poller_.open() == 0, "epoll and eventfd are available");
  const uint32_t wanted = options.processors != 0 ? options.processors : usable_cpus_;
  set_processors(wanted < kMaxProcessors ? wanted : kMaxProcessors);
  // Without a monitor nothing is preempted and blocking calls keep their processor; the rest runs.
  if (os::start_thread(&monitor_thread_, "heddle-monitor", 64 * 1024, monitor_main, this) != 0) {
    monitor_thread_ = os::Thread{};
  }
}

Scheduler::~Scheduler() {
  shutdown();
  poller_.close();
  const uint32_t machines = machine_count_.load_acquire();
  for (uint32_t i = 0; i < machines; ++i) delete machines_[i].load_relaxed();
  delete[] machines_;
  const uint32_t known = created_processors_.load_acquire();
  for (uint32_t i = 0; i < known; ++i) delete processor_at(i);
  only_scheduler.store_release(nullptr);
}

Machine* enter_runtime_slowly(Machine* machine) noexcept {
  uint32_t state = kRetakeRequested;
  if (machine->retake.compare_exchange_acq_rel(state, kRetakeNone)) return machine;
  return state == kRetakeTaken ? reacquire_processor(machine) : machine;
}

namespace {
// Descriptors come back from the cores of the processors: their lines are on the way while the
// thread does something else between two spawns.
void prefetch_for_spawn(const Fiber* fiber) noexcept {
  if (fiber == nullptr) return;
  const auto* bytes = reinterpret_cast<const char*>(fiber);
  for (size_t at = 0; at < sizeof(Fiber); at += arch::kCacheLineBytes) {
    arch::prefetch_for_write(bytes + at);
  }
}
}  // namespace

Fiber* Scheduler::take_descriptor(Machine* machine, Magazine* stock) noexcept {
  if (machine != nullptr) {
    return static_cast<Fiber*>(machine->processor->fibers.take(fiber_pool()));
  }
  if (stock != nullptr) {
    auto* fiber = static_cast<Fiber*>(stock->take(fiber_pool()));
    prefetch_for_spawn(static_cast<Fiber*>(stock->upcoming(3)));
    return fiber;
  }
  void* block = nullptr;
  return fiber_pool().take(&block, 1) == 1 ? static_cast<Fiber*>(block) : nullptr;
}

// A spawner that is ahead of the processors lets the queue run dry first: what it spawned is still
// in the cache then, and descriptors of fibers that have ended are used again. Once only: a queue
// full of fibers that yield would never run dry. If it is still full, or the spawner cannot leave
// its thread, the older half of the queue goes to the global one instead.
Machine* Scheduler::make_room(Machine* machine) noexcept {
  Fiber* self = machine->fiber;
  if (self->locked_machine == nullptr) {
    machine->post.action = self->is_compact() ? PostAction::kYieldCompact : PostAction::kYield;
    machine->post.fiber = self;
    machine = leave_fiber(machine, self);
  }
  return machine;
}

Scheduler::Spawning Scheduler::begin_spawn(const FiberSpec& spec, SpawnError* error,
                                           Magazine* stock) noexcept {
  if (os::is_forked_child() || stopping_.load_relaxed()) {
    *error = os::is_forked_child() ? SpawnError::kForkedChild : SpawnError::kShutDown;
    return Spawning{};
  }
  RuntimeScope scope;
  Machine* machine = scope.machine();
  if (machine != nullptr && scope.is_outermost() && machine->processor->queue.is_full()) {
    machine = make_room(machine);
  }
  Fiber* fiber = take_descriptor(machine, stock);
  if (fiber == nullptr) {
    scope.leave(machine);
    *error = SpawnError::kOutOfMemory;
    return Spawning{};
  }
  start_life(fiber, spec);
  const Spawning spawning{fiber, machine, scope.is_outermost()};
  scope.keep();
  *error = SpawnError::kNone;
  return spawning;
}

void Scheduler::finish_foreign_spawn(Fiber* fiber) noexcept {
  fiber->id = foreign_spawned_.fetch_add_relaxed(1) + 1;
  enqueue_global(fiber);
}

Fiber* Scheduler::spawn(const SpawnOptions& options, FiberEntry entry, const void* payload,
                        size_t payload_bytes, SpawnError* error) noexcept {
  HEDDLE_CHECK(payload_bytes <= Fiber::kPayloadBytes, "a payload fits in the descriptor");
  const Spawning spawning = begin_spawn(make_spec(options, entry), error);
  if (spawning.fiber == nullptr) return nullptr;
  if (payload_bytes != 0) std::memcpy(spawning.fiber->payload, payload, payload_bytes);
  finish_spawn(spawning);
  return spawning.fiber;
}

void Scheduler::enqueue_local(Processor* processor, Runnable* item, bool run_next) noexcept {
  if (run_next) {
    item = processor->run_next.exchange(item);
    if (item == nullptr) return;
  }
  while (!processor->queue.push(item)) {
    Runnable* overflow[RunQueue::capacity() / 2 + 1];
    const uint32_t count = processor->queue.take_half(overflow);
    if (count == 0) continue;  // thieves made room
    overflow[count] = item;
    global_.push(overflow, count + 1);
    return;
  }
}

void Scheduler::enqueue_global(Runnable* item) noexcept {
  global_.post(item);
  fence_seq_cst();  // the caller may be a thread that heavy fences do not serve
  wake_if_needed();
}

void Scheduler::make_runnable(Fiber* fiber, bool run_next) noexcept {
  const RuntimeScope scope;
  make_runnable_on(scope.machine(), fiber, run_next);
}

void Scheduler::make_runnable_on(Machine* machine, Fiber* fiber, bool run_next) noexcept {
  if (enqueue_woken(machine, fiber, run_next)) wake_if_needed();
}

// True if it went to the processor's own queue, and nobody else has been told.
bool Scheduler::enqueue_woken(Machine* machine, Fiber* fiber, bool run_next) noexcept {
  Runnable* item = fiber;
  if (machine != nullptr && machine->processor != nullptr) {
    machine->processor->counters.readied.increment_single_writer();
    machine->processor->record(EventType::kReady, *fiber);
  } else {
    machine = nullptr;
  }
  if (fiber->is_compact() && fiber->started()) {
    RunStack* run_stack = fiber->run_stack;
    if (!run_stack->post(fiber)) return false;
    item = run_stack;
    run_next = false;
  }
  if (machine == nullptr) {
    enqueue_global(item);
    return false;
  }
  enqueue_local(machine->processor, item, run_next);
  return true;
}

bool Scheduler::ready(Waiter* waiter, uint64_t epoch) noexcept {
  if (!waiter->claim(epoch)) return false;
  if (waiter->resume != nullptr) {
    waiter->resume(waiter);
  } else {
    make_runnable(static_cast<Fiber*>(waiter), true);
  }
  return true;
}

Scheduler& Scheduler::running() noexcept {
  Scheduler* scheduler = only_scheduler.load_acquire();
  HEDDLE_CHECK(scheduler != nullptr, "there is a scheduler");
  return *scheduler;
}

void Scheduler::cancel(Fiber* fiber) noexcept {
  fiber->cancel_requested.store_seq_cst(1);
  fence_heavy();  // pairs with the light fence in publish_wait: one of us sees the other
  const uint64_t word = fiber->word.load_acquire();
  if (Waiter::state_of(word) == WaiterState::kWaiting) {
    const uint64_t epoch = Waiter::epoch_of(word);
    if (fiber->claim(epoch)) make_runnable(fiber, false);
  }
}

void Scheduler::arm_timer(uint64_t deadline_ns, Waiter* waiter, uint64_t epoch) noexcept {
  if (deadline_ns == os::kNever) return;
  RuntimeScope scope;
  const TimerEntry entry{deadline_ns, waiter, epoch};
  if (scope.machine() != nullptr && scope.machine()->processor != nullptr) {
    scope.machine()->processor->arm_timer(entry);
    return;
  }
  Processor* processor = processor_at(0);
  processor->timers.post(entry);
  // Under the lock that a machine goes to sleep under: either it is idle by now and is woken, or it
  // sees the inbox when it looks again in sleep_idle.
  wake_processor(processor);
}

bool Scheduler::shutdown(uint64_t timeout_ns) noexcept {
  if (shut_down_) return true;
  const uint64_t now = os::now_ns();
  const uint64_t deadline = timeout_ns > os::kNever - now ? os::kNever : now + timeout_ns;
  uint32_t machines = 0;
  {
    LockGuard guard(lock_);
    stopping_.store_seq_cst(true);
    const uint32_t known = created_processors_.load_acquire();
    for (uint32_t i = 0; i < known; ++i) processor_at(i)->attention.store_release(true);
    machines = machine_count_.load_acquire();
    for (uint32_t i = 0; i < machines; ++i) {
      machines_[i].load_acquire()->signal.store_seq_cst(1);
    }
  }
  for (uint32_t i = 0; i < machines; ++i) wake_thread(machines_[i].load_acquire());
  monitor_signal_.fetch_add_seq_cst(1);
  os::futex_wake(monitor_signal_, 1);
  for (;;) {
    const uint32_t stopped = stopped_machines_.load_acquire();
    if (stopped == machines) break;
    if (os::now_ns() >= deadline) return false;
    os::futex_wait(stopped_machines_, stopped, deadline);
  }
  for (uint32_t i = 0; i < machines; ++i) os::join_thread(machines_[i].load_acquire()->thread);
  if (monitor_thread_.handle != 0) os::join_thread(monitor_thread_);
  blocking_pool_.shutdown();
  shut_down_ = true;
  reclaim_fibers();
  return true;
}

void Scheduler::reclaim_fibers() noexcept {
  const uint32_t known = created_processors_.load_acquire();
  for (uint32_t i = 0; i < known; ++i) empty_stocks(processor_at(i));
  // No thread of the runtime is left, so every descriptor that is not free can be taken.
  std::vector<void*> left;
  fiber_pool().for_each(
      [](void* block, void* list) {
        auto* fiber = static_cast<Fiber*>(block);
        if (fiber->state() != WaiterState::kFree) {
          static_cast<std::vector<void*>*>(list)->push_back(fiber);
        }
      },
      &left);
  FrameStore frames;
  for (void* block : left) {
    auto* fiber = static_cast<Fiber*>(block);
    if (fiber->started() && !fiber->is_compact()) {
      stack_pool(fiber->stack->size_log2).give(fiber->stack);
    } else if (fiber->started()) {
      if (fiber->frame != nullptr) frames.give(fiber->frame, fiber->frame_bytes);
      fiber->run_stack->bound.fetch_sub_acq_rel(1);
    }
    const uint64_t epoch = fiber->epoch() + 1;
    new (fiber) Fiber;
    fiber->word.store_relaxed(Waiter::make_word(WaiterState::kFree, epoch));
  }
  frames.flush();
  fiber_pool().give(left.data(), left.size());
  fiber_pool().trim();
  FrameStore::trim();
  trim_stack_pools(0);
}

void Scheduler::trace(bool on) noexcept {
  const uint32_t known = created_processors_.load_acquire();
  for (uint32_t i = 0; i < known; ++i) processor_at(i)->ring.enable(on);
}

void Processor::record_slow(EventType type, uint64_t subject, uint16_t detail,
                            uint32_t value) noexcept {
  ring.append(Event{os::now_ns(), subject, value, type, static_cast<uint8_t>(index), detail});
}

}  // namespace heddle
