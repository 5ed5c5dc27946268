#include "sync/once.h"

namespace heddle {

WaitStatus OnceCore::begin(bool* is_first_run, uint64_t deadline_ns) {
  *is_first_run = false;
  if (has_run()) return WaitStatus::kDone;
  Cell cell{};
  const WaitStatus status = wait_on(this, 0, &cell, WaitReason::kOnce, deadline_ns);
  *is_first_run = status == WaitStatus::kDone && is_first(cell);
  return status;
}

Readiness OnceCore::try_locked(uint32_t, Cell* cell, Served*) noexcept {
  const State state = state_.load_relaxed();
  if (state == State::kRunning) return Readiness::kNotReady;
  cell->bytes[0] = state == State::kNew ? 1 : 0;
  if (state == State::kNew) state_.store_relaxed(State::kRunning);
  return Readiness::kDone;
}

void OnceCore::finish() noexcept {
  Caller caller;
  Served served(caller.machine());
  lock();
  state_.store_release(State::kDone);
  serve_all(0, WaitOutcome::kDone, &served);
  unlock();
}

}  // namespace heddle
