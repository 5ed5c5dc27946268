#include "core/netpoll.h"

#include <cerrno>
#include <new>

#include "core/check.h"
#include "core/lock.h"
#include "core/park.h"
#include "core/scheduler.h"

namespace heddle {

namespace {

using Side = PollDescriptor::Side;

constexpr uint32_t kChunk = 256;
constexpr uint32_t kChunks = 1u << 14;  // four million descriptors; the kernel's limit comes first

// Chunks are never given back: an event may come late.
struct Table {
  Lock lock{LockRank::kLeaf};
  Atomic<PollDescriptor*> chunks[kChunks];
  uint32_t made = 0;
  PollDescriptor* free = nullptr;
};
Table& table() noexcept {
  static auto* const the_table = new Table;
  return *the_table;
}

PollDescriptor* take_descriptor() noexcept {
  Table& all = table();
  LockGuard guard(all.lock);
  if (all.free == nullptr) {
    if (all.made == kChunks) return nullptr;
    auto* const chunk = new (std::nothrow) PollDescriptor[kChunk];
    if (chunk == nullptr) return nullptr;
    for (uint32_t i = kChunk; i-- != 0;) {
      chunk[i].index = all.made * kChunk + i;
      chunk[i].next_free = all.free;
      all.free = &chunk[i];
    }
    all.chunks[all.made++].store_release(chunk);
  }
  PollDescriptor* const taken = all.free;
  all.free = taken->next_free;
  return taken;
}

void give_descriptor(PollDescriptor* descriptor) noexcept {
  Table& all = table();
  LockGuard guard(all.lock);
  descriptor->next_free = all.free;
  all.free = descriptor;
}

uint64_t token_of(const PollDescriptor* descriptor) noexcept {
  return uint64_t{descriptor->sequence.load_relaxed()} << 32 | descriptor->index;
}

PollDescriptor* find(uint64_t token) noexcept {
  const auto index = static_cast<uint32_t>(token);
  PollDescriptor* const chunk = table().chunks[index / kChunk].load_acquire();
  PollDescriptor* const found = &chunk[index % kChunk];
  return found->sequence.load_acquire() == token >> 32 ? found : nullptr;
}

// While somebody else takes a side, which is a matter of instructions, unless it loses its core.
void pause_turn(uint32_t turn) noexcept {
  if (turn < 64) {
    spin_hint();
  } else {
    os::yield_thread();
  }
}

// Makes the side `next`, unless it is closed. The fiber that waited, claimed; or nullptr.
Fiber* settle_side(Side& side, uint32_t next) noexcept {
  uint32_t state = side.state.load_acquire();
  for (uint32_t turn = 0;; ++turn) {
    if (state == PollDescriptor::kClosed || state == next) return nullptr;
    if (state == PollDescriptor::kTaking) {
      // Whoever takes it leaves an edge, which is all that another edge would.
      if (next == PollDescriptor::kReady) return nullptr;
      pause_turn(turn);
      state = side.state.load_acquire();
    } else if (state != PollDescriptor::kWaiting) {
      if (side.state.compare_exchange_acq_rel(state, next)) return nullptr;
    } else if (side.state.compare_exchange_acq_rel(state, PollDescriptor::kTaking)) {
      Fiber* const fiber = side.fiber;
      const uint64_t epoch = side.epoch;
      // Pairs with the load in end_of_wait: from here on the next wait may write them.
      side.state.store_release(next);
      return fiber->claim(epoch) ? fiber : nullptr;
    }
  }
}

bool commit_wait(Fiber* fiber, void* argument) noexcept {
  auto& side = *static_cast<Side*>(argument);
  side.fiber = fiber;
  side.epoch = fiber->epoch();
  side.timers = nullptr;
  if (side.deadline_ns != os::kNever) {
    Processor* const processor = Machine::current()->processor;
    side.timers = &processor->timers;
    processor->arm_timer(TimerEntry{side.deadline_ns, fiber, side.epoch});
  }
  uint32_t idle = PollDescriptor::kIdle;
  return side.state.compare_exchange_acq_rel(idle, PollDescriptor::kWaiting);
}

// By the fiber, after its wait. kTimedOut also if it was cancelled.
PollStatus end_of_wait(Side& side) noexcept {
  for (uint32_t turn = 0;; ++turn) {
    uint32_t state = side.state.load_acquire();
    switch (state) {
      case PollDescriptor::kClosed:
        return PollStatus::kClosed;
      case PollDescriptor::kReady:
        if (side.state.compare_exchange_acq_rel(state, PollDescriptor::kIdle)) {
          return PollStatus::kReady;
        }
        break;
      case PollDescriptor::kWaiting:
        if (side.state.compare_exchange_acq_rel(state, PollDescriptor::kIdle)) {
          return PollStatus::kTimedOut;
        }
        break;
      default:  // a poller takes it, in vain
        pause_turn(turn);
        break;
    }
  }
}

void note_dead_timer(Machine* machine, const Side& side, PollStatus status) noexcept {
  if (side.timers == nullptr || status == PollStatus::kTimedOut) return;
  if (side.timers == &machine->processor->timers) {
    side.timers->note_dead();
  } else {
    side.timers->note_dead_remotely();
  }
}

}  // namespace

int watch(int file, PollDescriptor** descriptor) noexcept {
  PollDescriptor* const taken = take_descriptor();
  if (taken == nullptr) return ENOMEM;
  for (Side& side : taken->sides) side.state.store_relaxed(PollDescriptor::kIdle);
  taken->is_hung_up.store_relaxed(false);
  Scheduler& scheduler = Scheduler::running();
  scheduler.note_watched(1);
  const int error = scheduler.poller().add(file, token_of(taken));
  if (error != 0) {
    scheduler.note_watched(-1);
    give_descriptor(taken);
    return error;
  }
  *descriptor = taken;
  return 0;
}

void unwatch(int file, PollDescriptor* descriptor) noexcept {
  Scheduler& scheduler = Scheduler::running();
  scheduler.poller().remove(file);
  descriptor->sequence.store_release(descriptor->sequence.load_relaxed() + 1);
  scheduler.note_watched(-1);
  give_descriptor(descriptor);
}

void forget_edge(PollDescriptor* descriptor, Direction direction) noexcept {
  uint32_t ready = PollDescriptor::kReady;
  Side& side = descriptor->side(direction);
  if (side.state.load_relaxed() != ready) return;
  side.state.compare_exchange_acq_rel(ready, PollDescriptor::kIdle);
}

PollStatus wait_ready(PollDescriptor* descriptor, Direction direction, uint64_t deadline_ns) {
  if (may_be_interrupted(Machine::current())) checkpoint();
  Side& side = descriptor->side(direction);
  RuntimeScope scope;
  HEDDLE_CHECK(scope.machine() != nullptr, "a fiber waits for a descriptor");
  Fiber* const self = scope.machine()->fiber;
  side.deadline_ns = deadline_ns;
  park_inside(scope.machine(),
              direction == Direction::kRead ? WaitReason::kRead : WaitReason::kWrite, commit_wait,
              &side);
  Machine* const machine = Machine::current();
  scope.continue_on(machine);
  const PollStatus status = end_of_wait(side);
  note_dead_timer(machine, side, status);
  if (self->cancel_requested.load_relaxed() != 0) throw Cancelled{};
  return status;
}

void evict(PollDescriptor* descriptor) noexcept {
  for (Side& side : descriptor->sides) {
    Fiber* const fiber = settle_side(side, PollDescriptor::kClosed);
    if (fiber != nullptr) Scheduler::running().make_runnable(fiber, false);
  }
}

uint32_t take_woken(const os::PollEvent& event, Fiber* woken[2]) noexcept {
  PollDescriptor* const descriptor = find(event.token);
  if (descriptor == nullptr) return 0;
  if (event.is_hung_up) descriptor->is_hung_up.store_release(true);
  uint32_t count = 0;
  const bool happened[] = {event.is_readable, event.is_writable};
  for (size_t i = 0; i < 2; ++i) {
    if (!happened[i]) continue;
    Fiber* const fiber = settle_side(descriptor->sides[i], PollDescriptor::kReady);
    if (fiber != nullptr) woken[count++] = fiber;
  }
  return count;
}

}  // namespace heddle
