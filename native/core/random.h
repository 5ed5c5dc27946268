// The runtime's generator of random numbers: good enough to choose victims and cases by.
#pragma once

#include <cstdint>

namespace heddle {

// xorshift64*, Vigna 2016. The state is never 0.
inline uint64_t next_random(uint64_t& state) noexcept {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545F4914F6CDD1DULL;
}

}  // namespace heddle
