// Type-stable pools of equal blocks: descriptors, timers, and the saved frames of compact fibers.
//
// Always true:
// - The address range of a block stays readable for the life of the process. A slab whose blocks
//   are all free is given back to the system page-wise and reads zero from then on.
// - A free block keeps its contents (above all its epoch) except for the link word at
//   `link_offset`.
// - Processors take and give blocks in batches through a Magazine; the pool's lock is per batch.
// - Whole batches that were given are kept as they are for the next one who takes, and count as
//   taken until a trim: the lists of free blocks would cost a cache miss per block. (Magazines and
//   depot as in Bonwick and Adams, USENIX 2001.)
//
// Slabs of 64 KiB lie in arenas of 64 MiB; what is known of a slab lies at the start of its arena,
// never in the slab, so that an empty slab costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/lock.h"

namespace heddle {

class SlabPool {
 public:
  static constexpr uint32_t kBatch = 64;

  // Called for every block of a slab that is about to be given back.
  using Retire = void (*)(void* block);

  SlabPool(size_t block_bytes, size_t link_offset, Retire retire) noexcept;

  // Up to `count` blocks; fewer only if the system refuses memory.
  size_t take(void** blocks, size_t count) noexcept;
  void give(void* const* blocks, size_t count) noexcept;

  // Gives empty slabs back to the system; returns the bytes. Cheap when there are none.
  size_t trim() noexcept;

  // Calls `visit(block, context)` for every block that was ever handed out and not given back to
  // the system, free or not. Blocks may change state while it runs.
  void for_each(void (*visit)(void* block, void* context), void* context) noexcept;

  size_t block_bytes() const noexcept { return block_bytes_; }
  uint64_t resident_bytes() const noexcept;  // touched and not given back

 private:
  struct Slab;
  struct Arena;

  static Arena* arena_of(void* block) noexcept;
  Slab* slab_of(void* block) const noexcept;
  char* memory_of(Slab* slab) const noexcept;
  Slab* slab_with_room() noexcept;
  Arena* add_arena() noexcept;
  void* take_one(Slab* slab) noexcept;
  void give_locked(void* const* blocks, size_t count) noexcept;
  void link_partial(Slab* slab) noexcept;
  void unlink_partial(Slab* slab) noexcept;

  static constexpr uint32_t kDepot = 16;

  const size_t block_bytes_;
  const size_t link_offset_;
  const uint32_t blocks_per_slab_;
  const Retire retire_;
  mutable Lock lock_{LockRank::kSlabPool};
  Arena* arenas_ = nullptr;
  Slab* partial_ = nullptr;    // resident, with at least one free block
  Slab* discarded_ = nullptr;  // given back to the system
  uint32_t empty_slabs_ = 0;   // partial slabs with nothing taken but memory still resident
  uint64_t touched_slabs_ = 0;
  uint32_t batches_ = 0;  // in the depot
  void* depot_[kDepot][kBatch];
};

// A processor's own small stock of blocks. Owned by whoever owns the processor.
class Magazine {
 public:
  void* take(SlabPool& pool) noexcept {
    if (__builtin_expect(count_ == 0, false) && !refill(pool)) return nullptr;
    return blocks_[--count_];
  }
  void* try_take() noexcept { return count_ != 0 ? blocks_[--count_] : nullptr; }
  void give(SlabPool& pool, void* block) noexcept {
    if (!try_give(block)) {
      spill(pool);
      try_give(block);
    }
  }
  bool try_give(void* block) noexcept {
    if (__builtin_expect(count_ == kCapacity, false)) return false;
    blocks_[count_++] = block;
    return true;
  }
  void flush(SlabPool& pool) noexcept;
  // The block that comes `ahead` takes later: for whoever takes what other cores have written.
  void* upcoming(uint32_t ahead) const noexcept {
    return count_ > ahead ? blocks_[count_ - 1 - ahead] : nullptr;
  }

 private:
  static constexpr uint32_t kCapacity = 512;  // a full run queue and what it spawned

  bool refill(SlabPool& pool) noexcept;
  void spill(SlabPool& pool) noexcept;

  uint32_t count_ = 0;
  void* blocks_[kCapacity];
};

}  // namespace heddle
