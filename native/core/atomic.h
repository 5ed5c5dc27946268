// Atomics whose memory order is part of the operation's name, and the seam of the model build.
//
// Every shared word of the core is an Atomic<T>; nothing uses std::atomic directly. In the model
// build (HEDDLE_MODEL) each operation is a point where the simulated scheduler may switch threads,
// and a load may return any value that the C++ memory model allows, so a missing fence shows.
//
// Asymmetric fences: `fence_light` is free and pairs only with `fence_heavy`, which makes every
// running thread of the process execute a full barrier (membarrier). Hot paths take the light
// side. Where the kernel has no membarrier, the light side is a full fence as well.
#pragma once

#include <cstdint>

#if defined(HEDDLE_MODEL)
#include "os/sim/model_atomic.h"
#else

#include <atomic>

#include "arch/context.h"

namespace heddle {

template <typename T>
class Atomic {
 public:
  constexpr Atomic() noexcept : value_(T{}) {}
  constexpr explicit Atomic(T value) noexcept : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load_relaxed() const noexcept { return value_.load(std::memory_order_relaxed); }
  T load_acquire() const noexcept { return value_.load(std::memory_order_acquire); }
  T load_seq_cst() const noexcept { return value_.load(std::memory_order_seq_cst); }
  void store_relaxed(T value) noexcept { value_.store(value, std::memory_order_relaxed); }
  void store_release(T value) noexcept { value_.store(value, std::memory_order_release); }
  void store_seq_cst(T value) noexcept { value_.store(value, std::memory_order_seq_cst); }

  T exchange_relaxed(T value) noexcept { return value_.exchange(value, std::memory_order_relaxed); }
  T exchange_acquire(T value) noexcept { return value_.exchange(value, std::memory_order_acquire); }
  T exchange_acq_rel(T value) noexcept { return value_.exchange(value, std::memory_order_acq_rel); }
  T exchange_seq_cst(T value) noexcept { return value_.exchange(value, std::memory_order_seq_cst); }

  T fetch_add_relaxed(T delta) noexcept {
    return value_.fetch_add(delta, std::memory_order_relaxed);
  }
  T fetch_add_acq_rel(T delta) noexcept {
    return value_.fetch_add(delta, std::memory_order_acq_rel);
  }
  T fetch_add_seq_cst(T delta) noexcept {
    return value_.fetch_add(delta, std::memory_order_seq_cst);
  }
  T fetch_sub_acq_rel(T delta) noexcept {
    return value_.fetch_sub(delta, std::memory_order_acq_rel);
  }
  T fetch_sub_seq_cst(T delta) noexcept {
    return value_.fetch_sub(delta, std::memory_order_seq_cst);
  }
  T fetch_or_acq_rel(T bits) noexcept { return value_.fetch_or(bits, std::memory_order_acq_rel); }
  T fetch_or_seq_cst(T bits) noexcept { return value_.fetch_or(bits, std::memory_order_seq_cst); }
  T fetch_and_acq_rel(T bits) noexcept { return value_.fetch_and(bits, std::memory_order_acq_rel); }

  // Strong; on failure `expected` holds the value found, loaded with acquire.
  bool compare_exchange_acq_rel(T& expected, T desired) noexcept {
    return value_.compare_exchange_strong(expected, desired, std::memory_order_acq_rel,
                                          std::memory_order_acquire);
  }
  bool compare_exchange_seq_cst(T& expected, T desired) noexcept {
    return value_.compare_exchange_strong(expected, desired, std::memory_order_seq_cst,
                                          std::memory_order_acquire);
  }

  // A statistic that one thread alone writes: no read-modify-write is needed.
  void increment_single_writer(T delta = 1) noexcept { store_relaxed(load_relaxed() + delta); }

 private:
  std::atomic<T> value_;
};

inline void fence_acquire() noexcept { std::atomic_thread_fence(std::memory_order_acquire); }
inline void fence_release() noexcept { std::atomic_thread_fence(std::memory_order_release); }
inline void fence_seq_cst() noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }

// Set once, before the first thread of the runtime starts: true where membarrier is missing.
extern bool light_fence_is_full;

inline void fence_light() noexcept {
  if (__builtin_expect(light_fence_is_full, false)) {
    fence_seq_cst();
  } else {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}
void fence_heavy() noexcept;

// One turn of a spin loop. In the model build the simulated scheduler runs somebody else.
inline void spin_hint() noexcept { arch::cpu_relax(); }

}  // namespace heddle
#endif
