// A bounded lock-free queue beside channels: it never waits, never wakes anybody, and knows no
// select. Any number of producers and consumers.
//
// The ring of D. Vyukov, "Bounded MPMC queue" (2010): each place has a sequence number that says
// whose turn it is. Always true: place i holds a value exactly while its sequence is i + 1 (mod
// rounds), and is free for the producer of position p exactly while its sequence is p.
//
// It is not linearisable in one respect: a producer that has taken a place but not filled it holds
// up the consumers behind it, who then see the queue as empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

#include "core/atomic.h"

namespace heddle {

template <typename T>
class Queue {
  static_assert(std::is_trivially_copyable_v<T>, "a queue copies its elements");

 public:
  // Rounded up to a power of two, at least 2. Throws std::bad_alloc.
  explicit Queue(size_t capacity) : mask_(round_up(capacity) - 1), places_(new Place[mask_ + 1]) {
    for (size_t i = 0; i <= mask_; ++i) places_[i].sequence.store_relaxed(i);
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // False if it is full.
  bool try_push(const T& value) noexcept {
    uint64_t position = tail_.load_relaxed();
    for (;;) {
      Place& place = places_[position & mask_];
      // Pairs with the release in try_pop of one round before.
      const auto turn = static_cast<int64_t>(place.sequence.load_acquire() - position);
      if (turn < 0) return false;
      if (turn > 0) {
        position = tail_.load_relaxed();
      } else if (tail_.compare_exchange_acq_rel(position, position + 1)) {
        place.value = value;
        place.sequence.store_release(position + 1);
        return true;
      }
    }
  }

  // False if it is empty.
  bool try_pop(T* value) noexcept {
    uint64_t position = head_.load_relaxed();
    for (;;) {
      Place& place = places_[position & mask_];
      // Pairs with the release in try_push.
      const auto turn = static_cast<int64_t>(place.sequence.load_acquire() - (position + 1));
      if (turn < 0) return false;
      if (turn > 0) {
        position = head_.load_relaxed();
      } else if (head_.compare_exchange_acq_rel(position, position + 1)) {
        *value = place.value;
        place.sequence.store_release(position + mask_ + 1);
        return true;
      }
    }
  }

  size_t capacity() const noexcept { return mask_ + 1; }
  // What others do at the same time may not be counted.
  size_t size() const noexcept {
    const uint64_t head = head_.load_relaxed();
    const uint64_t tail = tail_.load_relaxed();
    return tail > head ? static_cast<size_t>(tail - head) : 0;
  }

 private:
  struct Place {
    Atomic<uint64_t> sequence{0};
    T value{};
  };
  static size_t round_up(size_t capacity) noexcept {
    size_t size = 2;
    while (size < capacity) size *= 2;
    return size;
  }

  const size_t mask_;
  const std::unique_ptr<Place[]> places_;
  alignas(64) Atomic<uint64_t> tail_{0};
  alignas(64) Atomic<uint64_t> head_{0};
};

}  // namespace heddle
