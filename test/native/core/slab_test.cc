// Pools of blocks: reuse, what survives in a free block, and slabs that go back to the system.
#include "core/slab.h"

#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "core/waiter.h"
#include "test/native/harness.h"

namespace heddle::test {
namespace {

constexpr size_t kSlabBytes = 64 * 1024;

// A block as descriptors are: a word that must survive, then the pool's link.
struct Block {
  uint64_t word;
  void* link;
  uint64_t payload[6];
};
constexpr size_t kLinkOffset = offsetof(Block, link);
constexpr size_t kPerSlab = kSlabBytes / sizeof(Block);

// Pools are never destroyed, since blocks stay readable for ever; each case leaves its own behind.
std::vector<void*> take_many(SlabPool& pool, size_t count) {
  std::vector<void*> blocks(count);
  REQUIRE(pool.take(blocks.data(), count) == count);
  return blocks;
}

uint64_t retired_sum = 0;
void add_retired(void* block) { retired_sum += static_cast<Block*>(block)->word; }

}  // namespace

TEST_CASE("blocks do not overlap, within a slab and across slabs") {
  SlabPool pool(sizeof(Block), kLinkOffset, nullptr);
  const std::vector<void*> blocks = take_many(pool, 3 * kPerSlab);
  const std::set<void*> ordered(blocks.begin(), blocks.end());
  CHECK_EQ(ordered.size(), blocks.size());
  const char* previous = nullptr;
  for (void* block : ordered) {
    auto* at = static_cast<char*>(block);
    CHECK(previous == nullptr || at >= previous + sizeof(Block));
    CHECK_EQ(reinterpret_cast<uintptr_t>(at) % 64, 0u);
    std::memset(at, 0x5C, sizeof(Block));
    previous = at;
  }
  CHECK_EQ(pool.resident_bytes(), 3 * kSlabBytes);
  pool.give(blocks.data(), blocks.size());
}

TEST_CASE("fresh blocks read zero") {
  SlabPool pool(sizeof(Block), kLinkOffset, nullptr);
  for (void* block : take_many(pool, 100)) CHECK_EQ(static_cast<Block*>(block)->word, 0u);
}

TEST_CASE("a free block keeps everything but its link") {
  SlabPool pool(sizeof(Block), kLinkOffset, nullptr);
  const std::vector<void*> blocks = take_many(pool, 10);
  for (size_t i = 0; i < blocks.size(); ++i) {
    auto* block = static_cast<Block*>(blocks[i]);
    block->word = i + 1;
    block->payload[5] = i + 100;
  }
  pool.give(blocks.data(), blocks.size());
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto* block = static_cast<Block*>(blocks[i]);
    CHECK_EQ(block->word, i + 1);
    CHECK_EQ(block->payload[5], i + 100);
  }
}

TEST_CASE("free blocks are taken again before a new slab is opened") {
  SlabPool pool(sizeof(Block), kLinkOffset, nullptr);
  const std::vector<void*> first = take_many(pool, kPerSlab);
  for (int round = 0; round < 20; ++round) {
    pool.give(first.data(), first.size() / 2);
    const std::vector<void*> again = take_many(pool, first.size() / 2);
    CHECK(std::set<void*>(again.begin(), again.end()) ==
          std::set<void*>(first.begin(), first.begin() + again.size()));
  }
  CHECK_EQ(pool.resident_bytes(), kSlabBytes);
}

TEST_CASE("a batch that was given is the next one taken, and a trim takes it apart") {
  SlabPool pool(sizeof(Block), kLinkOffset, nullptr);
  const std::vector<void*> blocks = take_many(pool, SlabPool::kBatch);
  for (void* block : blocks) static_cast<Block*>(block)->payload[5] = 5;
  pool.give(blocks.data(), blocks.size());
  CHECK(take_many(pool, SlabPool::kBatch) == blocks);
  pool.give(blocks.data(), blocks.size());
  CHECK(pool.trim() != 0);
  CHECK_EQ(pool.resident_bytes(), 0u);
  for (void* block : blocks) CHECK_EQ(static_cast<Block*>(block)->payload[5], 0u);
}

