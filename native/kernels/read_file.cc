// readFile(path): the whole file. The system calls are made through blocking(), so only the task
// waits; the buffer is on the heap, because a compact fiber's stack moves.
#include <cerrno>
#include <new>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/blocking.h"
#include "kernels/kernel.h"

namespace heddle {

namespace {

constexpr size_t kFirstBytes = 64 * 1024;                 // for files that do not tell their size
constexpr size_t kMostBytes = size_t{1} << 32;            // what a Uint8Array can hold everywhere
constexpr size_t kReadBytes = size_t{512} * 1024 * 1024;  // below the limit of one read()

struct File {
  int descriptor = -1;
  ~File() {
    if (descriptor >= 0) close(descriptor);
  }
};

Value resized(const Value& from, size_t used, size_t length) {
  Value grown;
  unsigned char* memory = grown.set_bytes(length);
  if (memory == nullptr) throw std::bad_alloc();
  __builtin_memcpy(memory, from.bytes().data, used);
  return grown;
}

size_t first_guess(const struct stat& status, const std::string& path) {
  if (S_ISDIR(status.st_mode)) throw SystemFailure(EISDIR, "read", path);
  const auto size = static_cast<size_t>(status.st_size);
  if (size > kMostBytes) throw SystemFailure(EFBIG, "read", path);
  // One byte more than the size, so that the end is seen without growing.
  return size == 0 ? kFirstBytes : size + 1;
}

Value read_whole(const std::string& path) {
  File file;
  do {
    file.descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  } while (file.descriptor < 0 && errno == EINTR);
  if (file.descriptor < 0) throw SystemFailure(errno, "open", path);
  struct stat status{};
  if (fstat(file.descriptor, &status) != 0) throw SystemFailure(errno, "fstat", path);
  size_t capacity = first_guess(status, path);
  Value bytes;
  if (bytes.set_bytes(capacity) == nullptr) throw std::bad_alloc();
  size_t used = 0;
  for (;;) {
    if (used == capacity) {
      if (capacity >= kMostBytes) throw SystemFailure(EFBIG, "read", path);
      capacity *= 2;
      bytes = resized(bytes, used, capacity);
    }
    const size_t room = capacity - used < kReadBytes ? capacity - used : kReadBytes;
    auto* at = const_cast<unsigned char*>(bytes.bytes().data) + used;
    const ssize_t count = read(file.descriptor, at, room);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw SystemFailure(errno, "read", path);
    if (count == 0) break;
    used += static_cast<size_t>(count);
  }
  bytes.shorten(used);
  return bytes;
}

void run(KernelCall& call) { call.result() = blocking(read_whole, call.at(0).utf8()); }

}  // namespace

const Kernel kReadFileKernel = {
    "readFile", run, StackClass::kCompact, 1, {{"path", ArgumentKind::kText}}};

}  // namespace heddle
