// Real memory, simulated refusals. What is given back is forgotten by the memory model: zeros that
// come out of it are no store that anybody could miss.
#include <cerrno>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

#include "os/sim/world.h"

namespace heddle::os {

using sim::world;

namespace {
bool refused() noexcept {
  if (!sim::running || !sim::one_in(world().settings().refused_memory_one_in)) return false;
  world().note(sim::StepKind::kFault, __builtin_return_address(0), 0, ENOMEM);
  return true;
}

void forget(void* address, size_t bytes) noexcept {
  if (sim::running) world().memory().forget_range(address, bytes);
}
}  // namespace

size_t page_size() noexcept {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

void* reserve_memory(size_t bytes, size_t alignment) noexcept {
  if (refused()) {
    errno = ENOMEM;
    return nullptr;
  }
  const size_t slack = alignment > page_size() ? alignment : 0;
  void* mapping = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  const uintptr_t start = reinterpret_cast<uintptr_t>(mapping);
  const uintptr_t aligned = (start + alignment - 1) & ~(uintptr_t{alignment} - 1);
  forget(reinterpret_cast<void*>(aligned), bytes);
  return reinterpret_cast<void*>(aligned);
}

void release_memory(void* address, size_t bytes) noexcept {
  forget(address, bytes);
  munmap(address, bytes);
}

void discard_memory(void* address, size_t bytes) noexcept {
  forget(address, bytes);
  if (madvise(address, bytes, MADV_DONTNEED) != 0) std::memset(address, 0, bytes);
}

int install_guard(void* address, size_t bytes, GuardKind* kind) noexcept {
  if (refused()) return ENOMEM;
  if (mprotect(address, bytes, PROT_NONE) != 0) return errno;
  *kind = GuardKind::kMapping;
  return 0;
}

MemoryUse memory_use() noexcept { return MemoryUse{0, 0}; }

}  // namespace heddle::os
