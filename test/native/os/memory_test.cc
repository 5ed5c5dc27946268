// Address space, pages and guards.
#include <sys/mman.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "core/sanitizer.h"
#include "os/os.h"
#include "test/native/harness.h"

namespace heddle::test {
namespace {

bool died_of_a_fault(const ChildResult& child) {
  return kSanitized ? child.exit_code > 0 || child.signal != 0 : child.signal == SIGSEGV;
}

}  // namespace

TEST_CASE("a page is a power of two of at least 4 KiB") {
  const size_t page = os::page_size();
  CHECK(page >= 4096);
  CHECK_EQ(page & (page - 1), 0u);
}

TEST_CASE("reserved memory is aligned as asked, zero, and can be written") {
  for (size_t alignment : {os::page_size(), size_t{64} << 10, size_t{16} << 20, size_t{64} << 20}) {
    const size_t bytes = 4 * os::page_size();
    auto* memory = static_cast<unsigned char*>(os::reserve_memory(bytes, alignment));
    REQUIRE(memory != nullptr);
    CHECK_EQ(reinterpret_cast<uintptr_t>(memory) % alignment, 0u);
    for (size_t i = 0; i < bytes; i += 64) CHECK_EQ(int{memory[i]}, 0);
    std::memset(memory, 0x5C, bytes);
    os::release_memory(memory, bytes);
  }
}

// Pitfall 28.
TEST_CASE("a size that does not exist is refused, also where the alignment overflows it") {
  errno = 0;
  CHECK(os::reserve_memory(SIZE_MAX, os::page_size()) == nullptr);
  CHECK_EQ(errno, ENOMEM);
  errno = 0;
  CHECK(os::reserve_memory(SIZE_MAX - os::page_size(), size_t{1} << 30) == nullptr);
  CHECK_EQ(errno, ENOMEM);
  CHECK(os::reserve_memory(size_t{1} << 50, os::page_size()) == nullptr);
}

TEST_CASE("what is reserved costs no memory until it is touched") {
  if (kSanitized) return;  // their shadow counts as well
  const size_t bytes = size_t{256} << 20;
  const uint64_t before = os::memory_use().resident_bytes;
  CHECK(before > 0);
  auto* memory = static_cast<char*>(os::reserve_memory(bytes, os::page_size()));
  REQUIRE(memory != nullptr);
  CHECK(os::memory_use().resident_bytes < before + (size_t{16} << 20));
  std::memset(memory, 1, bytes / 4);
  CHECK(os::memory_use().resident_bytes > before + bytes / 8);
  CHECK(os::memory_use().page_table_bytes > 0);
  os::release_memory(memory, bytes);
  CHECK(os::memory_use().resident_bytes < before + (size_t{16} << 20));
}

// Pitfall 27.
TEST_CASE("discarded pages read zero and cost nothing, their neighbours stay") {
  const size_t page = os::page_size();
  auto* memory = static_cast<unsigned char*>(os::reserve_memory(4 * page, page));
  REQUIRE(memory != nullptr);
  std::memset(memory, 0x5C, 4 * page);
  os::discard_memory(memory + page, 2 * page);
  unsigned char resident[4] = {};
  REQUIRE(mincore(memory, 4 * page, resident) == 0);
  CHECK_EQ(resident[0] & 1, 1);
  CHECK_EQ(resident[1] & 1, 0);
  CHECK_EQ(resident[2] & 1, 0);
  CHECK_EQ(int{memory[page - 1]}, 0x5C);
  CHECK_EQ(int{memory[3 * page]}, 0x5C);
  for (size_t i = page; i < 3 * page; ++i) CHECK_EQ(int{memory[i]}, 0);
  os::release_memory(memory, 4 * page);
}

// Pitfall 17.
TEST_CASE("discarded pages of locked memory read zero too") {
  const size_t page = os::page_size();
  auto* memory = static_cast<unsigned char*>(os::reserve_memory(2 * page, page));
  REQUIRE(memory != nullptr);
  if (mlock(memory, 2 * page) == 0) {
    std::memset(memory, 0x5C, 2 * page);
    os::discard_memory(memory, page);
    for (size_t i = 0; i < page; ++i) CHECK_EQ(int{memory[i]}, 0);
    CHECK_EQ(int{memory[page]}, 0x5C);
  }
  os::release_memory(memory, 2 * page);
}

TEST_CASE("the pages beside a guard can be used") {
  const size_t page = os::page_size();
  auto* memory = static_cast<unsigned char*>(os::reserve_memory(3 * page, page));
  REQUIRE(memory != nullptr);
  auto kind = static_cast<os::GuardKind>(99);
  CHECK_EQ(os::install_guard(memory + page, page, &kind), 0);
  CHECK(kind == os::GuardKind::kLightweight || kind == os::GuardKind::kMapping);
  std::memset(memory, 1, page);
  std::memset(memory + 2 * page, 1, page);
  os::release_memory(memory, 3 * page);
}

CHILD_CASE("reads or writes a guard") {
  const size_t page = os::page_size();
  auto* memory = static_cast<char*>(os::reserve_memory(2 * page, page));
  os::GuardKind kind;
  REQUIRE(os::install_guard(memory, page, &kind) == 0);
  volatile char* guarded = memory;
  if (std::getenv("HEDDLE_TEST_WRITES") != nullptr) {
    guarded[page - 1] = 1;
  } else {
    static_cast<void>(guarded[0] == 1);
  }
  std::printf("the guard was passed\n");
}

TEST_CASE("a read or write of a guard traps") {
  for (const char* extra : {"HEDDLE_TEST_WRITES=1", "HEDDLE_TEST_READS=1"}) {
    const ChildResult child = run_child("reads or writes a guard", extra);
    CHECK(died_of_a_fault(child));
    CHECK(child.output.find("passed") == std::string::npos);
  }
}

}  // namespace heddle::test
