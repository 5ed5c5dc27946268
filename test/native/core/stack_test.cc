// Stacks and their pools: what a stack offers, what its guard does, and that memory goes back.
#include "core/stack.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <set>
#include <vector>

#include "core/sanitizer.h"
#include "os/os.h"
#include "test/native/harness.h"

namespace heddle::test {
namespace {

#ifndef MCL_ONFAULT
constexpr int MCL_ONFAULT = 4;
#endif

constexpr uint32_t kLog2 = 14;  // of tests that need no special size

std::vector<Stack*> take_many(StackPool& pool, size_t count) {
  std::vector<Stack*> stacks;
  for (size_t i = 0; i < count; ++i) {
    int error = 0;
    Stack* stack = pool.take(&error);
    REQUIRE(stack != nullptr);
    CHECK_EQ(error, 0);
    stacks.push_back(stack);
  }
  return stacks;
}

void give_all(StackPool& pool, const std::vector<Stack*>& stacks) {
  for (Stack* stack : stacks) pool.give(stack);
}

uint64_t address_space_bytes() {
  unsigned long long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%llu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * os::page_size();
}

// An emulator of another instruction set cannot start this program again.
bool can_run_children() { return run_child("a child that ends at once").exit_code == 0; }

bool died_of_a_fault(const ChildResult& child) {
  return kSanitized ? child.exit_code > 0 || child.signal != 0 : child.signal == SIGSEGV;
}

int offset_of_child() {
  const char* text = std::getenv("HEDDLE_TEST_OFFSET");
  return text == nullptr ? 0 : std::atoi(text);
}

// Writes so many bytes below the bottom of a stack, from where the environment says.
void write_below_bottom(uint32_t size_log2) {
  int error = 0;
  Stack* stack = stack_pool(size_log2).take(&error);
  REQUIRE(stack != nullptr);
  std::memset(stack->bottom, 1, 64);
  std::printf("bottom written\n");
  std::fflush(stdout);
  *static_cast<volatile char*>(stack->bottom - offset_of_child()) = 1;
  std::printf("guard written\n");
  std::fflush(stdout);
}

}  // namespace

TEST_CASE("every byte from the top to the bottom of a stack can be used") {
  for (uint32_t log2 : {12, 13, 14, 16, 18, 20}) {
    StackPool& pool = stack_pool(log2);
    const std::vector<Stack*> stacks = take_many(pool, 3);
    for (Stack* stack : stacks) {
      const size_t nominal = size_t{1} << log2;
      CHECK_EQ(stack->size_log2, log2);
      CHECK(stack->bytes() + 2048 + sizeof(Stack) >= nominal && stack->bytes() < nominal);
      std::memset(stack->bottom, 0x5C, stack->bytes());
    }
    give_all(pool, stacks);
  }
}

TEST_CASE("the size of a stack is the next power of two") {
  CHECK_EQ(stack_size_log2(1), 12u);
  CHECK_EQ(stack_size_log2(kMinStackBytes), 12u);
  CHECK_EQ(stack_size_log2(kMinStackBytes + 1), 13u);
  CHECK_EQ(stack_size_log2(kDefaultStackBytes), kDefaultStackLog2);
  CHECK_EQ(stack_size_log2(kMaxStackBytes), 30u);
}

TEST_CASE("stacks in use never overlap, and a guard lies between them") {
  StackPool& pool = stack_pool(kLog2);
  std::vector<Stack*> stacks = take_many(pool, 300);
  CHECK_EQ(pool.use().in_use, 300u);
  std::sort(stacks.begin(), stacks.end());
  for (size_t i = 1; i < stacks.size(); ++i) {
    const char* end_of_lower = reinterpret_cast<char*>(stacks[i - 1] + 1);
    CHECK(end_of_lower + os::page_size() <= stacks[i]->bottom);
  }
  give_all(pool, stacks);
  CHECK_EQ(pool.use().in_use, 0u);
}

TEST_CASE("the stack that was given back last is taken first") {
  StackPool& pool = stack_pool(kLog2);
  const std::vector<Stack*> stacks = take_many(pool, 3);
  give_all(pool, stacks);
  const std::vector<Stack*> again = take_many(pool, 3);
  CHECK(again[0] == stacks[2]);
  CHECK(again[1] == stacks[1]);
  CHECK(again[2] == stacks[0]);
  give_all(pool, again);
}

TEST_CASE("several warm stacks are taken and given as one list") {
  StackPool& pool = stack_pool(kLog2);
  pool.trim(0);
  give_all(pool, take_many(pool, 5));
  int error = 0;
  Stack* list = pool.take_list(4, &error);
  uint32_t length = 1;
  Stack* last = list;
  for (; last->next != nullptr; last = last->next) ++length;
  CHECK_EQ(length, 4u);
  CHECK_EQ(pool.use().in_use, 4u);
  CHECK_EQ(pool.use().warm, 1u);
  pool.give_list(list, last, length);
  CHECK_EQ(pool.use().warm, 5u);
}

TEST_CASE("tops of neighbouring stacks lie in different cache sets") {
  StackPool& pool = stack_pool(kDefaultStackLog2);
  const std::vector<Stack*> stacks = take_many(pool, 64);
  std::set<uintptr_t> distances;
  for (Stack* stack : stacks) {
    distances.insert(reinterpret_cast<uintptr_t>(stack->top()) % os::page_size());
  }
  CHECK(distances.size() >= 16);
  give_all(pool, stacks);
}

TEST_CASE("an address is found in its stack, in its guard, or in none") {
  StackPool& pool = stack_pool(kLog2);
  const std::vector<Stack*> stacks = take_many(pool, 2);
  for (Stack* stack : stacks) {
    for (const char* inside : {stack->bottom, static_cast<char*>(stack->top()) - 1}) {
      const StackLookup found = StackPool::lookup(inside);
      CHECK(found.found && !found.in_guard);
      CHECK_EQ(static_cast<void*>(found.bottom), static_cast<void*>(stack->bottom));
      CHECK(found.top > inside);
    }
    for (size_t below : {size_t{1}, os::page_size()}) {
      const StackLookup found = StackPool::lookup(stack->bottom - below);
      CHECK(found.found && found.in_guard);
    }
  }
  give_all(pool, stacks);
  int local = 0;
  CHECK(!StackPool::lookup(&local).found);
  CHECK(!StackPool::lookup(nullptr).found);
  CHECK(!StackPool::lookup(reinterpret_cast<void*>(UINTPTR_MAX)).found);
}

TEST_CASE("a chunk without stacks in use is unmapped whole") {
  StackPool& pool = stack_pool(20);
  pool.trim(0);
  const uint64_t chunks = pool.use().chunks;
  const std::vector<Stack*> stacks = take_many(pool, 40);  // 15 of them fill a chunk
  CHECK(pool.use().chunks >= chunks + 2);
  const void* inside = stacks[20]->bottom;
  CHECK(StackPool::lookup(inside).found);
  give_all(pool, stacks);
  CHECK_EQ(pool.use().warm, 40u);
  CHECK_EQ(pool.trim(0), 40u);
  CHECK_EQ(pool.use().chunks, chunks);
  CHECK_EQ(pool.use().warm, 0u);
  CHECK(!StackPool::lookup(inside).found);
}

// Pitfall 27: what was given back to the system does not come again with somebody's bytes.
TEST_CASE("trimmed stacks of a chunk that stays give their pages back") {
  StackPool& pool = stack_pool(kDefaultStackLog2);
  pool.trim(0);
  std::vector<Stack*> stacks = take_many(pool, 8);
  Stack* kept = stacks.back();  // keeps the chunk
  stacks.pop_back();
  for (Stack* stack : stacks) std::memset(stack->bottom, 0x5C, stack->bytes());
  char* bottom = stacks[0]->bottom;
  give_all(pool, stacks);
  CHECK_EQ(pool.trim(2), 5u);
  CHECK_EQ(pool.use().warm, 2u);
  CHECK_EQ(pool.trim(0), 2u);
  unsigned char resident = 1;
  REQUIRE(mincore(bottom, os::page_size(), &resident) == 0);
  CHECK_EQ(resident & 1, 0);
  const std::vector<Stack*> again = take_many(pool, 7);
  for (Stack* stack : again) {
    for (size_t i = 0; i < stack->bytes(); i += 512) CHECK_EQ(int{stack->bottom[i]}, 0);
  }
  give_all(pool, again);
  pool.give(kept);
}

TEST_CASE("stacks that stay unused are given back by and by, those in use never") {
  StackPool& pool = stack_pool(15);
  pool.trim(0);
  const std::vector<Stack*> used = take_many(pool, 4);
  give_all(pool, take_many(pool, 16));
  const uint64_t warm = pool.use().warm;
  pool.decay();
  pool.decay();
  CHECK(pool.use().warm < warm && pool.use().warm > 0);
  for (int i = 0; i < 10; ++i) pool.decay();
  CHECK(pool.use().warm <= 1);
  CHECK_EQ(pool.use().in_use, 4u);
  for (Stack* stack : used) std::memset(stack->bottom, 1, stack->bytes());
  give_all(pool, used);
}

TEST_CASE("a trim of all pools leaves what is in use") {
  std::vector<Stack*> used;
  for (uint32_t log2 : {12, 16, 18}) {
    const std::vector<Stack*> stacks = take_many(stack_pool(log2), 2);
    stack_pool(log2).give(stacks[0]);
    used.push_back(stacks[1]);
  }
  trim_stack_pools(0);
  for (Stack* stack : used) {
    std::memset(stack->bottom, 1, stack->bytes());
    CHECK_EQ(stack_pool(stack->size_log2).use().warm, 0u);
    CHECK_EQ(stack_pool(stack->size_log2).use().in_use, 1u);
    stack_pool(stack->size_log2).give(stack);
  }
}

CHILD_CASE("a child that ends at once") {}
CHILD_CASE("writes below a small stack") { write_below_bottom(kLog2); }
CHILD_CASE("writes below a default stack") { write_below_bottom(kDefaultStackLog2); }

TEST_CASE("a write anywhere into the guard ends the process") {
  if (!can_run_children()) return;
  for (const char* name : {"writes below a small stack", "writes below a default stack"}) {
    for (const char* offset : {"HEDDLE_TEST_OFFSET=1", "HEDDLE_TEST_OFFSET=4096"}) {
      const ChildResult child = run_child(name, offset);
      CHECK(died_of_a_fault(child));
      CHECK(child.output.find("bottom written") != std::string::npos);
      CHECK(child.output.find("guard written") == std::string::npos);
    }
  }
}

CHILD_CASE("writes below a stack of locked memory") {
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    std::printf("not allowed to lock memory\n");
    return;
  }
  StackPool& pool = stack_pool(kLog2);
  const std::vector<Stack*> stacks = take_many(pool, 4);
  CHECK(pool.use().mapping_guards);
  for (Stack* stack : stacks) std::memset(stack->bottom, 0x5C, stack->bytes());
  Stack* kept = stacks[3];
  give_all(pool, {stacks[0], stacks[1], stacks[2]});
  pool.trim(0);
  for (Stack* stack : take_many(pool, 3)) {
    for (size_t i = 0; i < stack->bytes(); i += 512) CHECK_EQ(int{stack->bottom[i]}, 0);
  }
  std::printf("locked stacks used\n");
  std::fflush(stdout);
  *static_cast<volatile char*>(kept->bottom - 1) = 1;
}

