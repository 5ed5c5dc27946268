#include "addon/promise_wait.h"

#include <cstdlib>

#include "addon/environment.h"
#include "kernels/value.h"
#include "os/os.h"
#include "sync/channel.h"
#include "sync/context.h"

namespace heddle {

namespace {

void retire_wait(void* block) noexcept { retire_epoch(static_cast<PromiseWait*>(block)->epoch()); }

void resume_promise(Waiter* waiter) {
  auto* self = static_cast<PromiseWait*>(waiter);
  if (self->kind_of_wait == WaitKind::kThread) {
    self->signal.store_release(1);
    os::futex_wake(self->signal, 1);
  } else if (!Environment::deliver_here(self)) {
    self->mailbox->post(self);
  }
}

void tell_isolate(Wait* wait) noexcept {
  static_cast<PromiseWait*>(wait->waiter)->mailbox->ask(Want::kReconsider);
}

void drop(Cell* cell) noexcept {
  Value value;
  value.move_from(*cell);
}

// Only channels have senders, and what they send is a Value.
bool sends(const WaitNode& node) noexcept { return node.queue == ChannelCore::kSenders; }

}  // namespace

SlabPool& wait_pool() noexcept {
  static auto* pool = new SlabPool(sizeof(PromiseWait), sizeof(Waiter), retire_wait);
  return *pool;
}

PromiseWait* PromiseWait::make(Environment* environment, uint32_t slot, uint32_t count) noexcept {
  void* const memory = environment->wait_stock()->take(wait_pool());
  if (memory == nullptr) return nullptr;
  auto* self = static_cast<PromiseWait*>(memory);
  const uint64_t old_epoch = self->epoch();
  const uint64_t epoch = old_epoch != 0 ? old_epoch : fresh_epoch();
  self->word.store_relaxed(Waiter::make_word(WaiterState::kRunning, epoch));
  self->resume = resume_promise;
  new (static_cast<Mail*>(self)) Mail(MailKind::kWait);
  self->environment = environment;
  self->mailbox = environment->mailbox();
  self->slot = slot;
  self->holds_loop = false;
  self->signal.store_relaxed(0);
  self->selected = Selected{};
  void* block = self->block;
  if (count > kInlineNodes) block = std::malloc(Wait::bytes_for(count));
  if (block == nullptr) {
    self->wait = reinterpret_cast<Wait*>(self->block);
    self->wait->init(0);
    self->free(environment->wait_stock());
    return nullptr;
  }
  self->wait = static_cast<Wait*>(block);
  self->wait->init(count);
  return self;
}

bool PromiseWait::start(WaitKind how, const SelectCase* cases, uint32_t count) noexcept {
  kind_of_wait = how;
  describe_cases(cases, count, wait);
  for (uint32_t i = 0; i < wait->count; ++i) {
    // As link_all counts: one handle for each waitable.
    WaitNode& node = wait->nodes()[i];
    node.is_holder = true;
    for (uint32_t k = 0; k < i; ++k) {
      if (wait->nodes()[k].waitable == node.waitable) node.is_holder = false;
    }
    if (node.is_holder) node.waitable->retain();
  }
  wait->waiter = this;
  wait->on_lonely = tell_isolate;
  wait->epoch = epoch() + 1;
  begin_wait();
  if (link_all(wait, nullptr)) {
    unlock_all(wait);
    return true;
  }
  claim(wait->epoch);
  return false;
}

bool may_end_from_outside(const Waitable& target) noexcept {
  const auto* context = dynamic_cast<const ContextCore*>(&target);
  if (context == nullptr) return target.active_handles() > 1;
  return context->outside_handles() > 1 || context->may_end_by_itself();
}

bool PromiseWait::may_end_from_outside() noexcept {
  bool may_end = wait->deadline_ns != os::kNever;
  for (uint32_t i = 0; i < wait->count && !may_end; ++i) {
    Waitable* const waitable = wait->nodes()[i].waitable;
    waitable->lock(0);
    may_end = heddle::may_end_from_outside(*waitable);
    waitable->unlock();
  }
  return may_end;
}

Selected PromiseWait::finish(Cell* cell) noexcept {
  if (wait->winner == nullptr || wait->count > 1) unlink_rest(wait, nullptr);
  const WaitNode* const winner = wait->winner;
  if (winner == nullptr) return selected;
  *cell = winner->cell;
  selected = Selected{winner->index, status_of(winner->outcome)};
  return selected;
}

void PromiseWait::free(Magazine* stock) noexcept {
  for (uint32_t i = 0; i < wait->count; ++i) {
    WaitNode& node = wait->nodes()[i];
    const bool sent = &node == wait->winner && node.outcome == WaitOutcome::kDone;
    if (sends(node) && !sent) drop(&node.cell);
  }
  for (uint32_t i = 0; i < wait->count; ++i) {
    if (wait->nodes()[i].is_holder) wait->nodes()[i].waitable->release();
  }
  if (static_cast<void*>(wait) != static_cast<void*>(block)) std::free(wait);
  word.store_release(Waiter::make_word(WaiterState::kFree, epoch()));
  if (stock != nullptr) {
    stock->give(wait_pool(), this);
  } else {
    void* memory = this;
    wait_pool().give(&memory, 1);
  }
}

void PromiseWait::destroy() noexcept {
  Cell cell;
  const Selected end = finish(&cell);
  const bool received = end.status == WaitStatus::kDone && !sends(*wait->winner);
  if (received && wait->winner->waitable->passes_values()) drop(&cell);
  free(nullptr);
}

bool PromiseWait::sleep_until(uint64_t deadline_ns) noexcept {
  while (signal.load_acquire() == 0) {
    if (os::now_ns() >= deadline_ns) return false;
    os::futex_wait(signal, 0, deadline_ns);
  }
  return true;
}

}  // namespace heddle
