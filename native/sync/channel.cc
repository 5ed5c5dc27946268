#include "sync/channel.h"

#include <cstdlib>
#include <new>

namespace heddle {

ChannelCore* ChannelCore::create(const ChannelOptions& options) noexcept {
  if (options.capacity > kMaxCapacity || options.max_capacity > kMaxCapacity) return nullptr;
  Cell* buffer = nullptr;
  if (options.capacity != 0) {
    buffer = static_cast<Cell*>(std::malloc(sizeof(Cell) * options.capacity));
    if (buffer == nullptr) return nullptr;
  }
  auto* channel = new (std::nothrow) ChannelCore(options, buffer);
  if (channel == nullptr) std::free(buffer);
  return channel;
}

ChannelCore::ChannelCore(const ChannelOptions& options, Cell* buffer) noexcept
    : Waitable(options.is_tracked),
      buffer_(buffer),
      capacity_(options.capacity),
      min_capacity_(options.capacity),
      max_capacity_(options.max_capacity),
      tag_(options.tag),
      drop_(options.drop) {}

ChannelCore::~ChannelCore() {
  Cell cell;
  while (length_.load_relaxed() != 0) {
    pop(&cell);
    if (drop_ != nullptr) drop_(&cell);
  }
  std::free(buffer_);
}

[[gnu::always_inline]] inline void ChannelCore::push(const Cell& cell) noexcept {
  const uint32_t length = length_.load_relaxed();
  const uint32_t capacity = capacity_.load_relaxed();
  uint32_t tail = head_ + length;
  if (tail >= capacity) tail -= capacity;
  buffer_[tail] = cell;
  length_.store_relaxed(length + 1);
}

[[gnu::always_inline]] inline void ChannelCore::pop(Cell* cell) noexcept {
  *cell = buffer_[head_];
  if (++head_ == capacity_.load_relaxed()) head_ = 0;
  length_.store_relaxed(length_.load_relaxed() - 1);
}

[[gnu::always_inline]] inline Readiness ChannelCore::send_locked(const Cell& cell,
                                                                 Served* served) noexcept {
  if (closed_.load_relaxed()) return Readiness::kClosed;
  if (WaitNode* receiver = claim_first(kReceivers)) {
    receiver->cell = cell;
    serve(receiver, WaitOutcome::kDone, served);
    return Readiness::kDone;
  }
  if (length_.load_relaxed() == capacity_.load_relaxed() && !grow()) return Readiness::kNotReady;
  push(cell);
  return Readiness::kDone;
}

[[gnu::always_inline]] inline Readiness ChannelCore::receive_locked(Cell* cell,
                                                                    Served* served) noexcept {
  if (length_.load_relaxed() != 0) {
    if (__builtin_expect(sizes_itself(), false)) note_level();
    pop(cell);
    if (WaitNode* sender = claim_first(kSenders)) {
      push(sender->cell);
      serve(sender, WaitOutcome::kDone, served);
    }
    return Readiness::kDone;
  }
  if (WaitNode* sender = claim_first(kSenders)) {
    *cell = sender->cell;
    serve(sender, WaitOutcome::kDone, served);
    return Readiness::kDone;
  }
  was_empty_ = true;
  return closed_.load_relaxed() ? Readiness::kClosed : Readiness::kNotReady;
}

bool ChannelCore::grow() noexcept {
  const uint32_t capacity = capacity_.load_relaxed();
  if (!was_empty_ || capacity >= max_capacity_) return false;
  const uint32_t twice = capacity == 0 ? 1 : 2 * capacity;
  return resize(twice < max_capacity_ ? twice : max_capacity_);
}

void ChannelCore::note_level() noexcept {
  const uint32_t level = length_.load_relaxed();
  if (level > highest_) highest_ = level;
  if (++receives_ < kShrinkAfter) return;
  const uint32_t half = capacity_.load_relaxed() / 2;
  if (highest_ <= half / 2 && half >= min_capacity_) resize(half);
  receives_ = 0;
  highest_ = 0;
}

// Without memory it stays as it is, and is not asked again before a receiver has found it empty: a
// select would ask for ever, and a later sender would overtake those who wait by then.
bool ChannelCore::resize(uint32_t capacity) noexcept {
  was_empty_ = false;
  const uint32_t length = length_.load_relaxed();
  auto* buffer = static_cast<Cell*>(std::malloc(sizeof(Cell) * (capacity != 0 ? capacity : 1)));
  if (buffer == nullptr) return false;
  for (uint32_t i = 0; i < length; ++i) pop(&buffer[i]);
  std::free(buffer_);
  buffer_ = buffer;
  head_ = 0;
  length_.store_relaxed(length);
  capacity_.store_relaxed(capacity);
  return true;
}

Readiness ChannelCore::try_locked(uint32_t queue, Cell* cell, Served* served) noexcept {
  return queue == kSenders ? send_locked(*cell, served) : receive_locked(cell, served);
}

bool ChannelCore::is_ready_locked(uint32_t queue, const Cell&) const noexcept {
  if (closed_.load_relaxed()) return true;
  const uint32_t length = length_.load_relaxed();
  if (queue == kSenders) {
    const uint32_t capacity = capacity_.load_relaxed();
    return length < capacity || has_waiters(kReceivers) || (was_empty_ && capacity < max_capacity_);
  }
  return length != 0 || has_waiters(kSenders);
}

Readiness ChannelCore::try_send(const Cell& cell) noexcept {
  Caller caller;
  Served served(caller.machine());
  lock(caller.who());
  const Readiness readiness = send_locked(cell, &served);
  unlock();
  return readiness;
}

Readiness ChannelCore::try_receive(Cell* cell) noexcept {
  Caller caller;
  Served served(caller.machine());
  lock(caller.who());
  const Readiness readiness = receive_locked(cell, &served);
  unlock();
  return readiness;
}

namespace {
WaitStatus status_of(Readiness readiness) noexcept {
  return readiness == Readiness::kDone ? WaitStatus::kDone : WaitStatus::kClosed;
}
}  // namespace

WaitStatus ChannelCore::send(const Cell& cell, uint64_t deadline_ns) {
  Caller caller{Caller::Interruptible{}};
  Served served(caller.machine());
  lock(caller.who());
  const Readiness readiness = send_locked(cell, &served);
  if (__builtin_expect(readiness == Readiness::kNotReady, false)) {
    Cell copy = cell;
    return wait_locked(caller, this, kSenders, &copy, WaitReason::kSend, deadline_ns);
  }
  unlock();
  return status_of(readiness);
}

WaitStatus ChannelCore::receive(Cell* cell, uint64_t deadline_ns) {
  Caller caller{Caller::Interruptible{}};
  Served served(caller.machine());
  lock(caller.who());
  const Readiness readiness = receive_locked(cell, &served);
  if (__builtin_expect(readiness == Readiness::kNotReady, false)) {
    return wait_locked(caller, this, kReceivers, cell, WaitReason::kReceive, deadline_ns);
  }
  unlock();
  return status_of(readiness);
}

bool ChannelCore::close() noexcept {
  Caller caller;
  Served served(caller.machine());
  lock(caller.who());
  const bool first = !closed_.load_relaxed();
  closed_.store_release(true);
  serve_all(kReceivers, WaitOutcome::kClosed, &served);
  serve_all(kSenders, WaitOutcome::kClosed, &served);
  unlock();
  return first;
}

}  // namespace heddle
