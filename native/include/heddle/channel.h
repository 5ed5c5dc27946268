// Typed channels for fibers and OS threads: first in, first out, buffered or a rendezvous.
//
//   heddle::Channel<int> numbers{8};
//   heddle::go([numbers]() mutable {
//     for (int i = 0; i < 100; ++i) numbers.send(i);
//     numbers.close();
//   });
//   for (int value; numbers.recv(&value) == heddle::WaitStatus::kDone;) use(value);
//
// A Channel is a handle: copies are the same channel, and the last one to go frees it. Values of at
// most 16 bytes that can be copied bit by bit travel in place, others through the heap.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "heddle/error.h"
#include "sync/channel.h"

namespace heddle {

namespace detail {

template <typename T>
inline constexpr bool kFitsCell =
    std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(Cell) && alignof(T) <= alignof(Cell);

template <typename T>
Cell to_cell(T&& value) {
  using Value = std::decay_t<T>;
  Cell cell;
  if constexpr (kFitsCell<Value>) {
    new (cell.bytes) Value(std::forward<T>(value));
  } else {
    auto* boxed = new Value(std::forward<T>(value));
    std::memcpy(cell.bytes, &boxed, sizeof boxed);
  }
  return cell;
}

template <typename T>
T* boxed_in(const Cell& cell) noexcept {
  T* boxed;
  std::memcpy(&boxed, cell.bytes, sizeof boxed);
  return boxed;
}

template <typename T>
void from_cell(const Cell& cell, T* value) {
  if constexpr (kFitsCell<T>) {
    std::memcpy(static_cast<void*>(value), cell.bytes, sizeof(T));
  } else {
    const std::unique_ptr<T> boxed(boxed_in<T>(cell));
    *value = std::move(*boxed);
  }
}

template <typename T>
void drop_cell([[maybe_unused]] Cell* cell) noexcept {
  if constexpr (!kFitsCell<T>) delete boxed_in<T>(*cell);
}

}  // namespace detail

template <typename T>
class Channel {
 public:
  // At most ChannelCore::kMaxCapacity (2^26) elements.
  explicit Channel(uint32_t capacity = 0) : Channel(capacity, false) {}

  // One whose waits end with kAbandoned when nobody else has a handle any more. Then everybody who
  // uses it must have a copy of their own: a reference to another's does not count.
  static Channel tracked(uint32_t capacity = 0) { return Channel(capacity, true); }

  // kDone, kClosed, kAbandoned or kTimedOut; kNoMemory. Throws Cancelled, and what the value's own
  // move throws. A value that was not sent is destroyed.
  WaitStatus send(T value, uint64_t deadline_ns = UINT64_MAX) {
    Cell cell = detail::to_cell(std::move(value));
    DropUnsent guard{&cell};
    const WaitStatus status = core_->send(cell, deadline_ns);
    if (status == WaitStatus::kDone) guard.cell = nullptr;
    return status;
  }

  // kClosed: closed, and nothing is left in it.
  WaitStatus recv(T* value, uint64_t deadline_ns = UINT64_MAX) {
    Cell cell;
    const WaitStatus status = core_->receive(&cell, deadline_ns);
    if (status == WaitStatus::kDone) detail::from_cell(cell, value);
    return status;
  }

  Readiness try_send(T value) {
    Cell cell = detail::to_cell(std::move(value));
    const Readiness readiness = core_->try_send(cell);
    if (readiness != Readiness::kDone) detail::drop_cell<T>(&cell);
    return readiness;
  }

  Readiness try_recv(T* value) {
    Cell cell;
    const Readiness readiness = core_->try_receive(&cell);
    if (readiness == Readiness::kDone) detail::from_cell(cell, value);
    return readiness;
  }

  // Throws Error (ERR_HEDDLE_CLOSED) if it was closed before.
  void close() {
    if (!core_->close()) throw Error("ERR_HEDDLE_CLOSED", "a channel was closed twice");
  }
  bool closed() const noexcept { return core_->closed(); }
  uint32_t size() const noexcept { return core_->length(); }
  uint32_t capacity() const noexcept { return core_->capacity(); }

  ChannelCore* core() const noexcept { return core_.get(); }

 private:
  struct DropUnsent {
    Cell* cell;
    ~DropUnsent() {
      if (cell != nullptr) detail::drop_cell<T>(cell);
    }
  };

  Channel(uint32_t capacity, bool is_tracked) {
    ChannelOptions options;
    options.capacity = capacity;
    options.is_tracked = is_tracked;
    if constexpr (!detail::kFitsCell<T>) options.drop = detail::drop_cell<T>;
    core_ = Ref<ChannelCore>(detail::made(ChannelCore::create(options)));
  }

  Ref<ChannelCore> core_;
};

}  // namespace heddle
