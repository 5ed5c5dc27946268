// The history of one processor: a ring of fixed-size events, oldest overwritten.
//
// The owner writes; readers copy and then check that what they copied was not overwritten. While
// nobody reads (`enabled` false) an event costs one predictable branch and the ring has no memory.
#pragma once

#include <cstdint>

#include "core/atomic.h"

namespace heddle {

enum class EventType : uint8_t {
  kSpawn,    // fiber
  kStart,    // fiber
  kPark,     // fiber, detail = WaitReason
  kReady,    // fiber
  kSteal,    // subject = victim, detail = outcome (items taken, 0 = none), value = latency in ns
  kHandOff,  // subject = machine that lost the processor
  kExit,     // fiber
  kYield,    // fiber
};

struct Event {
  uint64_t time_ns;
  uint64_t subject;  // fiber id, or what the type says
  uint32_t value;
  EventType type;
  uint8_t processor;
  uint16_t detail;
};
static_assert(sizeof(Event) == 24, "an event is three words");

class EventRing {
 public:
  static constexpr uint32_t kCapacity = 4096;

  ~EventRing();

  bool enabled() const noexcept { return enabled_.load_relaxed(); }
  // Any thread. The memory is kept until the ring is destroyed, for readers that are late.
  void enable(bool on) noexcept;

  // Owner only, and only when enabled.
  void append(const Event& event) noexcept;

  // Copies events from position `*cursor` on, oldest first, and moves the cursor behind them.
  // `*lost` counts events that were overwritten before they could be read.
  uint32_t read(uint64_t* cursor, Event* out, uint32_t capacity, uint64_t* lost) const noexcept;

 private:
  struct Slot {
    Atomic<uint64_t> words[3];
  };
  Atomic<bool> enabled_{false};
  Atomic<Slot*> slots_{nullptr};
  Atomic<uint64_t> written_{0};  // complete events; pairs with the acquire load in read
  Atomic<uint64_t> begun_{0};    // written_ or one more
};

}  // namespace heddle