TEST_CASE("only slabs without a taken block are given back, and read zero afterwards") {
  SlabPool pool(sizeof(Block), kLinkOffset, add_retired);
  std::vector<void*> blocks = take_many(pool, 3 * kPerSlab);
  for (void* block : blocks) static_cast<Block*>(block)->word = 1;
  CHECK_EQ(pool.trim(), 0u);
  auto* kept = static_cast<Block*>(blocks[0]);
  kept->word = 77;
  pool.give(blocks.data() + 1, blocks.size() - 1);
  retired_sum = 0;
  CHECK_EQ(pool.trim(), 2 * kSlabBytes);
  CHECK_EQ(retired_sum, 2 * kPerSlab);  // each block of the two slabs was shown once
  CHECK_EQ(pool.resident_bytes(), kSlabBytes);
  CHECK_EQ(kept->word, 77u);
  uint32_t zero = 0;
  for (void* block : blocks) zero += static_cast<Block*>(block)->word == 0;  // still readable
  CHECK_EQ(zero, 2 * kPerSlab);
  CHECK_EQ(pool.trim(), 0u);
  // They are opened again before fresh ones.
  blocks = take_many(pool, 3 * kPerSlab - 1);
  CHECK_EQ(pool.resident_bytes(), 3 * kSlabBytes);
  pool.give(blocks.data(), blocks.size());
}

TEST_CASE("a walk meets every block that was handed out, free or not") {
  SlabPool pool(sizeof(Block), kLinkOffset, nullptr);
  const std::vector<void*> blocks = take_many(pool, kPerSlab + 10);
  pool.give(blocks.data(), 5);
  std::set<void*> met;
  pool.for_each([](void* block, void* set) { static_cast<std::set<void*>*>(set)->insert(block); },
                &met);
  for (void* block : blocks) CHECK(met.count(block) == 1);
  CHECK(met.size() <= 2 * kPerSlab);
}

TEST_CASE("a magazine takes and gives in batches and keeps nothing after a flush") {
  SlabPool pool(sizeof(Block), kLinkOffset, nullptr);
  Magazine magazine;
  CHECK(magazine.try_take() == nullptr);
  std::set<void*> taken;
  for (int i = 0; i < 2000; ++i) taken.insert(magazine.take(pool));
  CHECK_EQ(taken.size(), 2000u);
  CHECK_EQ(taken.count(nullptr), 0u);
  void* last = nullptr;
  for (void* block : taken) magazine.give(pool, last = block);
  CHECK(magazine.try_take() == last);  // the warmest first
  magazine.give(pool, last);
  magazine.flush(pool);
  CHECK(magazine.try_take() == nullptr);
  pool.trim();
  CHECK_EQ(pool.resident_bytes(), 0u);
}

TEST_CASE("threads that share a pool never get the same block") {
  SlabPool pool(sizeof(Block), kLinkOffset, nullptr);
  constexpr int kThreads = 3;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&pool, t] {
      Magazine magazine;
      std::vector<Block*> held;
      for (uint64_t round = 0; round < 200; ++round) {
        for (int i = 0; i < 40; ++i) {
          auto* block = static_cast<Block*>(magazine.take(pool));
          block->payload[0] = static_cast<uint64_t>(t);
          block->payload[1] = round;
          held.push_back(block);
        }
        for (Block* block : held) {
          CHECK_EQ(block->payload[0], static_cast<uint64_t>(t));
          CHECK_EQ(block->payload[1], round);
          magazine.give(pool, block);
        }
        held.clear();
        if (round % 50 == 0) pool.trim();
      }
      magazine.flush(pool);
    });
  }
  for (std::thread& thread : threads) thread.join();
  pool.trim();
  CHECK_EQ(pool.resident_bytes(), 0u);
}

// A wake-up that was kept from a former life of the same memory must stay stale.
TEST_CASE("epochs of memory that was given back are never used again") {
  const uint64_t before = fresh_epoch();
  retire_epoch(before + 10);
  CHECK(fresh_epoch() > before + 10);
  retire_epoch(3);  // an older one changes nothing
  CHECK(fresh_epoch() > before + 10);
}

}  // namespace heddle::test
