#include "kernels/block.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "core/lock.h"

namespace heddle {

namespace {
constexpr size_t kSmallestPooled = size_t{64} << 10;
constexpr int kClasses = 9;  // 64 KiB to 16 MiB, by powers of two
constexpr size_t kMostPooled = size_t{64} << 20;
}  // namespace

struct BlockPool {
  Lock lock{LockRank::kLeaf};
  Block* free[kClasses] = {};
  size_t bytes = 0;

  static BlockPool& get() noexcept {
    static auto* pool = new BlockPool;  // never destroyed
    return *pool;
  }
  static size_t size_of(int size_class) noexcept { return kSmallestPooled << size_class; }

  Block* take(int size_class) noexcept {
    LockGuard guard(lock);
    Block* const block = free[size_class];
    if (block == nullptr) return nullptr;
    free[size_class] = block->next_;
    bytes -= size_of(size_class);
    return block;
  }
  bool give(Block* block) noexcept {
    LockGuard guard(lock);
    if (bytes + size_of(block->class_) > kMostPooled) return false;
    bytes += size_of(block->class_);
    block->next_ = free[block->class_];
    free[block->class_] = block;
    return true;
  }
};

Block* Block::make(size_t length, bool zeroed) noexcept {
  int size_class = -1;
  size_t room = length;
  if (length > kSmallestPooled / 2 && length <= BlockPool::size_of(kClasses - 1)) {
    size_class = 0;
    while (BlockPool::size_of(size_class) < length) ++size_class;
    room = BlockPool::size_of(size_class);
    if (Block* const warm = BlockPool::get().take(size_class)) {
      warm->length_ = length;
      warm->references_.store_relaxed(1);
      if (zeroed) std::memset(warm->data(), 0, length);
      return warm;
    }
  }
  if (room > SIZE_MAX - kHeadBytes) return nullptr;
  void* const memory = zeroed ? std::calloc(1, kHeadBytes + room) : std::malloc(kHeadBytes + room);
  return memory == nullptr ? nullptr : new (memory) Block(length, size_class);
}

Block* Block::of(void* data) noexcept {
  return reinterpret_cast<Block*>(static_cast<unsigned char*>(data) - kHeadBytes);
}

void Block::release() noexcept {
  if (references_.fetch_sub_acq_rel(1) != 1) return;
  if (class_ >= 0 && BlockPool::get().give(this)) return;
  std::free(static_cast<void*>(this));
}

}  // namespace heddle
