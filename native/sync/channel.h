// A channel of cells: first in, first out, with room for `capacity` of them; 0 is a rendezvous.
//
// Always true, under the lock:
// - Receivers wait only while the buffer is empty and nobody waits to send.
// - Senders wait only while the buffer is full; then it stays full, since a receiver takes the
//   oldest cell and moves the oldest waiting sender's behind the others.
// - A closed channel has no waiters. What it still holds is received before its end is.
//
// A channel may size itself. It doubles when a sender finds it full and a receiver has found it
// empty since the last change: then it is the buffer that makes them wait for each other, not one
// that is slower than the other. It halves when of kShrinkAfter receives none found it a quarter
// full.
//
// A cell may own memory: then `drop` frees it, for cells that nobody received.
#pragma once

#include "sync/wait.h"

namespace heddle {

struct ChannelOptions {
  uint32_t capacity = 0;
  uint32_t max_capacity = 0;  // beyond `capacity`: it sizes itself between the two
  uint8_t tag = 0;            // whatever its maker wants to know of it later
  bool is_tracked = false;    // see Waitable::retain
  void (*drop)(Cell* cell) noexcept = nullptr;
};

class ChannelCore final : public Waitable {
 public:
  static constexpr uint32_t kMaxCapacity = 1u << 26;
  enum Queue : uint32_t { kReceivers = 0, kSenders = 1 };

  // nullptr if memory is refused or the capacity is beyond kMaxCapacity.
  static ChannelCore* create(const ChannelOptions& options) noexcept;

  // On a fiber or an OS thread; throw Cancelled. A cell that is not sent stays the caller's.
  WaitStatus send(const Cell& cell, uint64_t deadline_ns = UINT64_MAX);
  WaitStatus receive(Cell* cell, uint64_t deadline_ns = UINT64_MAX);
  Readiness try_send(const Cell& cell) noexcept;
  Readiness try_receive(Cell* cell) noexcept;

  // False if it was closed before.
  bool close() noexcept;
  bool closed() const noexcept { return closed_.load_acquire(); }
  // What others do at the same time may not be counted.
  uint32_t length() const noexcept { return length_.load_relaxed(); }
  uint8_t tag() const noexcept { return tag_; }
  uint32_t capacity() const noexcept { return capacity_.load_relaxed(); }

  Readiness try_locked(uint32_t queue, Cell* cell, Served* served) noexcept override;
  bool is_ready_locked(uint32_t queue, const Cell& cell) const noexcept override;
  bool passes_values() const noexcept override { return true; }

 private:
  Readiness send_locked(const Cell& cell, Served* served) noexcept;
  Readiness receive_locked(Cell* cell, Served* served) noexcept;
  ChannelCore(const ChannelOptions& options, Cell* buffer) noexcept;
  ~ChannelCore() override;

  static constexpr uint32_t kShrinkAfter = 1024;

  void push(const Cell& cell) noexcept;
  void pop(Cell* cell) noexcept;
  bool sizes_itself() const noexcept { return max_capacity_ > min_capacity_; }
  bool grow() noexcept;
  void note_level() noexcept;
  bool resize(uint32_t capacity) noexcept;

  Cell* buffer_;
  Atomic<uint32_t> capacity_;
  const uint32_t min_capacity_;
  const uint32_t max_capacity_;
  const uint8_t tag_;
  bool was_empty_ = false;  // a receiver had to wait since the last change of size
  uint32_t receives_ = 0;   // since the level was last looked at
  uint32_t highest_ = 0;    // level since then
  uint32_t head_ = 0;
  Atomic<uint32_t> length_{0};
  Atomic<bool> closed_{false};
  void (*const drop_)(Cell* cell) noexcept;
};

}  // namespace heddle
