// Stacks of standard fibers, which are also what scheduler loops run on (carriers).
//
// A Stack is its own header, at the top of its memory, so a stack in use costs one page in all.
// Tops are coloured: the header and the first frames start up to 2 KiB below the page end, at a
// distance that differs from stack to stack, or all would share the same cache sets.
//
//   top of slot   colour gap   Stack header   frames grow down ...   guard page   (next slot)
//
// A pool holds stacks of one size in chunks of 16 MiB (or one stack, if that is larger). Free
// stacks are *warm* (dirty memory, reused last in first out) or *cold* (given back to the system).
// A chunk with nothing but cold stacks is unmapped, which gives back its page tables as well.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/lock.h"

namespace heddle {

inline constexpr uint32_t kDefaultStackLog2 = 16;
inline constexpr size_t kDefaultStackBytes = size_t{1} << kDefaultStackLog2;
inline constexpr size_t kMinStackBytes = 4 * 1024;
inline constexpr size_t kMaxStackBytes = size_t{1} << 30;

struct StackChunk;
enum class SlotState : uint8_t { kUntouched, kCold, kInUse };

struct Stack {
  Stack* next;  // in the list of whoever holds it: a processor's carriers, a pool's warm list
  void* stack_pointer;  // of the scheduler loop suspended on it
  char* bottom;         // lowest usable address; the guard lies below
  StackChunk* chunk;
  uint32_t slot;
  uint32_t size_log2;
  void* sanitizer_fiber;  // TSan's context of this stack
  void* fake_stack;       // ASan's

  void* top() noexcept { return this; }  // frames start right below the header
  size_t bytes() noexcept { return static_cast<size_t>(reinterpret_cast<char*>(this) - bottom); }
};

// What a stack address belongs to, for the report of an overflow.
struct StackLookup {
  bool found;
  bool in_guard;
  char* bottom;
  char* top;
  Stack* stack;
};

class StackPool {
 public:
  explicit StackPool(uint32_t size_log2) noexcept;

  // nullptr when the system refuses memory or mappings; `*error` is then an errno value.
  Stack* take(int* error) noexcept { return take_list(1, error); }
  void give(Stack* stack) noexcept {
    stack->next = nullptr;
    give_list(stack, stack, 1);
  }
  // Several under one lock, linked by `next`: up to `most` if they are warm, else one.
  Stack* take_list(uint32_t most, int* error) noexcept;
  void give_list(Stack* first, Stack* last, uint32_t count) noexcept;

  // Gives warm stacks beyond `keep` back to the system; returns how many.
  size_t trim(size_t keep) noexcept;
  // Called at intervals: gives back half of what stayed unused since the last call.
  void decay() noexcept;

  struct Use {
    uint64_t in_use;  // stacks handed out
    uint64_t warm;
    uint64_t chunks;
    bool mapping_guards;  // guards cost mappings: vm.max_map_count is the limit
  };
  Use use() const noexcept;

  // Safe in a signal handler.
  static StackLookup lookup(const void* address) noexcept;

 private:
  Stack* pop_warm() noexcept;
  bool reserve_slot(StackChunk* chunk, uint32_t* slot) noexcept;
  void close_slot(StackChunk* chunk, uint32_t slot, SlotState state) noexcept;
  int install_guard(StackChunk* chunk, uint32_t slot) noexcept;
  Stack* make_header(StackChunk* chunk, uint32_t slot) const noexcept;
  StackChunk* chunk_with_room(int* error) noexcept;
  StackChunk* add_chunk(int* error) noexcept;
  void remove_chunk(StackChunk* chunk) noexcept;
  size_t chill(size_t count) noexcept;
  void drop_unused_chunks() noexcept;

  const uint32_t size_log2_;
  const size_t stride_;  // usable bytes and the guard page
  mutable Lock lock_{LockRank::kStackPool};
  Stack* warm_ = nullptr;
  size_t warm_count_ = 0;
  size_t warm_low_ = 0;  // fewest warm stacks since the last decay
  StackChunk* chunks_ = nullptr;
  StackChunk* roomy_ = nullptr;  // chunks with cold slots
  uint64_t in_use_ = 0;
  uint64_t chunk_count_ = 0;
  Atomic<bool> mapping_guards_{false};
};

// The pool of a size; sizes are powers of two. `bytes` is within kMin..kMaxStackBytes.
uint32_t stack_size_log2(size_t bytes) noexcept;
StackPool& stack_pool(uint32_t size_log2) noexcept;
StackPool& default_stack_pool() noexcept;
size_t trim_stack_pools(size_t keep_default) noexcept;
void decay_stack_pools() noexcept;

}  // namespace heddle
