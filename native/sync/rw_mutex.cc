#include "sync/rw_mutex.h"

namespace heddle {

namespace {
bool writes_of(const Cell& cell) noexcept { return cell.bytes[0] != 0; }
}  // namespace

Cell RwMutexCore::cell_for(bool writes) noexcept {
  Cell cell{};
  cell.bytes[0] = writes ? 1 : 0;
  return cell;
}

WaitStatus RwMutexCore::lock_read(uint64_t deadline_ns) {
  Cell cell = cell_for(false);
  return wait_on(this, 0, &cell, WaitReason::kMutex, deadline_ns);
}

WaitStatus RwMutexCore::lock_write(uint64_t deadline_ns) {
  Cell cell = cell_for(true);
  return wait_on(this, 0, &cell, WaitReason::kMutex, deadline_ns);
}

bool RwMutexCore::may_enter(bool writes) const noexcept {
  return !writer_ && (!writes || readers_ == 0);
}

void RwMutexCore::enter(bool writes) noexcept {
  if (writes) {
    writer_ = true;
  } else {
    ++readers_;
  }
}

bool RwMutexCore::is_ready_locked(uint32_t, const Cell& cell) const noexcept {
  return !has_waiters(0) && may_enter(writes_of(cell));
}

Readiness RwMutexCore::try_locked(uint32_t, Cell* cell, Served*) noexcept {
  if (!is_ready_locked(0, *cell)) return Readiness::kNotReady;
  enter(writes_of(*cell));
  return Readiness::kDone;
}

bool RwMutexCore::try_now(bool writes) noexcept {
  Cell cell = cell_for(writes);
  lock();
  const bool got = try_locked(0, &cell, nullptr) == Readiness::kDone;
  unlock();
  return got;
}

// Those behind may have waited for this one only.
bool RwMutexCore::take_back_locked(WaitNode* node, Served* served) noexcept {
  unlink(node);
  serve_ready(served);
  return false;
}

void RwMutexCore::serve_ready(Served* served) noexcept {
  while (WaitNode* node = first(0)) {
    const bool writes = writes_of(node->cell);
    if (!may_enter(writes)) return;
    if (!claim(node)) continue;
    enter(writes);
    serve(node, WaitOutcome::kDone, served);
  }
}

bool RwMutexCore::unlock_read() noexcept {
  Caller caller;
  Served served(caller.machine());
  lock();
  const bool was_held = readers_ != 0;
  if (was_held && --readers_ == 0) serve_ready(&served);
  unlock();
  return was_held;
}

bool RwMutexCore::unlock_write() noexcept {
  Caller caller;
  Served served(caller.machine());
  lock();
  const bool was_held = writer_;
  writer_ = false;
  if (was_held) serve_ready(&served);
  unlock();
  return was_held;
}

}  // namespace heddle
