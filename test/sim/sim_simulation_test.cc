// The simulator itself: a seed means one run, and failures are found and named.
#include "core/atomic.h"
#include "core/park.h"
#include "core/scheduler.h"
#include "os/os.h"
#include "os/sim/seeds.h"
#include "test/native/harness.h"

using heddle::Atomic;
namespace os = heddle::os;
namespace sim = heddle::sim;

namespace {

void busy_scheduler() {
  heddle::Scheduler scheduler;
  Atomic<uint32_t> done{0};
  Atomic<uint32_t>* count = &done;
  for (int i = 0; i < 4; ++i) {
    scheduler.go([count] {
      heddle::sleep_for(1000);
      count->fetch_add_acq_rel(1);
      os::futex_wake(*count, 1);
    });
  }
  for (uint32_t seen; (seen = done.load_acquire()) != 4;) {
    os::futex_wait(done, seen, os::kNever);
  }
  scheduler.shutdown();
}

Atomic<uint32_t> word{0};

}  // namespace

TEST_CASE("a seed gives the same interleaving every time") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const sim::Scenario scenario{"determinism", busy_scheduler, 1, {}};
    sim::Summary first;
    sim::Summary second;
    REQUIRE(sim::run_seed(scenario, seed, &first));
    REQUIRE(sim::run_seed(scenario, seed, &second));
    CHECK(first.steps > 100);
    CHECK_EQ(first.steps, second.steps);
    CHECK_EQ(first.hash, second.hash);
    CHECK_EQ(first.ended_at_ns, second.ended_at_ns);
  }
}

TEST_CASE("different seeds give different interleavings") {
  const sim::Scenario scenario{"determinism", busy_scheduler, 1, {}};
  sim::Summary first;
  sim::Summary second;
  REQUIRE(sim::run_seed(scenario, 1, &first));
  REQUIRE(sim::run_seed(scenario, 2, &second));
  CHECK(first.hash != second.hash);
}

TEST_CASE("time passes for sleepers only as far as their deadlines") {
  sim::Settings settings;
  settings.time_jumps = false;
  const sim::Summary summary = sim::run(7, settings, [] {
    const uint64_t began = os::now_ns();
    os::sleep_until(began + 3'600'000'000'000);
    SIM_CHECK(os::now_ns() >= began + 3'600'000'000'000, "the sleep ended early");
    SIM_CHECK(os::now_ns() < began + 3'600'000'100'000, "the sleep was too long");
    os::futex_wait(word, 0, os::now_ns() + 1000);
  });
  CHECK(summary.steps < 1000);
}

namespace {
void expect_failure(const char* name, const char* expected) {
  const auto result = heddle::test::run_child(name);
  CHECK(result.exit_code != 0 || result.signal != 0);
  if (result.output.find(expected) == std::string::npos) {
    std::printf("%s\n", result.output.c_str());
    CHECK(false);
  }
}

void sleep_for_ever() { os::futex_wait(word, 0, os::kNever); }
void spin_for_ever() {
  while (word.load_relaxed() == 0) heddle::spin_hint();
}
void race() {
  static sim::Plain<int> plain;
  os::Thread thread;
  os::start_thread(&thread, "writer", 0, [](void*) { plain.write(1, "the variable"); }, nullptr);
  plain.write(2, "the variable");
  os::join_thread(thread);
}
}  // namespace

CHILD_CASE("a scenario that deadlocks") {
  CHECK(sim::run_seeds({"deadlock", sleep_for_ever, 1, {}}));
}
TEST_CASE("a deadlock is reported with what everybody waits for") {
  expect_failure("a scenario that deadlocks", "deadlock: every thread sleeps");
  expect_failure("a scenario that deadlocks", "futex #");
}

CHILD_CASE("a scenario that spins") {
  sim::Settings settings;
  settings.step_limit = 10'000;
  CHECK(sim::run_seeds({"livelock", spin_for_ever, 1, settings}));
}
TEST_CASE("a livelock is reported") { expect_failure("a scenario that spins", "a livelock"); }

CHILD_CASE("a scenario that races") { CHECK(sim::run_seeds({"race", race, 1, {}})); }
TEST_CASE("an unordered access to a plain variable is reported") {
  expect_failure("a scenario that races", "race on the variable");
}
