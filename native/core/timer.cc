#include "core/timer.h"

#include "core/scheduler.h"

namespace heddle {

// Type-stable: a heap entry may outlive the timer and looks at `word` to see that it is dead.
struct TimerNode : Waiter {
  void* link;  // of the pool while free; the first member behind Waiter
  Scheduler* scheduler;
  TimerQueue* queue;  // that holds the entry; nullptr for one that was posted from outside
  TimerCallback callback;
  void* argument;
};

namespace {

void retire_node(void* block) noexcept { retire_epoch(static_cast<TimerNode*>(block)->epoch()); }

TimerNode* take_node(Machine* machine) noexcept {
  if (machine != nullptr) {
    return static_cast<TimerNode*>(machine->processor->timer_nodes.take(timer_pool()));
  }
  void* block = nullptr;
  return timer_pool().take(&block, 1) == 1 ? static_cast<TimerNode*>(block) : nullptr;
}

// The caller has claimed the node.
void give_node(Machine* machine, TimerNode* node) noexcept {
  node->word.store_release(Waiter::make_word(WaiterState::kFree, node->epoch()));
  if (machine != nullptr) {
    machine->processor->timer_nodes.give(timer_pool(), node);
  } else {
    void* block = node;
    timer_pool().give(&block, 1);
  }
}

void fire(Waiter* waiter) {
  auto* node = static_cast<TimerNode*>(waiter);
  const TimerCallback callback = node->callback;
  void* const argument = node->argument;
  RuntimeScope scope;
  give_node(scope.machine(), node);
  callback(argument);
}

}  // namespace

SlabPool& timer_pool() noexcept {
  static auto* pool = new SlabPool(sizeof(TimerNode), sizeof(Waiter), retire_node);
  return *pool;
}

TimerHandle start_timer(Scheduler& scheduler, uint64_t deadline_ns, TimerCallback callback,
                        void* argument) noexcept {
  RuntimeScope scope;
  Machine* machine = scope.machine();
  TimerNode* node = take_node(machine);
  if (node == nullptr) return TimerHandle{};
  const uint64_t old_epoch = node->epoch();
  const uint64_t epoch = (old_epoch != 0 ? old_epoch : fresh_epoch()) + 1;
  node->resume = fire;
  node->scheduler = &scheduler;
  node->queue = machine != nullptr ? &machine->processor->timers : nullptr;
  node->callback = callback;
  node->argument = argument;
  node->word.store_release(Waiter::make_word(WaiterState::kWaiting, epoch));
  scheduler.arm_timer(deadline_ns, node, epoch);
  return TimerHandle{node, epoch};
}

bool stop_timer(Scheduler& scheduler, TimerHandle timer) noexcept {
  if (timer.node == nullptr) return false;
  RuntimeScope scope;
  TimerQueue* queue = timer.node->queue;
  if (!timer.node->claim(timer.epoch)) return false;
  Machine* machine = scope.machine();
  give_node(machine, timer.node);
  if (machine != nullptr && queue == &machine->processor->timers) {
    queue->note_dead();
  } else {
    if (queue == nullptr) queue = &scheduler.processor_at(0)->timers;
    queue->note_dead_remotely();
  }
  return true;
}

}  // namespace heddle
