// A test harness in two small files. C++ test frameworks are not to be had from npm, and
// `npm ci && npm test` must need nothing else, so this one is ours and stays this small.
//
//   TEST_CASE("a closed channel gives what it holds, then ends") {
//     CHECK_EQ(received, 3);        // goes on after a failure
//     REQUIRE(stack != nullptr);    // ends the case
//   }
//
// CHECK and CHECK_EQ may be used on any thread and on any stack: a passing check touches nothing,
// a failing one counts atomically and needs about 3 KiB of stack. REQUIRE and FAIL unwind the
// case, so off the stack that the case started on they end the process instead.
//
// What must be seen from outside (a crash report, an exit code) goes into a CHILD_CASE, which only
// runs when run_child("its name") starts this program again.
//
// Command line: [--list] [--filter substring] [--repeat n]. A case that runs longer than
// HEDDLE_TEST_TIMEOUT seconds (default 60, 0 for no limit) is named and the process aborted.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>

namespace heddle::test {

struct Case {
  const char* name;
  void (*body)();
  bool child;
  Case* next = nullptr;
};

// Registers before main, in the order of the file.
struct Registration {
  explicit Registration(Case* added) noexcept;
};

// A value as text, cut to fit; small because it may lie on a fiber's stack.
struct Text {
  char bytes[120];
};

template <typename T>
Text describe(const T& value) noexcept {
  Text text{};
  if constexpr (std::is_same_v<T, bool>) {
    std::snprintf(text.bytes, sizeof text.bytes, "%s", value ? "true" : "false");
  } else if constexpr (std::is_enum_v<T>) {
    std::snprintf(text.bytes, sizeof text.bytes, "%lld", static_cast<long long>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    std::snprintf(text.bytes, sizeof text.bytes, "%.17g", static_cast<double>(value));
  } else if constexpr (std::is_integral_v<T> && std::is_unsigned_v<T>) {
    std::snprintf(text.bytes, sizeof text.bytes, "%llu", static_cast<unsigned long long>(value));
  } else if constexpr (std::is_integral_v<T>) {
    std::snprintf(text.bytes, sizeof text.bytes, "%lld", static_cast<long long>(value));
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    const std::string_view view = value;
    const int length = static_cast<int>(view.size());
    std::snprintf(text.bytes, sizeof text.bytes, "\"%.*s\"", length, view.data());
  } else if constexpr (std::is_null_pointer_v<T>) {
    std::snprintf(text.bytes, sizeof text.bytes, "nullptr");
  } else if constexpr (std::is_pointer_v<T>) {
    std::snprintf(text.bytes, sizeof text.bytes, "%p", reinterpret_cast<const void*>(value));
  } else {
    std::snprintf(text.bytes, sizeof text.bytes, "(%zu bytes)", sizeof value);
  }
  return text;
}

// 1 == 1u is what a test means, whatever the signs.
template <typename A, typename B>
bool equal(const A& a, const B& b) noexcept {
  constexpr bool kIntegers = std::is_integral_v<A> && std::is_integral_v<B>;
  if constexpr (kIntegers && std::is_signed_v<A> != std::is_signed_v<B>) {
    const bool negative = a < A{} || b < B{};
    return !negative && static_cast<uint64_t>(a) == static_cast<uint64_t>(b);
  } else if constexpr (std::is_convertible_v<const A&, std::string_view> &&
                       std::is_convertible_v<const B&, std::string_view>) {
    return std::string_view(a) == std::string_view(b);
  } else {
    return a == b;
  }
}

struct Place {
  const char* file;
  int line;
};

void report_false(Place place, const char* expression) noexcept;
void report_unequal(Place place, const char* expression, const char* got,
                    const char* expected) noexcept;
[[noreturn]] void end_case(Place place, const char* why);

template <typename A, typename B>
[[gnu::noinline]] void report_difference(Place place, const char* expression, const A& got,
                                         const B& expected) noexcept {
  report_unequal(place, expression, describe(got).bytes, describe(expected).bytes);
}

template <typename A, typename B>
void check_equal(Place place, const char* expression, const A& got, const B& expected) noexcept {
  if (__builtin_expect(!equal(got, expected), 0)) {
    report_difference(place, expression, got, expected);
  }
}

struct ChildResult {
  int exit_code;       // -1 when a signal ended it
  int signal;          // 0 when it exited
  std::string output;  // both streams
};
// Runs a CHILD_CASE in a fresh process of this program. `extra` are "NAME=value" for its
// environment, for example limits.
ChildResult run_child(const char* name, const char* extra = nullptr);

}  // namespace heddle::test

#define HEDDLE_TEST_JOIN_(a, b) a##b
#define HEDDLE_TEST_JOIN(a, b) HEDDLE_TEST_JOIN_(a, b)
#define HEDDLE_TEST_CASE(name, child, id)                                                          \
  static void HEDDLE_TEST_JOIN(case_body_, id)();                                                  \
  static ::heddle::test::Case HEDDLE_TEST_JOIN(case_, id){name, &HEDDLE_TEST_JOIN(case_body_, id), \
                                                          child};                                  \
  static const ::heddle::test::Registration HEDDLE_TEST_JOIN(case_registration_,                   \
                                                             id){&HEDDLE_TEST_JOIN(case_, id)};    \
  static void HEDDLE_TEST_JOIN(case_body_, id)()
#define TEST_CASE(name) HEDDLE_TEST_CASE(name, false, __COUNTER__)
#define CHILD_CASE(name) HEDDLE_TEST_CASE(name, true, __COUNTER__)

#define HEDDLE_TEST_PLACE \
  ::heddle::test::Place { __FILE__, __LINE__ }
#define CHECK(...)                                     \
  (__builtin_expect(static_cast<bool>(__VA_ARGS__), 1) \
       ? static_cast<void>(0)                          \
       : ::heddle::test::report_false(HEDDLE_TEST_PLACE, #__VA_ARGS__))
#define CHECK_EQ(got, expected) \
  ::heddle::test::check_equal(HEDDLE_TEST_PLACE, #got " == " #expected, got, expected)
#define REQUIRE(...)                                   \
  (__builtin_expect(static_cast<bool>(__VA_ARGS__), 1) \
       ? static_cast<void>(0)                          \
       : ::heddle::test::end_case(HEDDLE_TEST_PLACE, "REQUIRE(" #__VA_ARGS__ ")"))
#define FAIL(message) ::heddle::test::end_case(HEDDLE_TEST_PLACE, message)
