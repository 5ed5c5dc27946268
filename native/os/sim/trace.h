// What the simulated threads did, step by step: a hash of everything, the latest steps in full.
//
// Code addresses are written as `{offset}` into this program; whoever prints a trace for people
// turns them into lines of the source (seeds.cc).
#pragma once

#include <cstdint>

namespace heddle::sim {

enum class StepKind : uint8_t {
  kLoad,
  kStore,
  kChange,
  kExchanged,     // a compare-exchange that succeeded
  kNotExchanged,  // ... or found another value
  kFence,
  kHeavyFence,
  kStart,  // of a thread
  kEnd,
  kWait,
  kWake,
  kTime,   // the clock jumped
  kFault,  // an injected failure
  kCount,
};

struct Step {
  uint64_t at_ns;
  uint64_t value;
  const void* code;  // where the operation stands
  uint32_t thread;
  uint32_t subject;  // number of a location or of a thread
  StepKind kind;
  uint8_t age;  // how many newer stores a load passed over
};

class Trace {
 public:
  // Keeps the latest `capacity` steps, a power of two.
  void reset(uint32_t capacity) noexcept;
  void add(const Step& step) noexcept;
  uint64_t hash() const noexcept { return hash_; }
  uint64_t count() const noexcept { return count_; }
  // At most `most` steps, oldest first.
  void print(uint32_t most) const noexcept;

 private:
  Step* steps_ = nullptr;
  uint32_t capacity_ = 0;
  uint64_t count_ = 0;
  uint64_t hash_ = 0;
};

// To standard error, from any stack and any state of the process.
[[gnu::format(printf, 1, 2)]] void print(const char* format, ...) noexcept;
// An address of this program as the offset that addr2line takes.
uint64_t code_offset(const void* code) noexcept;

}  // namespace heddle::sim
