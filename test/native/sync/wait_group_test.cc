// WaitGroup: all who wait go on when the count is 0.
#include "sync/wait_group.h"

#include "heddle/heddle.h"
#include "test/native/sync/sync_support.h"

namespace heddle::test {

TEST_CASE("a wait ends when all have said that they are done, and sees what they wrote") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    constexpr uint32_t kWorkers = 24;
    for (uint32_t round = 0; round < scaled(20, 5); ++round) {
      WaitGroup group;
      std::vector<uint32_t> results(kWorkers);
      group.add(kWorkers);
      Crew crew(scheduler);
      for (uint32_t i = 0; i < 3; ++i) {
        crew.add(kind_of(i), [&results, group]() mutable {
          group.wait();
          for (uint32_t n = 0; n < kWorkers; ++n) CHECK_EQ(results[n], n + 1);
        });
      }
      for (uint32_t i = 0; i < kWorkers; ++i) {
        crew.add(kFiberKinds[i % 2], [&results, group, i]() mutable {
          results[i] = i + 1;
          group.done();
        });
      }
      group.wait();
      CHECK_EQ(results[kWorkers - 1], kWorkers);
    }
    finish(scheduler);
  }
}

TEST_CASE("what was started with go can be waited for, until nothing can be started any more") {
  Scheduler scheduler(with_processors(2));
  WaitGroup group;
  std::vector<uint32_t> results(30);
  for (uint32_t i = 0; i < results.size(); i += 2) {
    group.add(2);
    go([&results, group, i]() mutable {
      go([&results, group, i]() mutable {
        results[i + 1] = i + 1;
        group.done();
      });
      results[i] = i;
      group.done();
    });
  }
  group.wait();
  for (uint32_t i = 0; i < results.size(); ++i) CHECK_EQ(results[i], i);
  finish(scheduler);
  CHECK_EQ(error_code([] { go([] { CHECK(false); }); }), "ERR_HEDDLE_SHUT_DOWN");
}

// Row 30.
TEST_CASE("a count below zero or beyond the limit is refused, and changes nothing") {
  in_every_kind([] {
    WaitGroup group;
    CHECK_EQ(error_code([&] { group.done(); }), "ERR_HEDDLE_COUNT");
    group.add(3);
    CHECK_EQ(error_code([&] { group.add(-4); }), "ERR_HEDDLE_COUNT");
    CHECK_EQ(error_code([&] { group.add(INT32_MAX); }), "ERR_HEDDLE_COUNT");
    CHECK_EQ(error_code([&] { group.add(INT64_MAX); }), "ERR_HEDDLE_COUNT");
    CHECK_EQ(error_code([&] { group.add(INT64_MIN); }), "ERR_HEDDLE_COUNT");
    CHECK_EQ(group.core()->count(), 3);
    group.add(INT32_MAX - 3);
    group.add(-INT32_MAX);
    CHECK_EQ(group.core()->count(), 0);
    CHECK_EQ(error_code([&] { group.done(); }), "ERR_HEDDLE_COUNT");
  });
}

TEST_CASE("a group may be used again, and a wait for nothing returns at once") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    WaitGroup group;
    group.wait();
    for (int round = 0; round < 20; ++round) {
      group.add();
      Crew crew(scheduler);
      crew.add(kind, [group]() mutable { group.wait(); });
      await_waits(group.core(), 1);
      group.add(2);
      group.add(-2);
      CHECK_EQ(waits_at(group.core()), 1u);
      group.done();
      CHECK_EQ(waits_at(group.core()), 0u);
    }
    finish(scheduler);
  }
}

// Row 35.
TEST_CASE("a cancelled waiter leaves the count as it is") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(2));
    WaitGroup group;
    group.add();
    Target target;
    Crew crew(scheduler);
    crew.add(kind, [&target, group]() mutable {
      target.set();
      CHECK(throws_cancelled([&] { group.wait(); }));
    });
    await_waits(group.core(), 1);
    crew.add(Kind::kThread, [group]() mutable { group.wait(); });
    await_waits(group.core(), 2);
    scheduler.cancel(target.await());
    await_waits(group.core(), 1);
    CHECK_EQ(group.core()->count(), 1);
    group.done();
    crew.join();
    finish(scheduler);
  }
}

}  // namespace heddle::test
