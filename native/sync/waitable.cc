#include "sync/waitable.h"

#include "core/scheduler.h"

namespace heddle {

void Served::resume_slowly() noexcept {
  Scheduler& scheduler = machine_ != nullptr ? *machine_->scheduler : Scheduler::running();
  WaitNode* node = first_;
  first_ = nullptr;
  end_ = &first_;
  // The only one runs next; several keep their order in the run queue.
  const bool run_next = node->next == nullptr;
  while (node != nullptr) {
    // The node is its owner's as soon as that goes on.
    WaitNode* const next = node->next;
    Waiter* const waiter = node->wait->waiter;
    if (waiter->resume != nullptr) {
      waiter->resume(waiter);
    } else {
      scheduler.make_runnable_on(machine_, static_cast<Fiber*>(waiter), run_next);
    }
    node = next;
  }
}

void Waitable::lock() noexcept {
  const Machine* machine = Machine::current();
  lock_.lock(machine != nullptr ? machine->index + 1 : 0);
}

bool Waitable::claim(WaitNode* node) noexcept {
  unlink(node);
  Wait* const wait = node->wait;
  if (!wait->waiter->claim(wait->epoch)) return false;
  wait->winner = node;
  return true;
}

WaitNode* Waitable::claim_first_of_some(uint32_t queue) noexcept {
  while (WaitNode* node = queues_[queue].front()) {
    if (claim(node)) return node;
  }
  return nullptr;
}

void Waitable::serve_all(uint32_t queue, WaitOutcome outcome, Served* served) noexcept {
  while (WaitNode* node = claim_first(queue)) serve(node, outcome, served);
}

void Waitable::abandon_all(Served* served) noexcept {
  serve_all(0, WaitOutcome::kAbandoned, served);
  serve_all(1, WaitOutcome::kAbandoned, served);
}

uint32_t Waitable::live_waits() const noexcept {
  uint32_t live = 0;
  for (const WaitQueue& queue : queues_) {
    for (const WaitNode* node = queue.front(); node != nullptr; node = node->next) {
      const Wait* const wait = node->wait;
      // Without a waiter: the caller's own, which is about to begin.
      const bool is_over =
          wait->waiter != nullptr && wait->waiter->word.load_relaxed() !=
                                         Waiter::make_word(WaiterState::kWaiting, wait->epoch);
      if (node->is_holder && !is_over) ++live;
    }
  }
  return live;
}

void Waitable::tell_lonely() noexcept {
  for (const WaitQueue& queue : queues_) {
    for (WaitNode* node = queue.front(); node != nullptr; node = node->next) {
      if (node->wait->on_lonely != nullptr) node->wait->on_lonely(node->wait);
    }
  }
}

bool Waitable::try_retain() noexcept {
  uint32_t handles = handles_.load_relaxed();
  while (handles != 0) {
    if (handles_.compare_exchange_acq_rel(handles, handles + 1)) return true;
  }
  return false;
}

bool Waitable::drop_handle() noexcept {
  const RuntimeScope scope;
  Served served(scope.machine());
  lock();
  const bool was_last = handles_.fetch_sub_acq_rel(1) == 1;
  if (!was_last && is_abandoned()) {
    abandon_all(&served);
  } else if (!was_last && waits_ != 0 && active_handles() <= 1) {
    tell_lonely();
  }
  unlock();
  return was_last;
}

void Waitable::release() noexcept {
  // Everybody else has left the lock, and nobody can come back.
  if (drop_handle()) delete this;
}

}  // namespace heddle
