#include "os/sim/strategy.h"

#include <cstdio>

namespace heddle::sim {

namespace {
// In all, until a thread falls behind: one that never blocks does not keep others from their work.
constexpr uint32_t kLongestRun = 2'000;
}  // namespace

uint64_t Strategy::random() noexcept {
  // SplitMix64 (Steele, Lea, Flood 2014): every seed is a good one.
  uint64_t x = state_ += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

void Strategy::reset(uint64_t seed, bool time_jumps) noexcept {
  state_ = seed;
  static const uint32_t kSwitch[] = {2, 4, 16, 64};
  static const uint32_t kStale[] = {0, 2, 4, 8, 8, 32};
  static const uint32_t kSpurious[] = {0, 10, 50};
  static const uint32_t kJump[] = {0, 300, 3'000, 30'000};
  static const uint64_t kJumpLimit[] = {10'000, 1'000'000, 20'000'000};
  static const uint64_t kStep[] = {2, 20, 200, 2'000};
  is_pct_ = below(2) == 0;
  switch_one_in_ = kSwitch[below(4)];
  stale_one_in_ = kStale[below(6)];
  spurious_one_in_ = kSpurious[below(3)];
  jump_one_in_ = kJump[below(4)];
  jump_limit_ns_ = kJumpLimit[below(3)];
  step_ns_ = kStep[below(4)];
  if (!time_jumps) {
    jump_one_in_ = 0;
    step_ns_ = kStep[below(2)];
  }
  // The length of a run is not known: the scale of the change points is random too.
  for (uint64_t& change : change_at_) change = 1 + random() % (uint64_t{64} << below(11));
  lowest_ = 0;
}

void Strategy::begin_thread(uint32_t number) noexcept {
  priority_[number] = static_cast<int64_t>(random() >> 8) + 1;
  steps_run_[number] = 0;
}

uint32_t Strategy::pick(const uint32_t* runnable, uint32_t count, uint32_t running,
                        uint64_t step) noexcept {
  if (!is_pct_) return runnable[below(count)];
  if (running != UINT32_MAX) {
    bool falls = ++steps_run_[running] >= kLongestRun;
    for (const uint64_t change : change_at_) falls |= step == change;
    if (falls) fall_behind(running);
  }
  uint32_t best = runnable[0];
  for (uint32_t i = 1; i < count; ++i) {
    if (priority_[runnable[i]] > priority_[best]) best = runnable[i];
  }
  return best;
}

void Strategy::fall_behind(uint32_t running) noexcept {
  priority_[running] = --lowest_;
  steps_run_[running] = 0;
}

uint32_t Strategy::choose_store(uint32_t count) noexcept {
  return one_in(stale_one_in_) ? below(count) : 0;
}

uint64_t Strategy::step_ns() noexcept { return 1 + random() % (2 * step_ns_); }

uint64_t Strategy::jump_ns() noexcept {
  return one_in(jump_one_in_) ? random() % jump_limit_ns_ : 0;
}

const char* Strategy::describe() noexcept {
  std::snprintf(text_, sizeof text_,
                "%s, 1 in %u switches, 1 in %u stale, 1 in %u spurious, 1 in %u jumps, %llu ns",
                is_pct_ ? "PCT" : "random walk", switch_one_in_, stale_one_in_, spurious_one_in_,
                jump_one_in_, static_cast<unsigned long long>(step_ns_));
  return text_;
}

}  // namespace heddle::sim