// Pitfall 17: locked memory refuses lightweight guards, and does not give its pages back.
TEST_CASE("stacks of locked memory are guarded by a mapping") {
  // Sanitizers map terabytes of shadow, which nobody can lock.
  if (kSanitized || !can_run_children()) return;
  const ChildResult child = run_child("writes below a stack of locked memory");
  if (child.output.find("not allowed") != std::string::npos) return;
  CHECK(child.output.find("locked stacks used") != std::string::npos);
  CHECK_EQ(child.signal, SIGSEGV);
}

CHILD_CASE("takes stacks until mappings are refused") {
  unsigned long long limit = 0;
  if (std::FILE* file = std::fopen("/proc/sys/vm/max_map_count", "re")) {
    if (std::fscanf(file, "%llu", &limit) != 1) limit = 0;
    std::fclose(file);
  }
  constexpr unsigned long long kDefaultLimit = 65'530;
  if (limit == 0 || limit > kDefaultLimit ||
      mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    std::printf("not allowed to lock memory, or too many mappings\n");
    return;
  }
  StackPool& pool = stack_pool(12);
  int error = 0;
  Stack* stacks = nullptr;  // in a list, since allocations may be refused as well
  uint64_t count = 0;
  while (Stack* stack = pool.take(&error)) {
    REQUIRE(++count <= kDefaultLimit);
    stack->next = stacks;
    stacks = stack;
  }
  CHECK_EQ(error, ENOMEM);
  CHECK(count > 1000);
  CHECK_EQ(pool.use().in_use, count);
  CHECK(pool.use().mapping_guards);
  while (Stack* stack = stacks) {
    stacks = stack->next;
    pool.give(stack);
  }
  CHECK_EQ(pool.trim(0), count);
  CHECK_EQ(pool.use().chunks, 0u);
  give_all(pool, take_many(pool, 100));
}

