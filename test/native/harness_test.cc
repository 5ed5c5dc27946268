// The harness must fail when it should, else every other test is worthless.
#include "harness.h"

#include <csignal>
#include <stdexcept>
#include <thread>

namespace heddle::test {

CHILD_CASE("a false check") {
  CHECK(1 == 2);
  std::printf("went on\n");
  std::fflush(stdout);
}
CHILD_CASE("unequal values") { CHECK_EQ(2 + 2, 5u); }
CHILD_CASE("a false requirement") {
  REQUIRE(false);
  std::printf("went on\n");
  std::fflush(stdout);
}
CHILD_CASE("a false check on another thread") {
  std::thread([] { CHECK(false); }).join();
}
CHILD_CASE("a false requirement on another thread") {
  std::thread([] { REQUIRE(false); }).join();
}
CHILD_CASE("a case that throws") { throw std::runtime_error("thrown text"); }
CHILD_CASE("a case that hangs") { std::this_thread::sleep_for(std::chrono::hours(1)); }
CHILD_CASE("a case that passes") { CHECK(true); }

namespace {
bool contains(const ChildResult& result, const char* text) {
  return result.output.find(text) != std::string::npos;
}
}  // namespace

TEST_CASE("a false check fails the case, which goes on") {
  const ChildResult result = run_child("a false check");
  CHECK_EQ(result.exit_code, 1);
  CHECK(contains(result, "expected 1 == 2"));
  CHECK(contains(result, "went on"));
}

TEST_CASE("unequal values are both printed") {
  const ChildResult result = run_child("unequal values");
  CHECK_EQ(result.exit_code, 1);
  CHECK(contains(result, "expected 5"));
  CHECK(contains(result, "got      4"));
}

TEST_CASE("a false requirement ends the case") {
  const ChildResult result = run_child("a false requirement");
  CHECK_EQ(result.exit_code, 1);
  CHECK(!contains(result, "went on"));
}

TEST_CASE("a check on another thread counts for the case") {
  CHECK_EQ(run_child("a false check on another thread").exit_code, 1);
}

TEST_CASE("a requirement that cannot unwind aborts with its text") {
  const ChildResult result = run_child("a false requirement on another thread");
  CHECK_EQ(result.signal, SIGABRT);
  CHECK(contains(result, "REQUIRE(false)"));
}

TEST_CASE("an exception fails the case and is printed") {
  const ChildResult result = run_child("a case that throws");
  CHECK_EQ(result.exit_code, 1);
  CHECK(contains(result, "thrown text"));
}

TEST_CASE("a case that hangs is named") {
  const ChildResult result = run_child("a case that hangs", "HEDDLE_TEST_TIMEOUT=1");
  CHECK_EQ(result.signal, SIGABRT);
  CHECK(contains(result, "HANGS after 1 s: a case that hangs"));
}

TEST_CASE("integers of different signs compare by value") {
  CHECK(equal(1, 1u));
  CHECK(!equal(-1, 0xffffffffu));
  CHECK(equal("text", std::string("text")));
  CHECK_EQ(run_child("a case that passes").exit_code, 0);
}

}  // namespace heddle::test
