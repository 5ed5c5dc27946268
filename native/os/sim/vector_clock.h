// How much of every simulated thread's past is known: one counter for each of them.
#pragma once

#include <cstdint>

namespace heddle::sim {

inline constexpr uint32_t kMaxThreads = 32;

struct VectorClock {
  uint32_t at[kMaxThreads] = {};

  void join(const VectorClock& other) noexcept {
    for (uint32_t i = 0; i < kMaxThreads; ++i) {
      if (other.at[i] > at[i]) at[i] = other.at[i];
    }
  }
};

}  // namespace heddle::sim
