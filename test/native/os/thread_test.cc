// OS threads of the runtime, and what each knows about itself.
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "core/sanitizer.h"
#include "os/os.h"
#include "test/native/harness.h"

namespace heddle::test {
namespace {

struct Report {
  Atomic<bool> ran{false};
  char name[16] = {};
  bool has_signal_stack = false;
  bool signals_blocked = false;
  os::StackBounds bounds;
  const char* frame = nullptr;
};

void fill(void* raw) noexcept {
  auto* report = static_cast<Report*>(raw);
  pthread_getname_np(pthread_self(), report->name, sizeof report->name);
  stack_t alternate;
  report->has_signal_stack =
      sigaltstack(nullptr, &alternate) == 0 && (alternate.ss_flags & SS_DISABLE) == 0;
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  report->signals_blocked =
      sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGSEGV) == 0;
  report->bounds = os::thread_stack_bounds();
  report->frame = static_cast<const char*>(__builtin_frame_address(0));
  report->ran.store_release(true);
}

}  // namespace

TEST_CASE("a thread runs with its name, its signal mask and a signal stack") {
  Report report;
  os::Thread thread;
  CHECK_EQ(os::start_thread(&thread, "heddle-test", 0, fill, &report), 0);
  os::join_thread(thread);
  CHECK(report.ran.load_acquire());
  CHECK_EQ(report.name, "heddle-test");
  CHECK(report.signals_blocked);
  CHECK(report.has_signal_stack);
  const auto* bottom = static_cast<const char*>(report.bounds.bottom);
  CHECK(report.frame > bottom && report.frame < bottom + report.bounds.bytes);
}

TEST_CASE("a long name is cut, a small stack is raised to the least possible") {
  Report report;
  os::Thread thread;
  const char* name = "a name of more than fifteen bytes";
  CHECK_EQ(os::start_thread(&thread, name, 128 * 1024, fill, &report), 0);
  os::join_thread(thread);
  CHECK_EQ(report.name, "a name of more ");
  CHECK(report.bounds.bytes >= 64 * 1024);
  if (kSanitized) return;
  Report tiny;
  CHECK_EQ(os::start_thread(&thread, "tiny", 1, fill, &tiny), 0);
  os::join_thread(thread);
  CHECK(tiny.ran.load_acquire());
}

TEST_CASE("a detached thread runs on its own") {
  static Report report;
  os::Thread thread;
  CHECK_EQ(os::start_thread(&thread, "detached", 0, fill, &report), 0);
  os::detach_thread(thread);
  while (!report.ran.load_acquire()) os::yield_thread();
}

TEST_CASE("every thread has a slot and an errno of its own") {
  os::ThreadSlot& own = os::thread_slot();
  int* const own_errno = os::errno_address();
  CHECK(&own == &os::thread_slot());
  std::thread([&] {
    CHECK(&os::thread_slot() != &own);
    CHECK(os::errno_address() != own_errno);
    CHECK(os::thread_slot().machine == nullptr);
    CHECK(os::thread_slot().locals == nullptr);
    CHECK_EQ(os::thread_slot().held_lock_ranks, 0u);
  }).join();
  errno = 17;
  CHECK_EQ(*own_errno, 17);
}

// Pitfall 26.
TEST_CASE("a thread that cannot be had is an error number, and the caller goes on") {
  Report report;
  os::Thread thread;
  const size_t too_much = size_t{1} << 50;
  const int error = os::start_thread(&thread, "too large", too_much, fill, &report);
  CHECK(error == EAGAIN || error == ENOMEM || error == EINVAL);
  CHECK(!report.ran.load_acquire());
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  CHECK_EQ(sigismember(&blocked, SIGTERM), 0);  // restored
}

CHILD_CASE("starts threads beyond the limit of its user") {
  // No limit counts for the superuser.
  if (geteuid() == 0 && setresuid(54'322, 54'322, 54'322) != 0) return;
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_NPROC, &none) != 0) return;
  Report report;
  os::Thread thread;
  CHECK_EQ(os::start_thread(&thread, "refused", 0, fill, &report), EAGAIN);
  CHECK(!report.ran.load_acquire());
}

TEST_CASE("the limit of threads of a user is EAGAIN") {
  if (kSanitized) return;  // sanitizers start a thread of their own
  CHECK_EQ(run_child("starts threads beyond the limit of its user").exit_code, 0);
}

CHILD_CASE("uses one CPU") {
  os::use_one_cpu();
  CHECK_EQ(os::usable_cpus(), 1u);
}

TEST_CASE("a thread can be kept to one CPU") { CHECK_EQ(run_child("uses one CPU").exit_code, 0); }

}  // namespace heddle::test
