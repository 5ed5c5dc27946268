// The runner of a test executable: picks cases, runs them one after the other on the main thread,
// watches the time. See harness.h for the command line.
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace heddle::test {
namespace {

Case* first_case = nullptr;
Case** last_link = &first_case;
const char* running_name = "";  // of the current case
std::atomic<int> failed_checks{0};
uintptr_t main_stack_low = 0;
uintptr_t main_stack_high = 0;

struct CaseEnded {};

// write(2) and no stdio: a failing check may run on a small stack, next to a signal, or while
// another thread is inside printf.
void print(const char* text, size_t length) noexcept {
  while (length > 0) {
    const ssize_t written = write(STDOUT_FILENO, text, length);
    if (written <= 0) return;
    text += written;
    length -= static_cast<size_t>(written);
  }
}

template <typename... Arguments>
void print_line(const char* format, Arguments... arguments) noexcept {
  char line[640];
  const int wanted = std::snprintf(line, sizeof line, format, arguments...);
  const size_t length = wanted < 0 ? 0 : static_cast<size_t>(wanted);
  print(line, length < sizeof line ? length : sizeof line - 1);
}

void find_main_stack() {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  void* low = nullptr;
  size_t bytes = 0;
  pthread_attr_getstack(&attributes, &low, &bytes);
  pthread_attr_destroy(&attributes);
  main_stack_low = reinterpret_cast<uintptr_t>(low);
  main_stack_high = main_stack_low + bytes;
}

bool on_main_stack() noexcept {
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  return here >= main_stack_low && here < main_stack_high;
}

// Ends the process when a case outlives its time: a hang names its test.
class Watchdog {
 public:
  explicit Watchdog(int limit_s) : limit_s_(limit_s) {
    if (limit_s_ == 0) return;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { watch(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  ~Watchdog() {
    if (!thread_.joinable()) return;
    set(0, true);
    thread_.join();
  }
  void start_case() { set(now_s() + limit_s_, false); }
  void end_case() { set(0, false); }

 private:
  static int64_t now_s() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  void set(int64_t deadline_s, bool stop) {
    const std::lock_guard<std::mutex> hold(mutex_);
    deadline_s_ = deadline_s;
    stop_ = stop;
    if (stop) changed_.notify_one();
  }

  void watch() {
    std::unique_lock<std::mutex> hold(mutex_);
    while (!stop_) {
      // The system clock, because ThreadSanitizer of GCC 12 does not know the other wait.
      changed_.wait_until(hold, std::chrono::system_clock::now() + std::chrono::seconds(1));
      if (deadline_s_ == 0 || now_s() < deadline_s_) continue;
      print_line("HANGS after %d s: %s\n", limit_s_, running_name);
      std::abort();
    }
  }

  const int limit_s_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t deadline_s_ = 0;  // 0: no case runs
  bool stop_ = false;
  std::thread thread_;
};

int timeout_s() {
  const char* text = std::getenv("HEDDLE_TEST_TIMEOUT");
  return text == nullptr ? 60 : std::atoi(text);
}

void run_body(const Case& test) {
  try {
    test.body();
  } catch (const CaseEnded&) {
    return;  // counted where it was thrown
  } catch (const std::exception& error) {
    failed_checks.fetch_add(1, std::memory_order_relaxed);
    print_line("  the case threw: %s\n", error.what());
  }
}

bool run_case(const Case& test, Watchdog& watchdog) {
  failed_checks.store(0, std::memory_order_relaxed);
  running_name = test.name;
  watchdog.start_case();
  const auto start = std::chrono::steady_clock::now();
  run_body(test);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  watchdog.end_case();
  const bool passed = failed_checks.load(std::memory_order_relaxed) == 0;
  print_line("%s %s (%.1f ms)\n", passed ? "ok  " : "FAIL", test.name, took.count());
  return passed;
}

struct Options {
  bool list = false;
  const char* filter = "";
  const char* child = nullptr;
  int repeat = 1;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    const std::string_view argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--list") {
      options.list = true;
    } else if (argument == "--filter" && has_value) {
      options.filter = argv[++i];
    } else if (argument == "--repeat" && has_value) {
      options.repeat = std::atoi(argv[++i]);
    } else if (argument == "--child" && has_value) {
      options.child = argv[++i];
    } else {
      std::fprintf(stderr, "usage: %s [--list] [--filter substring] [--repeat n]\n", argv[0]);
      std::exit(2);
    }
  }
  return options;
}

int run_child_case(const char* name) {
  for (const Case* test = first_case; test != nullptr; test = test->next) {
    if (!test->child || std::strcmp(test->name, name) != 0) continue;
    Watchdog watchdog(timeout_s());
    running_name = test->name;
    watchdog.start_case();
    run_body(*test);
    watchdog.end_case();
    return failed_checks.load(std::memory_order_relaxed) == 0 ? 0 : 1;
  }
  print_line("no CHILD_CASE is named %s\n", name);
  return 2;
}

int run_all(const Options& options) {
  int passed = 0;
  int failed = 0;
  Watchdog watchdog(options.list ? 0 : timeout_s());
  for (int round = 0; round < options.repeat; round++) {
    for (const Case* test = first_case; test != nullptr; test = test->next) {
      if (test->child || std::strstr(test->name, options.filter) == nullptr) continue;
      if (options.list) {
        print_line("%s\n", test->name);
      } else if (run_case(*test, watchdog)) {
        passed++;
      } else {
        failed++;
      }
    }
  }
  if (!options.list) print_line("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

std::string read_all(int descriptor) {
  std::string text;
  char bytes[4096];
  for (;;) {
    const ssize_t got = read(descriptor, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(bytes, static_cast<size_t>(got));
  }
}

}  // namespace

Registration::Registration(Case* added) noexcept {
  *last_link = added;
  last_link = &added->next;
}

void report_false(Place place, const char* expression) noexcept {
  failed_checks.fetch_add(1, std::memory_order_relaxed);
  print_line("  %s:%d: expected %s\n", place.file, place.line, expression);
}

void report_unequal(Place place, const char* expression, const char* got,
                    const char* expected) noexcept {
  failed_checks.fetch_add(1, std::memory_order_relaxed);
  print_line("  %s:%d: %s\n    expected %s\n    got      %s\n", place.file, place.line, expression,
             expected, got);
}

void end_case(Place place, const char* why) {
  failed_checks.fetch_add(1, std::memory_order_relaxed);
  print_line("  %s:%d: %s failed in \"%s\"\n", place.file, place.line, why, running_name);
  if (on_main_stack()) throw CaseEnded{};
  print_line("  this stack is not the one of the case, so nothing can unwind it: aborting\n");
  std::abort();
}

ChildResult run_child(const char* name, const char* extra) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {-1, 0, "pipe2 failed"};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  std::string option = "--child";
  std::string case_name = name;
  char program[] = "/proc/self/exe";
  char* arguments[] = {program, option.data(), case_name.data(), nullptr};
  std::string added = extra == nullptr ? "" : extra;
  std::vector<char*> environment;
  if (!added.empty()) environment.push_back(added.data());
  for (char** entry = environ; *entry != nullptr; entry++) environment.push_back(*entry);
  environment.push_back(nullptr);
  pid_t child = 0;
  const int refused =
      posix_spawn(&child, program, &actions, nullptr, arguments, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (refused != 0) {
    close(ends[0]);
    return {-1, 0, std::string("posix_spawn: ") + std::strerror(refused)};
  }
  ChildResult result{-1, 0, read_all(ends[0])};
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

}  // namespace heddle::test

int main(int argc, char** argv) {
  heddle::test::find_main_stack();
  const auto options = heddle::test::parse(argc, argv);
  if (options.child != nullptr) return heddle::test::run_child_case(options.child);
  return heddle::test::run_all(options);
}
