// Memory that travels: bytes that isolates, fibers and kernels hand to each other without a copy.
//
// A block is counted; whoever is last gives it to a pool of warm ones, since the first touch of a
// page costs more than copying it. What a pooled block held is never seen by the next one who asks:
// it is overwritten whole, or zeroed.
#pragma once

#include <cstddef>
#include <utility>

#include "core/atomic.h"

namespace heddle {

class Block {
 public:
  // What one ArrayBuffer of JavaScript knows of the block, of which there is one at a time. When
  // the buffer is given away its reference goes with it, long before the collector finds the rest.
  struct Exposure {
    Block* block;  // nullptr: given away
  };

  // nullptr if the system refuses the memory. `zeroed`: otherwise the caller overwrites all of it.
  static Block* make(size_t length, bool zeroed) noexcept;
  // The block whose data this is.
  static Block* of(void* data) noexcept;

  unsigned char* data() noexcept { return reinterpret_cast<unsigned char*>(this) + kHeadBytes; }
  size_t length() const noexcept { return length_; }
  Exposure* exchange_exposure(Exposure* exposure) noexcept {
    return std::exchange(exposure_, exposure);
  }
  void retain() noexcept { references_.fetch_add_relaxed(1); }
  void release() noexcept;

 private:
  static constexpr size_t kHeadBytes = 64;
  Block(size_t length, int size_class) noexcept : length_(length), class_(size_class) {}

  size_t length_;
  const int class_;  // of the pool; -1: none
  Atomic<uint32_t> references_{1};
  Exposure* exposure_ = nullptr;  // the isolate's that has it
  Block* next_ = nullptr;         // in the pool
  friend struct BlockPool;
};

}  // namespace heddle
