#include "threads.h"

#include <sched.h>

#include <cerrno>
#include <climits>
#include <cstring>

namespace heddle::bench {

std::string refusal(int error) {
  std::string reason = std::strerror(error);
  if (error == EAGAIN) {
    reason +=
        " (a limit on threads: ulimit -u, kernel.threads-max, vm.max_map_count or the pids cgroup)";
  } else if (error == ENOMEM) {
    reason += " (no memory for its stack, or vm.max_map_count)";
  }
  return reason;
}

void use_cpus(uint32_t count) noexcept {
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof usable, &usable) != 0) return;
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  for (int cpu = 0; cpu < CPU_SETSIZE && count > 0; ++cpu) {
    if (!CPU_ISSET(cpu, &usable)) continue;
    CPU_SET(cpu, &chosen);
    --count;
  }
  sched_setaffinity(0, sizeof chosen, &chosen);
}

void ParkedThreads::wait_at_gate(void* self) noexcept {
  auto* gate = static_cast<ParkedThreads*>(self);
  gate->arrived_.fetch_add_acq_rel(1);
  os::futex_wake(gate->arrived_, 1);
  while (gate->open_.load_acquire() == 0) os::futex_wait(gate->open_, 0, os::kNever);
}

ParkedThreads::ParkedThreads(uint64_t count, size_t stack_bytes) {
  threads_.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    os::Thread thread;
    error_ = os::start_thread(&thread, "heddle-bench", stack_bytes, wait_at_gate, this);
    if (error_ != 0) break;
    threads_.push_back(thread);
  }
  for (uint32_t arrived; (arrived = arrived_.load_acquire()) < threads_.size();) {
    os::futex_wait(arrived_, arrived, os::kNever);
  }
}

void ParkedThreads::release() noexcept {
  open_.store_release(1);
  os::futex_wake(open_, INT_MAX);
  for (const os::Thread thread : threads_) os::join_thread(thread);
  threads_.clear();
}

ParkedThreads::~ParkedThreads() { release(); }

}  // namespace heddle::bench
