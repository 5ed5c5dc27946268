// Whoever can be parked on something: a fiber today; a promise of an isolate, a timer's callback or
// an OS thread through the same words.
//
// `word` holds the state in its low 8 bits and the epoch of the wait above them. Every wait has an
// epoch of its own, so a wake-up is a pair (waiter, epoch): one that comes late finds another epoch
// and does nothing. Waiters live in type-stable memory (SlabPool), so a late wake-up may always
// look at the word.
//
//   kFree      nobody's           -> kRunnable   by the spawner
//   kRunnable  owned by a queue   -> kRunning    by the processor that pops it
//   kRunning   owned by its stack -> kWaiting    after the stack was left (deferred publication)
//   kWaiting   owned by the wait  -> kRunnable   by the one CAS that claims it
//   kRunning                      -> kFree       at its end
#pragma once

#include <cstdint>

#include "core/atomic.h"

namespace heddle {

enum class WaiterState : uint8_t { kFree = 0, kRunnable, kRunning, kWaiting };

struct Waiter {
  static constexpr int kStateBits = 8;

  static constexpr uint64_t make_word(WaiterState state, uint64_t epoch) noexcept {
    return (epoch << kStateBits) | static_cast<uint64_t>(state);
  }
  static constexpr WaiterState state_of(uint64_t word) noexcept {
    return static_cast<WaiterState>(word & ((1u << kStateBits) - 1));
  }
  static constexpr uint64_t epoch_of(uint64_t word) noexcept { return word >> kStateBits; }

  uint64_t epoch() const noexcept { return epoch_of(word.load_relaxed()); }
  WaiterState state() const noexcept { return state_of(word.load_relaxed()); }

  // Owner only: starts the next wait. Everything written before is visible to the claimer.
  void begin_wait() noexcept { word.store_release(make_word(WaiterState::kWaiting, epoch() + 1)); }

  // Ends the wait of that epoch; true for exactly one caller, who then owns the waiter.
  bool claim(uint64_t wait_epoch) noexcept {
    uint64_t expected = make_word(WaiterState::kWaiting, wait_epoch);
    return word.compare_exchange_acq_rel(expected, make_word(WaiterState::kRunnable, wait_epoch));
  }

  Atomic<uint64_t> word{0};
  // Makes a claimed waiter go on; null for fibers, which go to a run queue.
  void (*resume)(Waiter* waiter) = nullptr;
};

// Hands epochs to memory that comes back from the operating system as zeros, so that a wake-up
// kept from a former life of the same address stays stale.
uint64_t fresh_epoch() noexcept;
void retire_epoch(uint64_t epoch) noexcept;

}  // namespace heddle
