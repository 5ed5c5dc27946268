// Where the live bytes of parked compact fibers lie: blocks of a few sizes, from 64 bytes on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/slab.h"

namespace heddle {

class FrameStore {
 public:
  static constexpr uint32_t kFineClasses = 8;    // 64, 128 ... 512
  static constexpr uint32_t kCoarseClasses = 6;  // 1 KiB, 2 KiB ... 32 KiB
  static constexpr uint32_t kClasses = kFineClasses + kCoarseClasses;

  // nullptr when the system refuses memory.
  void* take(size_t bytes) noexcept;
  void give(void* frame, size_t bytes) noexcept;
  void flush() noexcept;

  static size_t trim() noexcept;
  static uint64_t resident_bytes() noexcept;

 private:
  Magazine magazines_[kFineClasses];  // owned by the processor; larger frames are rare
};

}  // namespace heddle
