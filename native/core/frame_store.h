// Where the live bytes of parked compact fibers lie: blocks of a few sizes, from 64 bytes on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/slab.h"

namespace heddle {

class FrameStore {
 public:
  static constexpr size_t kFineStep = 64;
  static constexpr uint32_t kFineClasses = 8;    // 64, 128 ... 512
  static constexpr uint32_t kCoarseClasses = 6;  // 1 KiB, 2 KiB ... 32 KiB
  static constexpr uint32_t kClasses = kFineClasses + kCoarseClasses;

  // nullptr when the system refuses memory.
  void* take(size_t bytes) noexcept {
    if (bytes <= kFineStep * kFineClasses) {
      void* const frame = magazines_[fine_class(bytes)].try_take();
      if (__builtin_expect(frame != nullptr, true)) return frame;
    }
    return take_slowly(bytes);
  }
  void give(void* frame, size_t bytes) noexcept {
    const bool is_fine = bytes <= kFineStep * kFineClasses;
    if (__builtin_expect(is_fine && magazines_[fine_class(bytes)].try_give(frame), true)) return;
    give_slowly(frame, bytes);
  }
  void flush() noexcept;

  static size_t trim() noexcept;
  static uint64_t resident_bytes() noexcept;

 private:
  static constexpr uint32_t fine_class(size_t bytes) noexcept {
    return bytes == 0 ? 0 : static_cast<uint32_t>((bytes - 1) / kFineStep);
  }
  static uint32_t class_of(size_t bytes) noexcept;
  void* take_slowly(size_t bytes) noexcept;
  void give_slowly(void* frame, size_t bytes) noexcept;

  Magazine magazines_[kFineClasses];  // owned by the processor; larger frames are rare
};

}  // namespace heddle
