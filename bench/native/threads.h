// The pthread side of the benchmarks: what the same units cost as OS threads.
#pragma once

#include <string>
#include <vector>

#include "os/os.h"

namespace heddle::bench {

inline constexpr size_t kThreadStackBytes = 64 * 1024;

// Why the system refused a thread, in words that name the limit.
std::string refusal(int error);

// The calling thread, and those that it starts from now on, run on so many CPUs at most.
void use_cpus(uint32_t count) noexcept;

// n threads that wait at a gate until it opens; fewer if the system refuses.
class ParkedThreads {
 public:
  explicit ParkedThreads(uint64_t count, size_t stack_bytes = kThreadStackBytes);
  ~ParkedThreads();
  uint64_t started() const noexcept { return threads_.size(); }
  int error() const noexcept { return error_; }
  void release() noexcept;

 private:
  static void wait_at_gate(void* self) noexcept;

  std::vector<os::Thread> threads_;
  Atomic<uint32_t> arrived_{0};
  Atomic<uint32_t> open_{0};
  int error_ = 0;
};

}  // namespace heddle::bench
