// Threads, what belongs to each of them, and the machine they run on.
#include <cerrno>

#include <unistd.h>

#include "os/sim/world.h"

namespace heddle::os {

using sim::world;

int start_thread(Thread* thread, const char* name, size_t, ThreadMain main,
                 void* argument) noexcept {
  world().point();
  if (sim::one_in(world().settings().refused_thread_one_in)) {
    world().note(sim::StepKind::kFault, __builtin_return_address(0), 0, EAGAIN);
    return EAGAIN;
  }
  uint32_t number = 0;
  const int error = world().start(name, main, argument, &number);
  if (error == 0) thread->handle = number + 1;
  return error;
}

void join_thread(Thread thread) noexcept { world().join(static_cast<uint32_t>(thread.handle - 1)); }

void detach_thread(Thread thread) noexcept {
  world().point();
  world().thread(static_cast<uint32_t>(thread.handle - 1)).detached = true;
}

void yield_thread() noexcept {
  if (sim::running) world().give_way();
}

StackBounds thread_stack_bounds() noexcept { return world().stack_of_current(); }

__attribute__((noinline)) ThreadSlot& thread_slot() noexcept {
  static ThreadSlot outside;
  asm volatile("" ::: "memory");  // as on Linux: hides that the result depends on nothing
  return sim::running ? world().current().slot : outside;
}

// One for all: the simulator swaps its value with the thread.
int* errno_address() noexcept { return &errno; }

void install_fault_report(FaultReport) noexcept {}

void write_error(const char* text, size_t length) noexcept {
  while (length > 0) {
    const ssize_t written = ::write(STDERR_FILENO, text, length);
    if (written <= 0) return;
    text += written;
    length -= static_cast<size_t>(written);
  }
}

uint32_t usable_cpus() noexcept { return world().settings().cpus; }

Atomic<bool> forked_child{false};
void watch_for_fork() noexcept {}

}  // namespace heddle::os
