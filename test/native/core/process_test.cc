// The runtime and what surrounds it: forks, CPU masks, signals, and a system that refuses.
#include <dirent.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

#ifndef AT_MINSIGSTKSZ
constexpr unsigned long AT_MINSIGSTKSZ = 51;
#endif

bool contains(const ChildResult& child, const char* text) {
  return child.output.find(text) != std::string::npos;
}

void expect_success(const ChildResult& child) {
  CHECK_EQ(child.exit_code, 0);
  if (child.exit_code != 0) std::printf("%s\n", child.output.c_str());
}

uint64_t address_space_bytes() {
  unsigned long long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%llu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * os::page_size();
}

}  // namespace

CHILD_CASE("forks while the runtime runs") {
  Scheduler scheduler(with_processors(2));
  for (int i = 0; i < 20; ++i) {
    spawn(scheduler, [] {
      for (;;) yield();
    });
  }
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    SpawnError error = SpawnError::kNone;
    const bool refused =
        scheduler.go([] {}) == SpawnError::kForkedChild &&
        scheduler.go([text = std::string("boxed")] {}) == SpawnError::kForkedChild &&
        scheduler.spawn(
            SpawnOptions{}, [](Fiber*) {}, nullptr, 0, &error) == nullptr &&
        error == SpawnError::kForkedChild &&
        std::strcmp(spawn_error_name(error), "a forked child has no runtime") == 0;
    _exit(refused ? 42 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 42);
  CHECK(!os::is_forked_child());
  spawn(scheduler, [] {});  // nothing has changed for the parent
  CHECK(scheduler.shutdown());
}

