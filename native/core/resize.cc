// Changing the number of processors while everything runs.
//
// Nothing is stopped. A processor beyond the new count retires at its next turn: its machine moves
// what it holds to where others find it. An idle one is emptied by the caller; one held by a hog,
// when the hog lets go or the monitor takes it.
#include "core/check.h"
#include "core/scheduler.h"
#include "core/timer.h"

namespace heddle {

void Scheduler::set_processors(uint32_t count) noexcept {
  HEDDLE_CHECK(count >= 1 && count <= kMaxProcessors, "the processor count is within its range");
  Processor* emptied[kMaxProcessors];
  uint32_t emptied_count = 0;
  {
    LockGuard guard(lock_);
    processor_count_.store_release(count);
    for (uint32_t i = 0; i < count; ++i) {
      Processor* processor = processor_at(i);
      if (processor == nullptr) {
        processor = new Processor(i);
        processors_[i].store_release(processor);
        created_processors_.store_release(i + 1);
      }
      processor->must_retire.store_relaxed(false);
      processor->attention.store_relaxed(false);
      if (processor->status.load_relaxed() == ProcessorStatus::kRetired) {
        live_processors_.fetch_add_acq_rel(1);
        push_idle_locked(processor);
      }
    }
    const uint32_t known = created_processors_.load_relaxed();
    for (uint32_t i = count; i < known; ++i) {
      Processor* processor = processor_at(i);
      if (processor->status.load_relaxed() == ProcessorStatus::kRetired) continue;
      processor->must_retire.store_release(true);
      processor->attention.store_release(true);
      if (!remove_idle_locked(processor)) continue;
      if (Machine* sleeper = processor->machine.load_relaxed()) {
        sleeper->hold(nullptr);
        make_spare_locked(sleeper);
      }
      emptied[emptied_count++] = processor;
    }
  }
  for (uint32_t i = 0; i < emptied_count; ++i) retire_processor(emptied[i]);
  wake_if_needed();
}

// The caller holds the processor alone.
void Scheduler::retire_processor(Processor* processor) noexcept {
  empty_processor(processor);
  {
    LockGuard guard(lock_);
    processor->machine.store_release(nullptr);
    if (processor->index < processor_count_.load_relaxed()) {
      push_idle_locked(processor);  // wanted again meanwhile
    } else {
      processor->status.store_relaxed(ProcessorStatus::kRetired);
      live_processors_.fetch_sub_acq_rel(1);
    }
  }
  fence_seq_cst();
  wake_if_needed();
  wake_processor(processor_at(0));  // it has inherited timers
}

void Scheduler::empty_processor(Processor* processor) noexcept {
  const auto give = [this](Runnable* item) { global_.push(&item, 1); };
  if (processor->handed != nullptr) give(processor->handed);
  processor->handed = nullptr;
  if (Runnable* next = processor->run_next.take()) give(next);
  while (Runnable* item = processor->queue.pop()) give(item);
  for (RunStack*& place : processor->run_stacks) {
    RunStack* run_stack = place;
    place = nullptr;
    if (run_stack != nullptr && run_stack->detach()) give(run_stack);
  }
  if (processor->index != 0) processor->timers.move_to(processor_at(0)->timers);
  empty_stocks(processor);
}

void Scheduler::empty_stocks(Processor* processor) noexcept {
  processor->fibers.flush(fiber_pool());
  processor->timer_nodes.flush(timer_pool());
  processor->frames.flush();
  while (Stack* carrier = processor->carriers) {
    processor->carriers = carrier->next;
    --processor->carrier_count;
    default_stack_pool().give(carrier);
  }
}

// Makes a sleeping processor look at its timers.
void Scheduler::wake_processor(Processor* processor) noexcept {
  Machine* machine = nullptr;
  {
    LockGuard guard(lock_);
    if (!stopping_.load_relaxed() && remove_idle_locked(processor)) {
      machine = start_machine_locked(processor);
    }
  }
  wake_thread(machine);
}

}  // namespace heddle