// Pitfall 26: vm.max_map_count is the limit where guards are mappings.
TEST_CASE("a refusal of mappings is an error that the pool survives") {
  if (kSanitized || !can_run_children()) return;
  const ChildResult child = run_child("takes stacks until mappings are refused");
  CHECK_EQ(child.exit_code, 0);
  if (child.exit_code != 0) std::printf("%s\n", child.output.c_str());
}

CHILD_CASE("takes stacks until memory is refused") {
  StackPool& pool = stack_pool(20);
  rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = address_space_bytes() + (size_t{100} << 20);
  REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
  std::vector<Stack*> stacks;
  int error = 0;
  for (;;) {
    Stack* stack = pool.take(&error);
    if (stack == nullptr) break;
    REQUIRE(stacks.size() < 1000);
    std::memset(stack->bottom, 1, 64);
    stacks.push_back(stack);
  }
  CHECK_EQ(error, ENOMEM);
  CHECK(stacks.size() > 10);
  CHECK_EQ(pool.use().in_use, stacks.size());
  pool.give(stacks.back());
  CHECK(pool.take(&error) == stacks.back());  // what there is can still be had
  limit.rlim_cur = before;
  REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
  stacks.push_back(pool.take(&error));
  REQUIRE(stacks.back() != nullptr);
  give_all(pool, stacks);
  pool.trim(0);
  CHECK_EQ(pool.use().chunks, 0u);
}

// Pitfall 26.
TEST_CASE("a refusal of address space is an error that the pool survives") {
  // Sanitizers allocate while they run, and end the process when that is refused.
  if (kSanitized || !can_run_children()) return;
  const ChildResult child = run_child("takes stacks until memory is refused");
  CHECK_EQ(child.exit_code, 0);
  if (child.exit_code != 0) std::printf("%s\n", child.output.c_str());
}

}  // namespace heddle::test