CHILD_CASE("forks on a fiber") {
  Scheduler scheduler(with_processors(2));
  spawn(scheduler, [&scheduler] {
    yield();
    const pid_t child = fork();
    if (child == 0) {
      _exit(scheduler.go([] {}) == SpawnError::kForkedChild ? 42 : 1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(WEXITSTATUS(status), 42);
  });
  finish(scheduler);
}

// Pitfall 19.
TEST_CASE("a forked child is refused every spawn by name") {
  expect_success(run_child("forks while the runtime runs"));
  expect_success(run_child("forks on a fiber"));
}

CHILD_CASE("counts its processors with one CPU allowed") {
  cpu_set_t mask;
  REQUIRE(sched_getaffinity(0, sizeof mask, &mask) == 0);
  int first = 0;
  while (!CPU_ISSET(first, &mask)) ++first;
  CPU_ZERO(&mask);
  CPU_SET(first, &mask);
  REQUIRE(sched_setaffinity(0, sizeof mask, &mask) == 0);
  CHECK_EQ(os::usable_cpus(), 1u);
  Scheduler scheduler;
  CHECK_EQ(scheduler.processors(), 1u);
  for (int i = 0; i < 100; ++i) spawn(scheduler, [] { yield(); });
  finish(scheduler);
}

TEST_CASE("the processor count follows the CPUs that the process may use") {
  cpu_set_t mask;
  REQUIRE(sched_getaffinity(0, sizeof mask, &mask) == 0);
  CHECK(os::usable_cpus() >= 1);
  CHECK(os::usable_cpus() <= static_cast<uint32_t>(CPU_COUNT(&mask)));
  Scheduler scheduler;
  CHECK_EQ(scheduler.processors(), os::usable_cpus());
  CHECK(scheduler.shutdown());
  expect_success(run_child("counts its processors with one CPU allowed"));
}

TEST_CASE("a processor count beyond the limit is lowered to it") {
  Scheduler scheduler(with_processors(100'000));
  CHECK_EQ(scheduler.processors(), kMaxProcessors);
  for (int i = 0; i < 100; ++i) spawn(scheduler, [] { yield(); });
  finish(scheduler);
}

// Pitfall 15.
TEST_CASE("threads that run fibers block signals and have a stack for those of faults") {
  Scheduler scheduler(with_processors(2));
  for (int i = 0; i < 10; ++i) {
    spawn(scheduler, [] {
      yield();
      sigset_t blocked;
      sigemptyset(&blocked);
      pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
      for (int signal : {SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGPIPE}) {
        CHECK_EQ(sigismember(&blocked, signal), 1);
      }
      for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
        CHECK_EQ(sigismember(&blocked, fault), 0);
      }
      stack_t alternate;
      CHECK_EQ(sigaltstack(nullptr, &alternate), 0);
      CHECK_EQ(alternate.ss_flags & SS_DISABLE, 0);
      CHECK(alternate.ss_size >= getauxval(AT_MINSIGSTKSZ) + 8192);
    });
  }
  finish(scheduler);
}

TEST_CASE("the thread that makes a scheduler keeps its own signal mask") {
  sigset_t before;
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  {
    Scheduler scheduler(with_processors(2));
    spawn(scheduler, [] {});
    await_all_exits(scheduler);
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
  }
  for (int signal = 1; signal < 32; ++signal) {
    CHECK_EQ(sigismember(&after, signal), sigismember(&before, signal));
  }
}

CHILD_CASE("runs fibers while the system refuses memory for stacks") {
  Scheduler scheduler(with_processors(1));
  static Atomic<uint32_t> done;
  static Atomic<uint32_t> without_stack;
  spawn(scheduler, [] { yield(); });  // carriers and descriptors exist from now on
  await_all_exits(scheduler);
  rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = address_space_bytes() + (size_t{40} << 20);
  REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
  SpawnOptions options;
  options.stack_bytes = size_t{8} << 20;
  options.on_exit = [](Fiber*, ExitStatus status) {
    (status == ExitStatus::kDone ? done : without_stack).fetch_add_acq_rel(1);
    CHECK(status == ExitStatus::kDone || status == ExitStatus::kNoStack);
  };
  Atomic<bool> stop{false};
  for (int i = 0; i < 50; ++i) {
    spawn(
        scheduler,
        [&] {
          while (!stop.load_acquire()) yield();
        },
        options);
  }
  wait_until([&] { return without_stack.load_acquire() > 10; });
  stop.store_release(true);
  await_all_exits(scheduler);
  CHECK_EQ(done.load_acquire() + without_stack.load_acquire(), 50u);
  limit.rlim_cur = before;
  REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
  for (int i = 0; i < 50; ++i) spawn(scheduler, [] { yield(); }, options);
  finish(scheduler);
  CHECK(done.load_acquire() > 49);
}

// Pitfall 26.
TEST_CASE("fibers that get no stack end by that name, and the others go on") {
  if (kSanitized) return;  // sanitizers end the process when their own memory is refused
  expect_success(run_child("runs fibers while the system refuses memory for stacks"));
}

CHILD_CASE("runs fibers while the system refuses threads") {
  // The limit counts the threads of a user, and none counts for the superuser.
  if (geteuid() == 0 && setresuid(54'321, 54'321, 54'321) != 0) {
    std::printf("not allowed to become another user\n");
    return;
  }
  Scheduler scheduler(with_processors(4));
  Countdown started(1);
  spawn(scheduler, [&] { started.arrive(); });
  started.wait();  // the first machine and the monitor exist
  const rlimit none{0, 0};
  REQUIRE(setrlimit(RLIMIT_NPROC, &none) == 0);
  os::Thread thread;
  if (os::start_thread(&thread, "refused", 0, [](void*) {}, nullptr) == 0) {
    std::printf("not limited\n");
    os::join_thread(thread);
    return;
  }
  Atomic<uint32_t> ran{0};
  for (int i = 0; i < 200; ++i) {
    spawn(
        scheduler,
        [&, i] {
          yield();
          if (i % 20 == 0) sleep_for(10'000);
          if (i % 20 == 1) CHECK_EQ(blocking([] { return 5; }), 5);
          ran.fetch_add_acq_rel(1);
        },
        of_class(i % 3 == 0 ? StackClass::kCompact : StackClass::kStandard));
  }
  finish(scheduler);
  CHECK_EQ(ran.load_acquire(), 200u);
  std::printf("%u machines\n", stats_of(scheduler).machines);
}

// Pitfall 26.
TEST_CASE("a system that refuses threads is served with those that there are") {
  if (kSanitized) return;  // ThreadSanitizer wants files that another user may not read
  const ChildResult child = run_child("runs fibers while the system refuses threads");
  expect_success(child);
  CHECK(contains(child, " machines") || contains(child, "not "));
}

}  // namespace heddle::test
