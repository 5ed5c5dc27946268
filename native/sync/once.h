// Runs something once; others wait until it has run. A run that fails counts as one.
#pragma once

#include "sync/wait.h"

namespace heddle {

class OnceCore final : public Waitable {
 public:
  explicit OnceCore(bool is_tracked = false) noexcept : Waitable(is_tracked) {}

  // kDone with *is_first true: the caller runs it now, and calls finish() whatever comes of it.
  // With false: it has been run. Throws Cancelled while it waits.
  WaitStatus begin(bool* is_first, uint64_t deadline_ns = UINT64_MAX);
  void finish() noexcept;
  bool has_run() const noexcept { return state_.load_acquire() == State::kDone; }

  static bool is_first(const Cell& cell) noexcept { return cell.bytes[0] != 0; }
  Readiness try_locked(uint32_t, Cell* cell, Served*) noexcept override;
  bool is_ready_locked(uint32_t, const Cell&) const noexcept override {
    return state_.load_relaxed() != State::kRunning;
  }

 private:
  enum class State : uint8_t { kNew, kRunning, kDone };
  Atomic<State> state_{State::kNew};
};

}  // namespace heddle
