// The simulated machine: its threads, its clock, and the choice of who goes on.
//
// Always true:
// - One simulated thread runs; all others are suspended inside `point` or `block`, on whatever
//   stack they were (a fiber's, a carrier's): a thread is its stack pointer.
// - Every operation on shared memory is a point where another thread may go on. Operations on
//   memory that one thread alone has used so far are not: nobody could tell the difference.
// - What C++ and C keep per OS thread (exceptions being handled, errno) is swapped with the thread.
// - Time moves by a small amount with each step, jumps at random, and jumps to the first deadline
//   when everybody sleeps.
#pragma once

#include "os/os.h"
#include "os/sim/memory_model.h"
#include "os/sim/simulation.h"
#include "os/sim/strategy.h"
#include "os/sim/trace.h"

namespace heddle::sim {

enum class ThreadState : uint8_t { kRunnable, kBlocked, kEnded };
enum class Wait : uint8_t { kNone, kFutex, kPoller, kSleep, kJoin };

struct SimThread {
  uint32_t number = 0;
  char name[16] = {};
  ThreadState state = ThreadState::kEnded;
  Wait wait = Wait::kNone;
  const void* waits_on = nullptr;
  uint64_t deadline_ns = os::kNever;
  bool woken = false;
  bool detached = false;
  bool joined = false;
  void* stack_pointer = nullptr;
  char* stack = nullptr;  // kept from run to run
  os::ThreadMain main = nullptr;
  void* argument = nullptr;
  os::ThreadSlot slot;
  int saved_errno = 0;
  void* caught_exceptions = nullptr;
  unsigned int uncaught_exceptions = 0;
};

class World {
 public:
  Summary run(uint64_t seed, const Settings& settings, void (*scenario)());

  SimThread& current() noexcept { return threads_[current_]; }
  SimThread& thread(uint32_t number) noexcept { return threads_[number]; }
  uint32_t thread_count() const noexcept { return thread_count_; }
  const Settings& settings() const noexcept { return settings_; }
  MemoryModel& memory() noexcept { return memory_; }
  Strategy& strategy() noexcept { return strategy_; }
  uint64_t now_ns() const noexcept { return now_ns_; }
  os::StackBounds stack_of_current() noexcept;
  void set_sleep_check(SleepCheck check) noexcept { sleep_check_ = check; }

  // Somebody else may go on here.
  void point() noexcept;
  // The same for an operation on memory, which others may use as well or not.
  void point_at(const void* address) noexcept;
  // A spin loop or yield: others go on if they can.
  void give_way() noexcept;
  // Returns when woken (true), at the deadline, or for no reason (false).
  bool block(Wait wait, const void* waits_on, uint64_t deadline_ns) noexcept;
  // Wakes up to `count` of those who block on it, in any order.
  void wake(Wait wait, const void* waits_on, int count) noexcept;
  int start(const char* name, os::ThreadMain main, void* argument, uint32_t* number) noexcept;
  void join(uint32_t number) noexcept;
  void note(StepKind kind, const void* code, uint32_t subject, uint64_t value) noexcept;
  // `frame`: where the running thread stands, if not in a call to this.
  void report(const char* why, const void* frame = nullptr) noexcept;

 private:
  static void thread_entry(void* raw) noexcept;
  static uint32_t choose_store(uint32_t count) noexcept;
  void end_current() noexcept;
  void step() noexcept;
  void pass_time() noexcept;
  void jump_to(uint64_t time_ns) noexcept;
  void expire_deadlines() noexcept;
  void find_runnable() noexcept;
  void switch_to(uint32_t next) noexcept;
  uint32_t runnable(uint32_t* numbers) const noexcept;
  void print_thread(SimThread& thread, const void* frame) noexcept;

  SimThread threads_[kMaxThreads];
  uint32_t thread_count_ = 0;
  uint32_t current_ = 0;
  uint64_t now_ns_ = 0;
  uint64_t steps_ = 0;
  uint64_t private_steps_ = 0;
  uint64_t next_deadline_ns_ = os::kNever;
  void* host_stack_pointer_ = nullptr;
  SleepCheck sleep_check_ = nullptr;
  uint64_t seed_ = 0;
  bool failing_ = false;
  Settings settings_;
  MemoryModel memory_;
  Strategy strategy_;
  Trace trace_;
};

World& world() noexcept;

}  // namespace heddle::sim
