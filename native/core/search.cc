// Where the next runnable comes from, and what a machine does when there is none.
//
// The race between going to sleep and new work, as in Go and tokio:
//   submit: push; fence; if nobody searches and somebody sleeps, wake one
//   sleep:  announce idle; stop searching; fence; look at every queue again; sleep
// Submitters on machines take a light fence and the sleeper a heavy one; threads outside push with
// a sequentially consistent CAS. If the sleeper is the only processor that was awake, no machine
// can be submitting, and its own full fence is enough.
// A machine that was woken searches on behalf of everybody: when the last searcher finds work it
// wakes the next, so one submitter never has to wake many.
//
// Not all work is worth stealing. Moving a fiber to another core costs more than a short fiber
// does, so a thief looks how fast the owner gets on, and leaves it a queue that it will have run
// through within microseconds. It then dozes, as a searcher still, so that the owner is not made
// to wake it again and again; if the owner gets stuck in a long fiber, the rest is stolen. Nor are
// fibers that mostly send and receive worth it: a channel costs 17 ns per item on one core, 60 on
// two.
#include <algorithm>

#include "core/check.h"
#include "core/netpoll.h"
#include "core/park.h"
#include "core/random.h"
#include "core/scheduler.h"
#include "core/turn.h"

namespace heddle {

namespace {

constexpr uint32_t kStealRounds = 4;
constexpr uint64_t kSpinNs = 20'000;         // about what a wake-up costs
constexpr uint64_t kRunNextGraceNs = 3'000;  // a readied fiber is about to run; Go waits 3 us too
constexpr uint64_t kObserveNs = 1'000;       // how long a thief watches an owner
constexpr uint64_t kWorthObservations = 10;  // a queue that lasts longer than this is stolen from
constexpr uint32_t kTalkCalls = 8;           // in an observation: a call every 125 ns
constexpr uint64_t kDozeNs = 200'000;
constexpr uint32_t kEventsAtOnce = 128;
constexpr uint64_t kPollNs = 1'000'000;      // a busy processor looks for events as often, at least
constexpr uint64_t kSettleNs = 100'000'000;  // idle for so long: give memory back

// A fiber that wakes up finds its last frames in memory that nobody has touched for long.
void prefetch_frames(const void* stack_pointer) noexcept {
  for (size_t line = 0; line < 4; ++line) {
    arch::prefetch(static_cast<const char*>(stack_pointer) + line * arch::kCacheLineBytes);
  }
}

uint64_t read_clock(Processor* processor) noexcept {
  const uint64_t now = os::now_ns();
  processor->now_ns.store_relaxed(now);
  return now;
}

}  // namespace

void Scheduler::run_timers(Machine* machine, uint64_t now_ns) noexcept {
  Processor* processor = machine->processor;
  processor->timers.accept_inbox();
  // As many as the queue has room for: the rest waits in the heap, where it costs nothing, and what
  // has fired runs before a spawner finds room to add to it.
  TimerEntry due;
  while (!processor->queue.is_full() && processor->timers.pop_due(now_ns, &due)) {
    if (!due.waiter->claim(due.epoch)) continue;
    processor->counters.timers_fired.increment_single_writer();
    if (due.waiter->resume != nullptr) {
      due.waiter->resume(due.waiter);
    } else {
      auto* fiber = static_cast<Fiber*>(due.waiter);
      prefetch_frames(fiber->stack_pointer);
      make_runnable(fiber, false);
    }
  }
}

// Wakes the fibers that wait for these events. `machine` holds a processor, or is nullptr.
void Scheduler::deliver(Machine* machine, const os::PollEvent* events, uint32_t count) noexcept {
  uint32_t own = 0;
  for (uint32_t i = 0; i < count; ++i) {
    Fiber* woken[2];
    const uint32_t fibers = take_woken(events[i], woken);
    for (uint32_t j = 0; j < fibers; ++j) own += enqueue_woken(machine, woken[j], false) ? 1 : 0;
  }
  if (machine != nullptr) {
    machine->processor->counters.poll_events.increment_single_writer(count);
  }
  // One is run by this machine itself, sooner than another one would wake up.
  if (own > 1) wake_if_needed();
}

// Looks for events without waiting. While another machine sleeps in the poller they are its.
bool Scheduler::poll(Machine* machine) noexcept {
  if (!nobody_polls()) return false;
  os::PollEvent events[kEventsAtOnce];
  const uint32_t count = poller_.poll(events, kEventsAtOnce);
  machine->processor->polled_ns = machine->processor->now_ns.load_relaxed();
  machine->processor->counters.polls.increment_single_writer();
  deliver(machine, events, count);
  return count != 0;
}

Runnable* Scheduler::take_global(Machine* machine) noexcept {
  Processor* processor = machine->processor;
  constexpr uint32_t kMost = RunQueue::capacity() / 2;
  Runnable* items[kMost];
  const uint32_t room = RunQueue::capacity() - processor->queue.size();
  const uint32_t count =
      global_.take(processor_count_.load_relaxed(), std::min(room + 1, kMost), items);
  if (count == 0) return nullptr;
  processor->counters.run_global.increment_single_writer(count);
  processor->queue.push_many(items + 1, count - 1);
  if (count > 1) wake_if_needed();
  return items[0];
}

// What a quick turn leaves out: the runnable chosen by a parking fiber, due timers, and from time
// to time the global queue, so that a processor with work of its own cannot starve it.
Runnable* Scheduler::take_in_full_turn(Machine* machine) noexcept {
  Processor* processor = machine->processor;
  Runnable* next = processor->handed;
  if (next != nullptr) {
    processor->handed = nullptr;
    return next;
  }
  processor->quick_turns = processor->timers.size() != 0 ? kTimerTurns : kGlobalTurns;
  const uint32_t turn = processor->turn.load_relaxed() + 1;
  processor->turn.store_relaxed(turn);
  const uint64_t now_ns = read_clock(processor);
  if (processor->timers.size() != 0 || processor->timers.has_inbox()) run_timers(machine, now_ns);
  const bool is_global_turn = turn - processor->global_turn >= kGlobalTurns;
  if (is_global_turn || now_ns - processor->polled_ns >= kPollNs) poll(machine);
  if (is_global_turn) {
    processor->global_turn = turn;
    next = take_global(machine);
    if (next != nullptr) return next;
  }
  next = processor->run_next.take();
  if (next == nullptr) next = processor->queue.pop();
  if (next != nullptr) processor->counters.run_local.increment_single_writer();
  return next;
}

Runnable* Scheduler::next_runnable(Machine* machine) noexcept {
  for (;;) {
    if (stopping_.load_relaxed()) return nullptr;
    Processor* processor = machine->processor;
    if (processor->must_retire.load_relaxed()) {
      if (machine->searching) end_search(machine);
      machine->home_action = HomeAction::kRelease;
      return nullptr;
    }
    Runnable* next = take_in_full_turn(machine);
    if (next == nullptr) next = take_global(machine);
    if (next == nullptr && poll(machine)) continue;
    if (next == nullptr) next = search(machine);
    if (next != nullptr) {
      if (machine->searching) end_search(machine);
      machine->settled = false;
      return next;
    }
    if (!sleep_idle(machine)) return nullptr;
  }
}

namespace {
// True if the owner does well alone: it will have run through its queue before a thief could make
// use of it, or its fibers do nothing but talk to each other, which costs them several times as
// much from another core.
bool does_well_alone(const Processor* owner, uint64_t began_ns) noexcept {
  const uint32_t turn = owner->turn.load_relaxed();
  const uint32_t calls = owner->calls.load_relaxed();
  while (os::now_ns() < began_ns + kObserveNs) spin_hint();
  if (owner->calls.load_relaxed() - calls >= kTalkCalls) return true;
  const uint32_t queued = owner->queue.size();
  const uint32_t turns = owner->turn.load_relaxed() - turn;
  return queued != 0 && uint64_t{turns} * kWorthObservations >= queued;
}
}  // namespace

Runnable* Scheduler::steal_from(Machine* machine, Processor* victim, bool take_run_next,
                                bool* declined) noexcept {
  Processor* own = machine->processor;
  own->counters.steal_attempts.increment_single_writer();
  uint64_t began_ns = os::now_ns();
  if ((victim->queue.size() != 0 || take_run_next) && does_well_alone(victim, began_ns)) {
    *declined = true;
    return nullptr;
  }
  began_ns = os::now_ns();
  uint32_t moved = 0;
  Runnable* stolen = victim->queue.steal_into(own->queue, &moved);
  if (stolen == nullptr && take_run_next && victim->run_next.peek() != nullptr) {
    // Its owner is likely to take it within moments; only what stays is stolen.
    const Runnable* const waiting = victim->run_next.peek();
    const uint64_t until = began_ns + kRunNextGraceNs;
    while (victim->run_next.peek() == waiting && os::now_ns() < until) spin_hint();
    if (victim->run_next.peek() == waiting) stolen = victim->run_next.rob();
    moved = stolen != nullptr ? 1 : 0;
  }
  const auto latency_ns = static_cast<uint32_t>(os::now_ns() - began_ns);
  own->record(EventType::kSteal, victim->index, static_cast<uint16_t>(moved), latency_ns);
  if (stolen == nullptr) return nullptr;
  own->counters.steal_successes.increment_single_writer();
  own->counters.stolen_items.increment_single_writer(moved);
  own->counters.steal_ns.increment_single_writer(latency_ns);
  own->counters.run_stolen.increment_single_writer();
  return stolen;
}

Runnable* Scheduler::steal_once(Machine* machine, bool* declined) noexcept {
  const uint32_t known = created_processors_.load_acquire();
  for (uint32_t round = 0; round < kStealRounds; ++round) {
    const auto start = static_cast<uint32_t>(next_random(machine->random) % known);
    for (uint32_t i = 0; i < known; ++i) {
      Processor* victim = processor_at((start + i) % known);
      if (victim == machine->processor) continue;
      if (victim->queue.size() == 0 && victim->run_next.peek() == nullptr) continue;
      Runnable* stolen = steal_from(machine, victim, round + 1 == kStealRounds, declined);
      if (stolen != nullptr) return stolen;
    }
    if (*declined) break;
  }
  return nullptr;
}

bool Scheduler::try_begin_search(Machine* machine) noexcept {
  if (machine->searching) return true;
  // At most half of the busy processors: more only fight over the same queues.
  const uint32_t live = live_processors_.load_relaxed();
  const uint32_t idle = idle_count_.load_relaxed();
  const uint32_t busy = live > idle ? live - idle : 0;
  if (2 * searching_.load_relaxed() >= busy) return false;
  machine->searching = true;
  searching_.fetch_add_seq_cst(1);
  return true;
}

void Scheduler::end_search(Machine* machine) noexcept {
  machine->searching = false;
  if (searching_.fetch_sub_seq_cst(1) == 1) wake_if_needed();
}

// Spinning is worth a core only if nobody else wants it, JavaScript above all.
bool Scheduler::may_spin() const noexcept {
  const uint32_t idle = idle_count_.load_relaxed();
  const uint32_t searching = searching_.load_relaxed();
  const uint32_t count = live_processors_.load_relaxed();
  const uint32_t running = count > idle + searching ? count - idle - searching : 0;
  return running + searching + foreign_running_.load_relaxed() <= usable_cpus_;
}

Runnable* Scheduler::search(Machine* machine) noexcept {
  if (!try_begin_search(machine)) return nullptr;
  const uint64_t until = os::now_ns() + kSpinNs;
  for (;;) {
    bool declined = false;
    if (Runnable* next = steal_once(machine, &declined)) return next;
    if (!global_.empty()) {
      if (Runnable* next = take_global(machine)) return next;
    }
    Processor* processor = machine->processor;
    if (stopping_.load_relaxed() || processor->must_retire.load_relaxed()) return nullptr;
    const uint64_t now = read_clock(processor);
    if (processor->timers.next_deadline_ns() <= now || processor->timers.has_inbox()) {
      run_timers(machine, now);
      if (Runnable* next = take_in_full_turn(machine)) return next;
    }
    if (declined) {
      const uint64_t timer = processor->timers.next_deadline_ns();
      machine->signal.store_relaxed(0);
      os::futex_wait(machine->signal, 0, timer < now + kDozeNs ? timer : now + kDozeNs);
    } else if (now >= until || !may_spin()) {
      return nullptr;
    } else {
      for (int i = 0; i < 32; ++i) spin_hint();
    }
  }
}

void Scheduler::push_idle_locked(Processor* processor) noexcept {
  processor->status.store_relaxed(ProcessorStatus::kIdle);
  processor->next_idle = idle_processors_;
  idle_processors_ = processor;
  idle_count_.fetch_add_seq_cst(1);
}

bool Scheduler::remove_idle_locked(Processor* processor) noexcept {
  for (Processor** link = &idle_processors_; *link != nullptr; link = &(*link)->next_idle) {
    if (*link != processor) continue;
    *link = processor->next_idle;
    processor->status.store_relaxed(ProcessorStatus::kRunning);
    idle_count_.fetch_sub_seq_cst(1);
    wake_monitor_locked();
    return true;
  }
  return false;
}

Processor* Scheduler::pop_idle_locked() noexcept {
  Processor* processor = idle_processors_;
  if (processor != nullptr) remove_idle_locked(processor);
  return processor;
}

void Scheduler::wake_one() noexcept {
  uint32_t none = 0;
  if (!searching_.compare_exchange_seq_cst(none, 1)) return;
  Machine* woken = nullptr;
  {
    LockGuard guard(lock_);
    if (Processor* processor = stopping_.load_relaxed() ? nullptr : pop_idle_locked()) {
      woken = start_machine_locked(processor, true);
    }
  }
  if (woken == nullptr) {
    searching_.fetch_sub_seq_cst(1);
  } else {
    wake_thread(woken);
  }
}

bool Scheduler::work_visible(Processor* own) const noexcept {
  if (!global_.empty() || own->timers.has_inbox() || own->must_retire.load_relaxed()) {
    return true;
  }
  const uint32_t known = created_processors_.load_acquire();
  for (uint32_t i = 0; i < known; ++i) {
    Processor* processor = processor_at(i);
    if (processor->queue.size() != 0 || processor->run_next.peek() != nullptr) return true;
  }
  return false;
}

// Sleeps with the processor until there may be work. False: the machine must go home.
bool Scheduler::sleep_idle(Machine* machine) noexcept {
  Processor* processor = machine->processor;
  const uint64_t own_deadline = processor->timers.next_deadline_ns();
  const bool was_searching = machine->searching;
  {
    LockGuard guard(lock_);
    if (stopping_.load_relaxed()) return false;  // the stop signals once
    machine->signal.store_relaxed(0);
    machine->searching = false;  // before somebody can claim the processor and say otherwise
    push_idle_locked(processor);
    if (was_searching) searching_.fetch_sub_seq_cst(1);
  }
  const bool others_awake = idle_count_.load_seq_cst() < live_processors_.load_relaxed();
  if (others_awake) {
    fence_heavy();
  } else {
    fence_seq_cst();
  }
  if (work_visible(processor)) {
    LockGuard guard(lock_);
    // Another machine may have claimed the processor, and may have gone to sleep with it since.
    if (machine->processor == processor && remove_idle_locked(processor)) {
      if (was_searching) {
        machine->searching = true;
        searching_.fetch_add_seq_cst(1);
      }
      return true;
    }
  } else if (!others_awake) {
    check_deadlock();
  }
  processor->counters.idle_sleeps.increment_single_writer();
  uint64_t deadline = own_deadline;
  if (!machine->settled) {
    const uint64_t settle_at = os::now_ns() + kSettleNs;
    if (settle_at < deadline) deadline = settle_at;
  }
  wait_for_signal(machine, deadline, true);
  if (machine->processor == nullptr || stopping_.load_relaxed()) return false;
  if (!machine->settled && deadline != own_deadline && os::now_ns() >= deadline) settle(machine);
  return true;
}

// For a sleeper that was not signalled. It goes on with its processor back, or because of the stop.
Scheduler::Sleep Scheduler::look_from_sleep(Machine* machine, bool has_events,
                                            uint64_t* deadline_ns) noexcept {
  LockGuard guard(lock_);
  if (stopping_.load_relaxed()) return Sleep::kOver;
  if (machine->processor == nullptr) {
    *deadline_ns = os::kNever;  // somebody took the processor while this machine slept
    return Sleep::kWithoutProcessor;
  }
  // Otherwise it was claimed for this machine: the signal is on its way.
  if (machine->processor->status.load_relaxed() != ProcessorStatus::kIdle) return Sleep::kOn;
  if (!has_events && os::now_ns() < *deadline_ns) return Sleep::kOn;
  remove_idle_locked(machine->processor);
  return Sleep::kOver;
}

// Returns when the machine has a processor that is out of the idle list, or at the stop.
void Scheduler::wait_for_signal(Machine* machine, uint64_t deadline_ns, bool may_poll) noexcept {
  bool in_poller =
      may_poll && !poller_taken_.load_relaxed() && !poller_taken_.exchange_acq_rel(true);
  if (in_poller) machine->sleeps_in_poller.store_seq_cst(true);
  for (;;) {
    if (machine->signal.exchange_seq_cst(0) != 0) break;
    os::PollEvent events[kEventsAtOnce];
    uint32_t count = 0;
    if (in_poller) {
      count = poller_.wait(deadline_ns, events, kEventsAtOnce);
    } else {
      os::futex_wait(machine->signal, 0, deadline_ns);
    }
    Sleep sleep = Sleep::kOver;
    if (machine->signal.exchange_acquire(0) == 0) {
      sleep = look_from_sleep(machine, count != 0, &deadline_ns);
    }
    // Until it is over others may write `processor`.
    const bool has_processor = sleep == Sleep::kOver && machine->processor != nullptr;
    if (count != 0) deliver(has_processor ? machine : nullptr, events, count);
    if (sleep == Sleep::kOver) break;
    // Whoever has its processor now looks for events itself, without a thread to wake for each.
    if (in_poller && count != 0 && sleep == Sleep::kWithoutProcessor) {
      leave_poller(machine, &in_poller);
    }
  }
  if (in_poller) leave_poller(machine, &in_poller);
}

// The store orders against the load in wake_thread, as in wait_for_signal.
void Scheduler::leave_poller(Machine* machine, bool* in_poller) noexcept {
  *in_poller = false;
  machine->sleeps_in_poller.store_seq_cst(false);
  poller_taken_.store_release(false);
}

// Wakes a machine whose signal was set under the lock. Afterwards, since it may wake up at once and
// would run into the lock. The store of the signal and the load here order against the store of
// sleeps_in_poller and the exchange in wait_for_signal (all seq_cst): one side sees the other.
void Scheduler::wake_thread(Machine* machine) noexcept {
  if (machine == nullptr) return;
  if (machine->sleeps_in_poller.load_seq_cst()) {
    poller_.wake();
  } else {
    os::futex_wake(machine->signal, 1);
  }
}

// The processor has been idle for a while, and is held again by this machine: its stocks go back.
void Scheduler::settle(Machine* machine) noexcept {
  machine->settled = true;
  empty_stocks(machine->processor);
  fiber_pool().trim();
  FrameStore::trim();
  trim_stack_pools(0);
}

void Scheduler::check_deadlock() noexcept {
  if (deadlock_handler_ == nullptr || outside_wakers_.load_acquire() != 0 ||
      watched_.load_relaxed() != 0 || blocking_pool_.pending() != 0) {
    return;
  }
  {
    LockGuard guard(lock_);
    if (idle_count_.load_relaxed() < live_processors_.load_relaxed()) return;
    uint64_t alive = foreign_spawned_.load_relaxed();
    const uint32_t known = created_processors_.load_acquire();
    for (uint32_t i = 0; i < known; ++i) {
      Processor* processor = processor_at(i);
      // All are idle and the lock is held, so nobody owns these queues.
      if (processor->timers.size() != 0 || processor->timers.has_inbox()) return;
      alive +=
          processor->counters.spawned.load_relaxed() - processor->counters.exited.load_relaxed();
    }
    if (alive == 0 || !global_.empty()) return;
    const uint32_t machines = machine_count_.load_acquire();
    for (uint32_t i = 0; i < machines; ++i) {
      Machine* machine = machines_[i].load_acquire();
      if (machine->blocking.load_relaxed() != 0 || machine->is_hog.load_relaxed()) return;
    }
  }
  deadlock_handler_(*this);
}

}  // namespace heddle
