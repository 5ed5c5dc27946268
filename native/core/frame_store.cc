#include "core/frame_store.h"

#include <cstdlib>
#include <new>

namespace heddle {

namespace {
constexpr size_t kCoarseFirst = 1024;

struct FramePools {
  alignas(SlabPool) unsigned char storage[FrameStore::kClasses][sizeof(SlabPool)];
  FramePools() noexcept {
    size_t size = 0;
    for (uint32_t i = 0; i < FrameStore::kClasses; ++i) {
      if (i < FrameStore::kFineClasses) {
        size = (i + 1) * FrameStore::kFineStep;
      } else {
        size = kCoarseFirst << (i - FrameStore::kFineClasses);
      }
      new (storage[i]) SlabPool(size, 0, nullptr);
    }
  }
};

SlabPool& frame_pool(uint32_t index) noexcept {
  static auto* pools = new FramePools;  // never destroyed
  return *std::launder(reinterpret_cast<SlabPool*>(pools->storage[index]));
}
}  // namespace

uint32_t FrameStore::class_of(size_t bytes) noexcept {
  if (bytes <= kFineStep * kFineClasses) return fine_class(bytes);
  uint32_t index = kFineClasses;
  for (size_t size = kCoarseFirst; size < bytes; size *= 2) ++index;
  return index;
}

void* FrameStore::take_slowly(size_t bytes) noexcept {
  const uint32_t index = class_of(bytes);
  if (index < kFineClasses) return magazines_[index].take(frame_pool(index));
  if (index >= kClasses) return std::malloc(bytes);
  void* frame = nullptr;
  return frame_pool(index).take(&frame, 1) == 1 ? frame : nullptr;
}

void FrameStore::give_slowly(void* frame, size_t bytes) noexcept {
  const uint32_t index = class_of(bytes);
  if (index < kFineClasses) {
    magazines_[index].give(frame_pool(index), frame);
  } else if (index >= kClasses) {
    std::free(frame);
  } else {
    frame_pool(index).give(&frame, 1);
  }
}

void FrameStore::flush() noexcept {
  for (uint32_t i = 0; i < kFineClasses; ++i) magazines_[i].flush(frame_pool(i));
}

size_t FrameStore::trim() noexcept {
  size_t bytes = 0;
  for (uint32_t i = 0; i < kClasses; ++i) bytes += frame_pool(i).trim();
  return bytes;
}

uint64_t FrameStore::resident_bytes() noexcept {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < kClasses; ++i) bytes += frame_pool(i).resident_bytes();
  return bytes;
}

}  // namespace heddle
