// The one seam between the core and everything outside it: clock, randomness, memory, threads,
// futex, polling, the shape of the machine. os/linux implements it for use, os/sim for the seeded
// simulator; which one is linked is chosen at build time.
//
// Conventions: functions that can fail return 0 or a positive errno value. Times are nanoseconds
// of one monotonic clock, durations too; a deadline of kNever never passes. None of them throws.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/atomic.h"

namespace heddle {
struct FiberLocals;
}

namespace heddle::os {

inline constexpr uint64_t kNever = UINT64_MAX;

// --- clock and randomness ---
uint64_t now_ns() noexcept;         // CLOCK_MONOTONIC: wall-clock jumps have no effect
uint64_t thread_cpu_ns() noexcept;  // CPU time of the calling thread
// The same for others to read: the calling thread's clock, and what it says; 0 once the thread has
// ended.
int32_t thread_cpu_clock() noexcept;
uint64_t cpu_clock_ns(int32_t clock) noexcept;
uint64_t random_seed() noexcept;  // a fresh seed; under the simulator, from the run's seed
void sleep_until(uint64_t deadline_ns) noexcept;  // the OS thread sleeps; signals do not shorten

// --- memory ---
size_t page_size() noexcept;
// Address space, readable and writable, backed by memory page by page on first touch and not
// counted against the overcommit limit. `alignment` is a power of two, at least the page size.
void* reserve_memory(size_t bytes, size_t alignment) noexcept;  // nullptr: errno says why
void release_memory(void* address, size_t bytes) noexcept;
void discard_memory(void* address, size_t bytes) noexcept;  // pages read zero afterwards
// Makes one page range trap on access. Lightweight guards add no mapping (Linux 6.13); where they
// are refused (EINVAL on locked memory and old kernels) the range is protected by a mapping.
enum class GuardKind : uint8_t { kLightweight, kMapping };
int install_guard(void* address, size_t bytes, GuardKind* kind) noexcept;
// How much of the machine's memory the process holds, as the kernel counts it.
struct MemoryUse {
  uint64_t resident_bytes;
  uint64_t page_table_bytes;
};
MemoryUse memory_use() noexcept;

// --- threads ---
struct Thread {
  uintptr_t handle = 0;
};
using ThreadMain = void (*)(void* argument);
// Starts an OS thread with all signals blocked except those that report a fault, and with an
// alternate signal stack. 0 bytes of stack means the system's default.
int start_thread(Thread* thread, const char* name, size_t stack_bytes, ThreadMain main,
                 void* argument) noexcept;
void join_thread(Thread thread) noexcept;
void detach_thread(Thread thread) noexcept;  // it frees itself at its end
void yield_thread() noexcept;
void use_one_cpu() noexcept;  // the calling thread, from now on: the first CPU it may use
struct StackBounds {
  void* bottom = nullptr;  // lowest address
  size_t bytes = 0;
};
StackBounds thread_stack_bounds() noexcept;  // of the calling OS thread

// What one OS thread knows about itself. Never keep the address across a park: the fiber may go on
// on another thread. The accessor is not inlined, and the compiler cannot see that it is pure.
struct ThreadSlot {
  void* machine = nullptr;
  uint32_t held_lock_ranks = 0;
  FiberLocals* locals = nullptr;                 // fiber-local storage outside fibers
  const Atomic<uint8_t>* cancel_flag = nullptr;  // of the task, on a thread that runs a kernel
  uint64_t random = 0;                           // state of a generator; 0 = not seeded yet
};
ThreadSlot& thread_slot() noexcept;

// errno belongs to the fiber, its address to the thread: compilers may keep the address across a
// park, so the core saves and restores the value through this one, asked once per thread.
int* errno_address() noexcept;

// --- waiting ---
// Sleeps while `word` holds `expected`, until woken or the deadline. Spurious returns are allowed.
void futex_wait(Atomic<uint32_t>& word, uint32_t expected, uint64_t deadline_ns) noexcept;
void futex_wake(Atomic<uint32_t>& word, int count) noexcept;

// A descriptor has become readable or writable, or has failed, which is both.
struct PollEvent {
  uint64_t token;
  bool is_readable;
  bool is_writable;
  bool is_hung_up;  // the other end has closed, at least its way here
};

// The sleeping place of the one idle machine that also watches descriptors.
class Poller {
 public:
  int open() noexcept;
  void close() noexcept;
  // From now on each change of the descriptor is told to one thread, once (edge-triggered), until
  // it is closed; of a duplicate of it, until it is removed.
  int add(int descriptor, uint64_t token) noexcept;
  void remove(int descriptor) noexcept;
  // Returns when woken, at the deadline, or with events: how many. One thread at a time.
  uint32_t wait(uint64_t deadline_ns, PollEvent* events, uint32_t most) noexcept;
  // The same at once, by any thread; leaves wake-ups to the one that waits.
  uint32_t poll(PollEvent* events, uint32_t most) noexcept;
  void wake() noexcept;  // from any thread; one wake is never lost

 private:
  int epoll_ = -1;
  int event_ = -1;
};

// --- faults ---
// Registers of the thread that faulted, as far as a report needs them.
struct Fault {
  const void* address;
  const void* program_counter;
  const void* stack_pointer;
};
// Called on an alternate stack, in a signal handler: it may only write a report. Whatever it does,
// the previous handler or the default action follows, so the process ends as it would have.
using FaultReport = void (*)(const Fault& fault) noexcept;
void install_fault_report(FaultReport report) noexcept;
void write_error(const char* text, size_t length) noexcept;  // to standard error, signal-safe

// --- the machine ---
// CPUs that this process may use: affinity mask, lowered by a cgroup CPU quota; at least 1.
uint32_t usable_cpus() noexcept;
// True if fence_heavy reaches every thread without the light side paying for it.
bool prepare_heavy_fence() noexcept;
// True in a child after fork: the runtime's threads do not exist there.
extern Atomic<bool> forked_child;
inline bool is_forked_child() noexcept { return forked_child.load_relaxed(); }
void watch_for_fork() noexcept;

}  // namespace heddle::os
