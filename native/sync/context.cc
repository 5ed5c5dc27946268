#include "sync/context.h"

#include <new>

#include "core/scheduler.h"

namespace heddle {

ContextCore::ContextCore(Ref<ContextCore> parent) noexcept
    : Waitable(false), parent_(std::move(parent)) {
  if (!parent_) return;
  deadline_ns_ = parent_->deadline_ns_;
  parent_->living_children_.fetch_add_relaxed(1);
}

ContextCore::~ContextCore() {
  unlink_from_parent();
  // A loop, since a long chain of parents that end with this one would not fit on every stack.
  ContextCore* above = parent_.detach();
  while (above != nullptr) {
    above->living_children_.fetch_sub_acq_rel(1);
    if (!above->drop_handle()) break;
    above->unlink_from_parent();
    ContextCore* const next = above->parent_.detach();
    delete above;
    above = next;
  }
}

Ref<ContextCore> ContextCore::background() noexcept {
  return Ref<ContextCore>(new (std::nothrow) ContextCore(Ref<ContextCore>()));
}

Ref<ContextCore> ContextCore::make_child() noexcept {
  retain();
  Ref<ContextCore> self(this);
  return Ref<ContextCore>(new (std::nothrow) ContextCore(std::move(self)));
}

Ref<ContextCore> ContextCore::with_cancel() noexcept {
  Ref<ContextCore> child = make_child();
  if (child) child->link_to_parent();
  return child;
}

Ref<ContextCore> ContextCore::with_value(const void* key, std::shared_ptr<void> value) noexcept {
  Ref<ContextCore> child = make_child();
  if (!child) return child;
  child->key_ = key;
  child->value_ = std::move(value);
  child->link_to_parent();
  return child;
}

Ref<ContextCore> ContextCore::with_deadline(uint64_t deadline_ns) noexcept {
  Ref<ContextCore> child = make_child();
  if (!child) return child;
  if (deadline_ns < deadline_ns_) {
    child->deadline_ns_ = deadline_ns;
    if (deadline_ns <= os::now_ns()) {
      child->finish(ContextError::kDeadline, nullptr);
      return child;
    }
    child->retain();  // the timer's
    child->timer_ = start_timer(Scheduler::running(), deadline_ns, on_deadline, child.get());
    if (child->timer_.node == nullptr) {
      child->release();
      return Ref<ContextCore>();
    }
  }
  child->link_to_parent();
  return child;
}

void ContextCore::on_deadline(void* context) noexcept {
  const Ref<ContextCore> self(static_cast<ContextCore*>(context));
  self->timer_fired_.store_release(true);
  self->finish(ContextError::kDeadline, nullptr);
}

std::shared_ptr<void> ContextCore::value(const void* key) const noexcept {
  for (const ContextCore* each = this; each != nullptr; each = each->parent_.get()) {
    if (each->key_ == key) return each->value_;
  }
  return nullptr;
}

void ContextCore::link_to_parent() noexcept {
  ContextCore* const parent = parent_.get();
  parent->lock();
  const bool is_late = parent->is_done();
  if (!is_late) {
    next_ = parent->children_;
    if (next_ != nullptr) next_->prev_ = this;
    parent->children_ = this;
    is_child_ = true;
  }
  parent->unlock();
  if (is_late) finish(parent->error(), parent->reason());
  // Its deadline may have passed meanwhile.
  if (is_done()) unlink_from_parent();
}

void ContextCore::unlink_from_parent() noexcept {
  ContextCore* const parent = parent_.get();
  if (parent == nullptr) return;
  parent->lock();
  if (is_child_) {
    is_child_ = false;
    (prev_ != nullptr ? prev_->next_ : parent->children_) = next_;
    if (next_ != nullptr) next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }
  parent->unlock();
}

// Appends its children, each with a handle, to the list of those that are next.
bool ContextCore::finish_one(ContextError error, const ContextReason& reason, const Caller& caller,
                             ContextCore** done) noexcept {
  Served served(caller.machine());
  lock();
  if (is_done()) {
    unlock();
    return false;
  }
  reason_ = reason;
  error_.store_release(error);
  while (ContextCore* child = children_) {
    children_ = child->next_;
    child->is_child_ = false;
    child->prev_ = nullptr;
    // One that is about to be deleted waits for this lock.
    if (child->try_retain()) {
      child->next_ = *done;
      *done = child;
    }
  }
  serve_all(0, WaitOutcome::kDone, &served);
  unlock();
  served.resume_all();
  unlink_from_parent();
  // One that has fired may do so before its handle is stored.
  if (!timer_fired_.load_acquire() && stop_timer(Scheduler::running(), timer_)) release();
  return true;
}

bool ContextCore::finish(ContextError error, const ContextReason& reason) noexcept {
  Caller caller;
  ContextCore* next = nullptr;
  const bool first = finish_one(error, reason, caller, &next);
  while (next != nullptr) {
    const Ref<ContextCore> child(next);
    next = child->next_;
    child->next_ = nullptr;
    child->finish_one(error, reason, caller, &next);
  }
  return first;
}

bool ContextCore::may_end_by_itself() const noexcept {
  if (deadline_ns_ != UINT64_MAX) return true;
  for (const ContextCore* each = parent_.get(); each != nullptr; each = each->parent_.get()) {
    if (each->outside_handles() > 1) return true;  // one is of whoever asks
  }
  return false;
}

uint32_t ContextCore::child_count() noexcept {
  uint32_t count = 0;
  lock();
  for (const ContextCore* each = children_; each != nullptr; each = each->next_) ++count;
  unlock();
  return count;
}

}  // namespace heddle
