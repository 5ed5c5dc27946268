// Every choice of a run, drawn from its seed: who goes on, what a load sees, how time passes.
//
// Two ways to schedule, one of them for each seed:
// - a random walk that lets the running thread go on with a probability of the seed's own;
// - PCT (Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs",
//   ASPLOS 2010): random priorities, the first runnable thread always runs, and at d - 1 random
//   steps the running thread falls behind all others. d = 3. A thread in a spin loop falls behind
//   as well, or it would spin for ever.
#pragma once

#include <cstdint>

#include "os/sim/vector_clock.h"

namespace heddle::sim {

class Strategy {
 public:
  void reset(uint64_t seed, bool time_jumps) noexcept;

  uint64_t random() noexcept;
  uint32_t below(uint32_t bound) noexcept { return static_cast<uint32_t>(random() % bound); }
  bool one_in(uint32_t count) noexcept { return count != 0 && below(count) == 0; }

  void begin_thread(uint32_t number) noexcept;
  // Who of the runnable ones goes on. `running` is among them, or UINT32_MAX if it cannot.
  uint32_t pick(const uint32_t* runnable, uint32_t count, uint32_t running, uint64_t step) noexcept;
  bool may_switch() noexcept { return is_pct_ || one_in(switch_one_in_); }
  // The running thread spins or yields.
  void fall_behind(uint32_t running) noexcept;
  // How many newer stores a load passes over.
  uint32_t choose_store(uint32_t count) noexcept;
  uint64_t step_ns() noexcept;
  // The length of a jump of time, or 0.
  uint64_t jump_ns() noexcept;
  bool wakes_spuriously() noexcept { return one_in(spurious_one_in_); }
  const char* describe() noexcept;

 private:
  static constexpr uint32_t kDepth = 3;

  bool is_pct_ = false;
  uint32_t switch_one_in_ = 1;
  uint32_t stale_one_in_ = 0;
  uint32_t spurious_one_in_ = 0;
  uint32_t jump_one_in_ = 0;
  uint64_t jump_limit_ns_ = 0;
  uint64_t step_ns_ = 1;
  uint64_t state_ = 0;
  uint64_t change_at_[kDepth - 1] = {};
  int64_t priority_[kMaxThreads] = {};
  int64_t lowest_ = 0;
  uint32_t steps_run_[kMaxThreads] = {};  // since it fell behind
  char text_[120] = {};
};

}  // namespace heddle::sim
