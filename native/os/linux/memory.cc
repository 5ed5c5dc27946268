#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/os.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102  // Linux 6.13, include/uapi/asm-generic/mman-common.h
#endif

namespace heddle::os {

size_t page_size() noexcept {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

void* reserve_memory(size_t bytes, size_t alignment) noexcept {
  const size_t page = page_size();
  const size_t slack = alignment > page ? alignment - page : 0;
  if (bytes > SIZE_MAX - slack) {
    errno = ENOMEM;
    return nullptr;
  }
  void* mapping = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  const uintptr_t start = reinterpret_cast<uintptr_t>(mapping);
  const uintptr_t aligned = (start + alignment - 1) & ~(uintptr_t{alignment} - 1);
  const size_t before = aligned - start;
  const size_t after = slack - before;
  if (before != 0) munmap(mapping, before);
  if (after != 0) munmap(reinterpret_cast<void*>(aligned + bytes), after);
  // A huge page under a small stack would be 2 MiB resident for a few hundred bytes in use.
  madvise(reinterpret_cast<void*>(aligned), bytes, MADV_NOHUGEPAGE);
  return reinterpret_cast<void*>(aligned);
}

void release_memory(void* address, size_t bytes) noexcept { munmap(address, bytes); }

void discard_memory(void* address, size_t bytes) noexcept {
  // Locked memory refuses MADV_DONTNEED; then the pages stay, but must still read zero.
  if (madvise(address, bytes, MADV_DONTNEED) != 0) std::memset(address, 0, bytes);
}

int install_guard(void* address, size_t bytes, GuardKind* kind) noexcept {
  static Atomic<bool> lightweight_refused{false};
  if (!lightweight_refused.load_relaxed()) {
    if (madvise(address, bytes, MADV_GUARD_INSTALL) == 0) {
      *kind = GuardKind::kLightweight;
      return 0;
    }
    lightweight_refused.store_relaxed(true);
  }
  if (mprotect(address, bytes, PROT_NONE) != 0) return errno;
  *kind = GuardKind::kMapping;
  return 0;
}

MemoryUse memory_use() noexcept {
  MemoryUse use{0, 0};
  char text[4096];
  const int file = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return use;
  const ssize_t length = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (length <= 0) return use;
  text[length] = '\0';
  unsigned long long kib = 0;
  if (const char* line = std::strstr(text, "VmRSS:")) {
    if (std::sscanf(line + 6, "%llu", &kib) == 1) use.resident_bytes = kib * 1024;
  }
  if (const char* line = std::strstr(text, "VmPTE:")) {
    if (std::sscanf(line + 6, "%llu", &kib) == 1) use.page_table_bytes = kib * 1024;
  }
  return use;
}

}  // namespace heddle::os
