// OS threads for blocking calls of compact fibers, whose stacks cannot stay behind in the call.
// Threads start on demand, up to a cap, and end after a while without work.
#pragma once

#include "core/lock.h"
#include "os/os.h"

namespace heddle {

class BlockingPool {
 public:
  struct Job {
    void (*run)(Job* job);
    Job* next;
  };
  static constexpr uint32_t kThreadLimit = 64;

  // Runs `job->run(job)` on a thread of the pool, in order of submission. 0 or an errno value if
  // no thread exists and none can be started.
  int submit(Job* job) noexcept;
  uint32_t pending() const noexcept { return pending_.load_acquire(); }
  uint32_t threads() const noexcept { return threads_.load_relaxed(); }
  void shutdown() noexcept;

 private:
  static void thread_main(void* self) noexcept;
  void serve() noexcept;
  int start_thread_locked() noexcept;

  Lock lock_{LockRank::kBlockingPool};
  Job* first_ = nullptr;
  Job* last_ = nullptr;
  uint32_t idle_ = 0;
  uint32_t queued_ = 0;
  bool stopping_ = false;
  Atomic<uint32_t> threads_{0};  // that serve; under the lock but for reports
  Atomic<uint32_t> alive_{0};    // that may still touch the pool
  Atomic<uint32_t> pending_{0};  // submitted and not finished
  Atomic<uint32_t> signal_{0};
};

}  // namespace heddle
