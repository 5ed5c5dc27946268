#include "core/blocking_pool.h"

namespace heddle {

namespace {
constexpr uint64_t kIdleNs = 5'000'000'000;  // a thread without work for so long ends
constexpr size_t kStackBytes = 256 * 1024;
}  // namespace

// A thread is started under the lock, so that nobody relies on one that the system then refuses.
int BlockingPool::start_thread_locked() noexcept {
  os::Thread thread;
  const int error = os::start_thread(&thread, "heddle-blocking", kStackBytes, thread_main, this);
  if (error != 0) return error;
  os::detach_thread(thread);
  threads_.fetch_add_relaxed(1);
  alive_.fetch_add_relaxed(1);
  return 0;
}

int BlockingPool::submit(Job* job) noexcept {
  job->next = nullptr;
  {
    LockGuard guard(lock_);
    const uint32_t threads = threads_.load_relaxed();
    if (queued_ >= idle_ && threads < kThreadLimit) {
      const int error = start_thread_locked();
      if (error != 0 && threads == 0) return error;
    }
    if (last_ != nullptr) {
      last_->next = job;
    } else {
      first_ = job;
    }
    last_ = job;
    ++queued_;
    pending_.fetch_add_acq_rel(1);
  }
  signal_.fetch_add_acq_rel(1);
  os::futex_wake(signal_, 1);
  return 0;
}

void BlockingPool::thread_main(void* self) noexcept { static_cast<BlockingPool*>(self)->serve(); }

void BlockingPool::serve() noexcept {
  uint64_t idle_deadline = os::now_ns() + kIdleNs;
  for (;;) {
    Job* job = nullptr;
    uint32_t signal;
    {
      LockGuard guard(lock_);
      signal = signal_.load_acquire();
      job = first_;
      if (job != nullptr) {
        first_ = job->next;
        if (first_ == nullptr) last_ = nullptr;
        --queued_;
      } else if (stopping_ || os::now_ns() >= idle_deadline) {
        threads_.fetch_sub_acq_rel(1);
        break;
      } else {
        ++idle_;
      }
    }
    if (job != nullptr) {
      job->run(job);  // the job is gone afterwards
      pending_.fetch_sub_acq_rel(1);
      idle_deadline = os::now_ns() + kIdleNs;
      continue;
    }
    os::futex_wait(signal_, signal, idle_deadline);
    LockGuard guard(lock_);
    --idle_;
  }
  // The last access: from here on the pool may be gone.
  alive_.fetch_sub_acq_rel(1);
}

void BlockingPool::shutdown() noexcept {
  {
    LockGuard guard(lock_);
    stopping_ = true;
    signal_.fetch_add_acq_rel(1);
  }
  os::futex_wake(signal_, INT32_MAX);
  // Nobody wakes this wait, since a thread that has counted down must touch nothing any more.
  for (uint32_t left; (left = alive_.load_acquire()) != 0;) {
    os::futex_wait(alive_, left, os::now_ns() + 1'000'000);
  }
}

}  // namespace heddle
