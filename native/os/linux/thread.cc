#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <initializer_list>
#include <new>

#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "os/os.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

namespace heddle::os {

namespace {

struct ThreadStart {
  ThreadMain main;
  void* argument;
  char name[16];
};

// A frame of AVX-512 or SVE state exceeds the classic SIGSTKSZ: the kernel tells the minimum.
size_t signal_stack_bytes() noexcept {
  const size_t minimum = getauxval(AT_MINSIGSTKSZ);
  const size_t wanted = 32 * 1024 + (minimum != 0 ? minimum : 8 * 1024);
  return (wanted + page_size() - 1) & ~(page_size() - 1);
}

void* thread_entry(void* raw) {
  ThreadStart start = *static_cast<ThreadStart*>(raw);
  delete static_cast<ThreadStart*>(raw);
  prctl(PR_SET_NAME, start.name);
  prctl(PR_SET_TIMERSLACK, 1UL);
  const size_t bytes = signal_stack_bytes();
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t alternate{};
  if (memory != MAP_FAILED) {
    alternate.ss_sp = memory;
    alternate.ss_size = bytes;
    sigaltstack(&alternate, nullptr);
  }
  start.main(start.argument);
  if (memory != MAP_FAILED) {
    alternate.ss_flags = SS_DISABLE;
    sigaltstack(&alternate, nullptr);
    munmap(memory, bytes);
  }
  return nullptr;
}

}  // namespace

int start_thread(Thread* thread, const char* name, size_t stack_bytes, ThreadMain main,
                 void* argument) noexcept {
  auto* start = new (std::nothrow) ThreadStart{main, argument, {}};
  if (start == nullptr) return ENOMEM;
  std::strncpy(start->name, name, sizeof start->name - 1);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  int error = 0;
  if (stack_bytes != 0) {
    const size_t minimum = static_cast<size_t>(PTHREAD_STACK_MIN);
    const size_t page = page_size();
    const size_t wanted = stack_bytes < minimum ? minimum : stack_bytes;
    error = pthread_attr_setstacksize(&attributes, (wanted + page - 1) & ~(page - 1));
  }
  // The new thread inherits the mask, so no signal can slip in before it could block it.
  sigset_t blocked, previous;
  sigfillset(&blocked);
  for (int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGPROF}) {
    sigdelset(&blocked, fault);
  }
  pthread_sigmask(SIG_SETMASK, &blocked, &previous);
  pthread_t handle{};
  if (error == 0) error = pthread_create(&handle, &attributes, thread_entry, start);
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) {
    delete start;
    return error;
  }
  thread->handle = static_cast<uintptr_t>(handle);
  return 0;
}

void join_thread(Thread thread) noexcept {
  pthread_join(static_cast<pthread_t>(thread.handle), nullptr);
}

void detach_thread(Thread thread) noexcept {
  pthread_detach(static_cast<pthread_t>(thread.handle));
}

void yield_thread() noexcept { sched_yield(); }

void use_one_cpu() noexcept {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

StackBounds thread_stack_bounds() noexcept {
  StackBounds bounds;
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstack(&attributes, &bounds.bottom, &bounds.bytes);
    pthread_attr_destroy(&attributes);
  }
  return bounds;
}

__attribute__((noinline)) ThreadSlot& thread_slot() noexcept {
  static thread_local ThreadSlot slot;
  asm volatile("" ::: "memory");  // hides that the result depends on nothing: no caching by callers
  return slot;
}

int* errno_address() noexcept { return &errno; }

Atomic<bool> forked_child{false};

void watch_for_fork() noexcept {
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { forked_child.store_relaxed(true); });
  static_cast<void>(registered);
}

}  // namespace heddle::os
