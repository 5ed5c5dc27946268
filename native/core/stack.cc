#include "core/stack.h"

#include <cerrno>
#include <cstdlib>
#include <new>

#include "core/check.h"
#include "core/sanitizer.h"
#include "os/os.h"

namespace heddle {

namespace {
constexpr size_t kChunkBytes = size_t{16} << 20;
constexpr uint32_t kChunkBytesLog2 = 24;
constexpr uint32_t kColours = 32;
constexpr size_t kColourBytes = 64;
constexpr uint32_t kMinLog2 = 12;
constexpr uint32_t kMaxLog2 = 30;
constexpr uint32_t kAddressBits = 47;

// One pointer for each 16 MiB of address space: a look-up needs no lock and no allocation, so it
// works in a signal handler. Only the touched pages of the table exist.
Atomic<StackChunk*>* chunk_table() noexcept {
  static auto* table = static_cast<Atomic<StackChunk*>*>(os::reserve_memory(
      sizeof(Atomic<StackChunk*>) << (kAddressBits - kChunkBytesLog2), os::page_size()));
  return table;
}
}  // namespace

struct StackChunk {
  StackChunk* next;
  StackChunk* previous;
  StackChunk* next_roomy;
  bool is_roomy;
  char* memory;
  size_t bytes;
  size_t stride;
  uint32_t slots;
  uint32_t used;        // handed out or warm
  uint32_t warm;        // counted while the pool is trimmed
  uint32_t first_free;  // no slot below it is free
  SlotState state[1];   // `slots` of them
};

StackPool::StackPool(uint32_t size_log2) noexcept
    : size_log2_(size_log2), stride_((size_t{1} << size_log2) + os::page_size()) {}

Stack* StackPool::pop_warm() noexcept {
  Stack* stack = warm_;
  if (stack == nullptr) return nullptr;
  warm_ = stack->next;
  if (--warm_count_ < warm_low_) warm_low_ = warm_count_;
  return stack;
}

Stack* StackPool::take_list(uint32_t most, int* error) noexcept {
  StackChunk* chunk;
  uint32_t slot;
  bool is_guarded;
  {
    LockGuard guard(lock_);
    Stack* list = nullptr;
    for (uint32_t i = 0; i < most; ++i) {
      Stack* stack = pop_warm();
      if (stack == nullptr) break;
      stack->next = list;
      list = stack;
      ++in_use_;
    }
    if (list != nullptr) return list;
    chunk = chunk_with_room(error);
    if (chunk == nullptr) return nullptr;
    is_guarded = reserve_slot(chunk, &slot);
    ++in_use_;
  }
  // The slow part, a system call and the first touch of a page, without the lock.
  *error = is_guarded ? 0 : install_guard(chunk, slot);
  if (*error == 0) return make_header(chunk, slot);
  LockGuard guard(lock_);
  --in_use_;
  close_slot(chunk, slot, SlotState::kUntouched);
  return nullptr;
}

StackChunk* StackPool::chunk_with_room(int* error) noexcept {
  while (roomy_ != nullptr && roomy_->used == roomy_->slots) {
    roomy_->is_roomy = false;
    roomy_ = roomy_->next_roomy;
  }
  return roomy_ != nullptr ? roomy_ : add_chunk(error);
}

StackChunk* StackPool::add_chunk(int* error) noexcept {
  const size_t page = os::page_size();
  const auto slots = static_cast<uint32_t>(stride_ < kChunkBytes ? kChunkBytes / stride_ : 1);
  const size_t bytes = slots == 1 ? (stride_ + page - 1) & ~(page - 1) : kChunkBytes;
  auto* chunk = static_cast<StackChunk*>(std::calloc(1, sizeof(StackChunk) + slots));
  char* memory =
      chunk == nullptr ? nullptr : static_cast<char*>(os::reserve_memory(bytes, kChunkBytes));
  if (memory == nullptr || chunk_table() == nullptr) {
    *error = errno != 0 ? errno : ENOMEM;
    std::free(chunk);
    return nullptr;
  }
  chunk->memory = memory;
  chunk->bytes = bytes;
  chunk->stride = stride_;
  chunk->slots = slots;
  chunk->next = chunks_;
  if (chunks_ != nullptr) chunks_->previous = chunk;
  chunks_ = chunk;
  chunk->next_roomy = roomy_;
  chunk->is_roomy = true;
  roomy_ = chunk;
  ++chunk_count_;
  const uintptr_t first = reinterpret_cast<uintptr_t>(memory) >> kChunkBytesLog2;
  const uintptr_t last = (reinterpret_cast<uintptr_t>(memory) + bytes - 1) >> kChunkBytesLog2;
  for (uintptr_t i = first; i <= last; ++i) chunk_table()[i].store_release(chunk);
  return chunk;
}

// Takes a cold slot; true if its guard is in place already.
bool StackPool::reserve_slot(StackChunk* chunk, uint32_t* slot) noexcept {
  uint32_t found = chunk->first_free;
  while (chunk->state[found] == SlotState::kInUse) ++found;
  const bool is_guarded = chunk->state[found] == SlotState::kCold;
  chunk->state[found] = SlotState::kInUse;
  chunk->first_free = found + 1;
  ++chunk->used;
  *slot = found;
  return is_guarded;
}

void StackPool::close_slot(StackChunk* chunk, uint32_t slot, SlotState state) noexcept {
  chunk->state[slot] = state;
  if (slot < chunk->first_free) chunk->first_free = slot;
  if (!chunk->is_roomy) {
    chunk->is_roomy = true;
    chunk->next_roomy = roomy_;
    roomy_ = chunk;
  }
  if (--chunk->used == 0) remove_chunk(chunk);
}

int StackPool::install_guard(StackChunk* chunk, uint32_t slot) noexcept {
  os::GuardKind kind = os::GuardKind::kLightweight;
  const int error =
      os::install_guard(chunk->memory + size_t{slot} * stride_, os::page_size(), &kind);
  if (error == 0 && kind == os::GuardKind::kMapping) mapping_guards_.store_relaxed(true);
  return error;
}

Stack* StackPool::make_header(StackChunk* chunk, uint32_t slot) const noexcept {
  char* low = chunk->memory + size_t{slot} * stride_;
  // The smallest stacks have no room to spare for a colour.
  const size_t colour =
      size_log2_ <= kMinLog2 + 1 ? 0 : (slot + (slot / kColours)) % kColours * kColourBytes;
  auto* stack = new (low + stride_ - colour - sizeof(Stack)) Stack{};
  stack->bottom = low + os::page_size();
  stack->chunk = chunk;
  stack->slot = slot;
  stack->size_log2 = size_log2_;
  return stack;
}

void StackPool::give_list(Stack* first, Stack* last, uint32_t count) noexcept {
  LockGuard guard(lock_);
  last->next = warm_;
  warm_ = first;
  warm_count_ += count;
  in_use_ -= count;
}

size_t StackPool::chill(size_t count) noexcept {
  for (size_t i = 0; i < count; ++i) {
    Stack* stack = warm_;
    warm_ = stack->next;
    --warm_count_;
    StackChunk* chunk = stack->chunk;
    const uint32_t slot = stack->slot;
    sanitizer::forget_stack(stack);
    char* low = chunk->memory + size_t{slot} * stride_;
    os::discard_memory(low + os::page_size(), stride_ - os::page_size());
    close_slot(chunk, slot, SlotState::kCold);
  }
  if (warm_count_ < warm_low_) warm_low_ = warm_count_;
  return count;
}

void StackPool::remove_chunk(StackChunk* chunk) noexcept {
  const uintptr_t first = reinterpret_cast<uintptr_t>(chunk->memory) >> kChunkBytesLog2;
  const uintptr_t last =
      (reinterpret_cast<uintptr_t>(chunk->memory) + chunk->bytes - 1) >> kChunkBytesLog2;
  for (uintptr_t i = first; i <= last; ++i) chunk_table()[i].store_release(nullptr);
  for (StackChunk** link = &roomy_; *link != nullptr; link = &(*link)->next_roomy) {
    if (*link == chunk) {
      *link = chunk->next_roomy;
      break;
    }
  }
  (chunk->previous != nullptr ? chunk->previous->next : chunks_) = chunk->next;
  if (chunk->next != nullptr) chunk->next->previous = chunk->previous;
  --chunk_count_;
  os::release_memory(chunk->memory, chunk->bytes);
  std::free(chunk);
}

// Chunks of which nothing is in use go as a whole, in one system call each.
void StackPool::drop_unused_chunks() noexcept {
  for (Stack* stack = warm_; stack != nullptr; stack = stack->next) ++stack->chunk->warm;
  Stack** link = &warm_;
  while (Stack* stack = *link) {
    if (stack->chunk->warm == stack->chunk->used) {
      *link = stack->next;
      --warm_count_;
      sanitizer::forget_stack(stack);
    } else {
      link = &stack->next;
    }
  }
  for (StackChunk* chunk = chunks_; chunk != nullptr;) {
    StackChunk* next = chunk->next;
    if (chunk->warm == chunk->used) remove_chunk(chunk);
    chunk = next;
  }
  for (StackChunk* chunk = chunks_; chunk != nullptr; chunk = chunk->next) chunk->warm = 0;
}

size_t StackPool::trim(size_t keep) noexcept {
  LockGuard guard(lock_);
  const size_t before = warm_count_;
  if (before <= keep) return 0;
  if (keep == 0) drop_unused_chunks();
  if (warm_count_ > keep) chill(warm_count_ - keep);
  warm_low_ = warm_count_;
  return before - warm_count_;
}

void StackPool::decay() noexcept {
  LockGuard guard(lock_);
  chill(warm_low_ / 2);
  warm_low_ = warm_count_;
}

StackPool::Use StackPool::use() const noexcept {
  LockGuard guard(lock_);
  return Use{in_use_, warm_count_, chunk_count_, mapping_guards_.load_relaxed()};
}

StackLookup StackPool::lookup(const void* address) noexcept {
  StackLookup result{};
  const uintptr_t at = reinterpret_cast<uintptr_t>(address);
  if ((at >> kAddressBits) != 0) return result;
  StackChunk* chunk = chunk_table()[at >> kChunkBytesLog2].load_acquire();
  if (chunk == nullptr) return result;
  const size_t offset = at - reinterpret_cast<uintptr_t>(chunk->memory);
  const size_t slot = offset / chunk->stride;
  if (slot >= chunk->slots) return result;
  char* low = chunk->memory + slot * chunk->stride;
  result.found = true;
  result.bottom = low + os::page_size();
  result.top = low + chunk->stride;
  result.in_guard = static_cast<const char*>(address) < result.bottom;
  return result;
}

namespace {
struct StackPools {
  alignas(StackPool) unsigned char storage[kMaxLog2 + 1][sizeof(StackPool)];
  StackPools() noexcept {
    for (uint32_t i = kMinLog2; i <= kMaxLog2; ++i) new (storage[i]) StackPool(i);
  }
  StackPool& at(uint32_t size_log2) noexcept {
    return *std::launder(reinterpret_cast<StackPool*>(storage[size_log2]));
  }
};
// Never destroyed: fibers may outlive static destruction.
StackPools& pools() noexcept {
  static auto* instance = new StackPools;
  return *instance;
}
}  // namespace

uint32_t stack_size_log2(size_t bytes) noexcept {
  uint32_t log2 = kMinLog2;
  while ((size_t{1} << log2) < bytes) ++log2;
  return log2;
}

StackPool& stack_pool(uint32_t size_log2) noexcept { return pools().at(size_log2); }

StackPool& default_stack_pool() noexcept { return stack_pool(kDefaultStackLog2); }

size_t trim_stack_pools(size_t keep_default) noexcept {
  size_t count = 0;
  for (uint32_t i = kMinLog2; i <= kMaxLog2; ++i) {
    StackPool& pool = stack_pool(i);
    count += pool.trim(&pool == &default_stack_pool() ? keep_default : 0);
  }
  return count;
}

void decay_stack_pools() noexcept {
  for (uint32_t i = kMinLog2; i <= kMaxLog2; ++i) stack_pool(i).decay();
}

}  // namespace heddle
