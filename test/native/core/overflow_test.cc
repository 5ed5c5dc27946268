// What a fiber that runs out of stack leaves behind: a report by name, and the end it would have
// had without heddle.
#include "core/overflow.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

// Every call needs a quarter of a KiB, and is not the last thing that its caller does.
__attribute__((noinline)) int recurse(int depth) {
  volatile char bytes[256];
  bytes[depth % 256] = static_cast<char>(depth);
  if (depth == 1'000'000) return 0;  // never reached
  return recurse(depth + 1) + bytes[depth % 256];
}

// One frame that is larger than the guard and the whole stack.
__attribute__((noinline)) int use_big_frame(size_t at) {
  volatile char bytes[512 * 1024];
  bytes[at] = 1;
  return bytes[at] + bytes[0];
}

void run_named(const char* name, void (*body)(), size_t stack_bytes, StackClass stack_class) {
  Scheduler scheduler(with_processors(1));
  SpawnOptions options = of_class(stack_class);
  options.name = name;
  options.stack_bytes = stack_bytes;
  Countdown never(1);
  spawn(scheduler, body, options);
  never.wait();
}

void overflow_at_once() { static_cast<void>(recurse(0)); }
void overflow_after_a_park() {
  yield();
  static_cast<void>(recurse(0));
}
void overflow_by_one_frame() { static_cast<void>(use_big_frame(3)); }

bool contains(const ChildResult& child, const char* text) {
  return child.output.find(text) != std::string::npos;
}

// Sanitizers handle the signal after us and end the process in their own way.
bool died_of_a_fault(const ChildResult& child) {
  return kSanitized ? child.exit_code > 0 || child.signal != 0 : child.signal == SIGSEGV;
}

void check_report(const ChildResult& child, const char* name) {
  CHECK(died_of_a_fault(child));
  const std::string first = std::string("heddle: stack overflow in fiber '") + name + "' (id ";
  CHECK(contains(child, first.c_str()));
  CHECK(contains(child, " KiB; touched 0x"));
  CHECK(contains(child, "remedy: "));
  CHECK(contains(child, "backtrace, innermost first:"));
  CHECK(contains(child, "    #0 0x"));
  CHECK(contains(child, "    #3 0x"));
}

}  // namespace

CHILD_CASE("the first call overflows") {
  run_named("deep", overflow_at_once, 0, StackClass::kStandard);
}
CHILD_CASE("a call after a park overflows") {
  run_named("deep", overflow_after_a_park, 0, StackClass::kStandard);
}
CHILD_CASE("a small stack overflows") {
  run_named("small", overflow_at_once, 16 * 1024, StackClass::kStandard);
}
CHILD_CASE("a compact fiber overflows") {
  run_named("compact", overflow_after_a_park, 0, StackClass::kCompact);
}
CHILD_CASE("one frame jumps over the guard") {
  run_named("wide", overflow_by_one_frame, 0, StackClass::kStandard);
}
CHILD_CASE("a nameless fiber overflows") {
  run_named(nullptr, overflow_at_once, 0, StackClass::kStandard);
}

TEST_CASE("an overflow is reported with the name of the fiber, its bounds and a backtrace") {
  check_report(run_child("the first call overflows"), "deep");
  check_report(run_child("a call after a park overflows"), "deep");
  check_report(run_child("a small stack overflows"), "small");
  check_report(run_child("a compact fiber overflows"), "compact");
  check_report(run_child("a nameless fiber overflows"), "unnamed");
}

// Pitfall 6: -fstack-clash-protection touches every page on the way.
TEST_CASE("a frame larger than the guard does not jump over it") {
  const ChildResult child = run_child("one frame jumps over the guard");
  CHECK(died_of_a_fault(child));
  CHECK(contains(child, "stack overflow in fiber 'wide'"));
}

CHILD_CASE("a fiber writes through a bad pointer") {
  run_named(
      "writer",
      [] {
        uintptr_t nowhere = 64;
        asm volatile("" : "+r"(nowhere));
        *reinterpret_cast<volatile int*>(nowhere) = 1;
      },
      0, StackClass::kStandard);
}

TEST_CASE("another fault is not taken for an overflow, and ends as ever") {
  const ChildResult child = run_child("a fiber writes through a bad pointer");
  CHECK(died_of_a_fault(child));
  CHECK(!contains(child, "stack overflow in fiber"));
}

CHILD_CASE("a handler was installed before") {
  struct sigaction action{};
  action.sa_flags = SA_ONSTACK;
  action.sa_handler = [](int) {
    constexpr char kText[] = "the earlier handler ran\n";
    static_cast<void>(!write(STDOUT_FILENO, kText, sizeof kText - 1));
    _exit(7);
  };
  sigaction(SIGSEGV, &action, nullptr);
  run_named("deep", overflow_at_once, 0, StackClass::kStandard);
}

TEST_CASE("the handler that was there before is called after the report") {
  const ChildResult child = run_child("a handler was installed before");
  CHECK(contains(child, "stack overflow in fiber 'deep'"));
  CHECK(contains(child, "the earlier handler ran"));
  CHECK_EQ(child.exit_code, 7);
}

CHILD_CASE("a system call gets a buffer in the guard") {
  run_named(
      "caller",
      [] {
        yield();  // from here on it has a stack of its own
        char* guarded = current_fiber()->stack->bottom - 64;
        int ends[2];
        REQUIRE(pipe(ends) == 0);
        REQUIRE(write(ends[1], "text", 4) == 4);
        errno = 0;
        CHECK(read(ends[0], guarded, 4) < 0);
        CHECK_EQ(errno, EFAULT);
        char harmless[64];
        check_fault_address(harmless, sizeof harmless);
        check_fault_address(nullptr, 4);
        std::printf("harmless buffers passed\n");
        std::fflush(stdout);
        check_fault_address(guarded, 4);
      },
      0, StackClass::kStandard);
}

// Pitfall 16.
TEST_CASE("a buffer on a guard page that the kernel refuses is reported in the same way") {
  const ChildResult child = run_child("a system call gets a buffer in the guard");
  CHECK(contains(child, "harmless buffers passed"));
  CHECK(contains(child, "stack overflow in fiber 'caller'"));
  CHECK_EQ(child.signal, SIGABRT);
}

}  // namespace heddle::test
