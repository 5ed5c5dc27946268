#include "core/slab.h"

#include <cstring>

#include "core/check.h"
#include "os/os.h"

namespace heddle {

namespace {
constexpr size_t kSlabBytes = 64 * 1024;
constexpr size_t kArenaBytes = 64 * 1024 * 1024;
}  // namespace

struct SlabPool::Slab {
  void* free;  // blocks that were given back, linked at link_offset
  Slab* next;  // in the list of partial slabs
  Slab* previous;
  uint32_t fresh;  // blocks from here on have never been taken
  uint32_t taken;
  bool is_partial;
};

struct SlabPool::Arena {
  Arena* next;
  uint32_t slabs;   // how many slabs the arena has
  uint32_t opened;  // slabs from here on have never been used
  Slab slab[1];
};

SlabPool::SlabPool(size_t block_bytes, size_t link_offset, Retire retire) noexcept
    : block_bytes_(block_bytes),
      link_offset_(link_offset),
      blocks_per_slab_(static_cast<uint32_t>(kSlabBytes / block_bytes)),
      retire_(retire) {
  HEDDLE_CHECK(block_bytes >= link_offset + sizeof(void*) && blocks_per_slab_ > 0,
               "a slab block holds its link");
}

SlabPool::Arena* SlabPool::arena_of(void* block) noexcept {
  return reinterpret_cast<Arena*>(reinterpret_cast<uintptr_t>(block) & ~uintptr_t{kArenaBytes - 1});
}

SlabPool::Slab* SlabPool::slab_of(void* block) const noexcept {
  Arena* arena = arena_of(block);
  const size_t offset =
      static_cast<size_t>(static_cast<char*>(block) - reinterpret_cast<char*>(arena));
  return &arena->slab[offset / kSlabBytes - 1];
}

char* SlabPool::memory_of(Slab* slab) const noexcept {
  Arena* arena = arena_of(slab);
  const size_t index = static_cast<size_t>(slab - arena->slab);
  return reinterpret_cast<char*>(arena) + (index + 1) * kSlabBytes;
}

SlabPool::Arena* SlabPool::add_arena() noexcept {
  auto* arena = static_cast<Arena*>(os::reserve_memory(kArenaBytes, kArenaBytes));
  if (arena == nullptr) return nullptr;
  static_assert(sizeof(Arena) + sizeof(Slab) * (kArenaBytes / kSlabBytes) <= kSlabBytes,
                "the slab table fits in the first slab of the arena");
  arena->slabs = kArenaBytes / kSlabBytes - 1;
  arena->opened = 0;
  arena->next = arenas_;
  arenas_ = arena;
  return arena;
}

void SlabPool::link_partial(Slab* slab) noexcept {
  slab->is_partial = true;
  slab->previous = nullptr;
  slab->next = partial_;
  if (partial_ != nullptr) partial_->previous = slab;
  partial_ = slab;
}

void SlabPool::unlink_partial(Slab* slab) noexcept {
  slab->is_partial = false;
  (slab->previous != nullptr ? slab->previous->next : partial_) = slab->next;
  if (slab->next != nullptr) slab->next->previous = slab->previous;
}

SlabPool::Slab* SlabPool::slab_with_room() noexcept {
  if (partial_ == nullptr && batches_ > 0) give_locked(depot_[--batches_], kBatch);
  if (partial_ != nullptr) return partial_;
  Slab* slab = discarded_;
  if (slab != nullptr) {
    discarded_ = slab->next;
  } else {
    // Only the newest arena can have slabs that were never used.
    Arena* arena = arenas_;
    if (arena == nullptr || arena->opened == arena->slabs) arena = add_arena();
    if (arena == nullptr) return nullptr;
    slab = &arena->slab[arena->opened++];  // all zero: never touched before
  }
  ++empty_slabs_;
  ++touched_slabs_;
  link_partial(slab);
  return slab;
}

void* SlabPool::take_one(Slab* slab) noexcept {
  void* block = slab->free;
  if (block != nullptr) {
    std::memcpy(&slab->free, static_cast<char*>(block) + link_offset_, sizeof(void*));
  } else {
    block = memory_of(slab) + size_t{slab->fresh++} * block_bytes_;
  }
  if (slab->taken++ == 0) --empty_slabs_;
  if (slab->free == nullptr && slab->fresh == blocks_per_slab_) unlink_partial(slab);
  return block;
}

size_t SlabPool::take(void** blocks, size_t count) noexcept {
  LockGuard guard(lock_);
  size_t i = 0;
  for (; count - i >= kBatch && batches_ > 0; i += kBatch) {
    std::memcpy(blocks + i, depot_[--batches_], sizeof depot_[0]);
  }
  for (; i < count; ++i) {
    Slab* slab = slab_with_room();
    if (slab == nullptr) return i;
    blocks[i] = take_one(slab);
  }
  return count;
}

void SlabPool::give(void* const* blocks, size_t count) noexcept {
  LockGuard guard(lock_);
  for (; count >= kBatch && batches_ < kDepot; count -= kBatch, blocks += kBatch) {
    std::memcpy(depot_[batches_++], blocks, sizeof depot_[0]);
  }
  give_locked(blocks, count);
}

void SlabPool::give_locked(void* const* blocks, size_t count) noexcept {
  for (size_t i = 0; i < count; ++i) {
    Slab* slab = slab_of(blocks[i]);
    std::memcpy(static_cast<char*>(blocks[i]) + link_offset_, &slab->free, sizeof(void*));
    slab->free = blocks[i];
    if (!slab->is_partial) link_partial(slab);
    if (--slab->taken == 0) ++empty_slabs_;
  }
}

size_t SlabPool::trim() noexcept {
  LockGuard guard(lock_);
  while (batches_ > 0) give_locked(depot_[--batches_], kBatch);
  size_t bytes = 0;
  for (Slab* slab = partial_; slab != nullptr && empty_slabs_ > 0;) {
    Slab* next = slab->next;
    if (slab->taken == 0) {
      char* memory = memory_of(slab);
      if (retire_ != nullptr) {
        for (uint32_t i = 0; i < slab->fresh; ++i) retire_(memory + size_t{i} * block_bytes_);
      }
      os::discard_memory(memory, kSlabBytes);
      unlink_partial(slab);
      slab->free = nullptr;
      slab->fresh = 0;
      slab->next = discarded_;
      discarded_ = slab;
      bytes += kSlabBytes;
      --empty_slabs_;
      --touched_slabs_;
    }
    slab = next;
  }
  return bytes;
}

void SlabPool::for_each(void (*visit)(void* block, void* context), void* context) noexcept {
  LockGuard guard(lock_);
  for (Arena* arena = arenas_; arena != nullptr; arena = arena->next) {
    for (uint32_t s = 0; s < arena->opened; ++s) {
      Slab* slab = &arena->slab[s];
      char* memory = memory_of(slab);
      for (uint32_t i = 0; i < slab->fresh; ++i) visit(memory + size_t{i} * block_bytes_, context);
    }
  }
}

uint64_t SlabPool::resident_bytes() const noexcept {
  LockGuard guard(lock_);
  return touched_slabs_ * kSlabBytes;
}

bool Magazine::refill(SlabPool& pool) noexcept {
  // Few at a time: an idle processor's stock should pin few slabs.
  count_ = static_cast<uint32_t>(pool.take(blocks_, SlabPool::kBatch));
  return count_ != 0;
}

void Magazine::spill(SlabPool& pool) noexcept {
  // The oldest half goes: what was freed last is warm.
  pool.give(blocks_, kCapacity / 2);
  std::memmove(blocks_, blocks_ + kCapacity / 2, sizeof(void*) * (kCapacity / 2));
  count_ = kCapacity / 2;
}

void Magazine::flush(SlabPool& pool) noexcept {
  if (count_ != 0) pool.give(blocks_, count_);
  count_ = 0;
}

}  // namespace heddle
