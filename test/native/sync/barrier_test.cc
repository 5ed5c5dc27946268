// Barrier: nobody goes on before all have arrived, round after round.
#include "sync/barrier.h"

#include "heddle/sync.h"
#include "test/native/sync/sync_support.h"

namespace heddle::test {

TEST_CASE("nobody goes on before all have arrived, and one of them is the last") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    constexpr uint32_t kParties = 7;
    const uint32_t rounds = scaled(400, 60);
    Barrier barrier(kParties);
    std::vector<uint32_t> at(kParties);  // in which round each is; plain, for ThreadSanitizer
    Atomic<uint32_t> lasts{0};
    Crew crew(scheduler);
    for (uint32_t i = 0; i < kParties; ++i) {
      crew.add(kind_of(i), [&, barrier, i, rounds]() mutable {
        for (uint32_t round = 1; round <= rounds; ++round) {
          at[i] = round;
          if (barrier.arrive()) lasts.fetch_add_relaxed(1);
          for (uint32_t each : at) CHECK_EQ(each, round);
          barrier.arrive();  // all have looked
        }
      });
    }
    crew.join();
    CHECK_EQ(lasts.load_acquire(), rounds);
    CHECK_EQ(waits_at(barrier.core()), 0u);
    finish(scheduler);
  }
}

TEST_CASE("a barrier of one party holds nobody up") {
  in_every_kind([] {
    Barrier barrier(1);
    for (int i = 0; i < 3; ++i) CHECK(barrier.arrive());
  });
}

// Row 35.
TEST_CASE("a party that is cancelled or impatient has not arrived") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(2));
    Barrier barrier(3);
    Target target;
    Crew crew(scheduler);
    crew.add(kind, [&target, barrier]() mutable {
      target.set();
      CHECK(throws_cancelled([&] { barrier.arrive(); }));
    });
    await_waits(barrier.core(), 1);
    scheduler.cancel(target.await());
    await_waits(barrier.core(), 0);
    bool is_last = true;
    CHECK_EQ(barrier.core()->arrive(&is_last, os::now_ns() + kMs), WaitStatus::kTimedOut);
    CHECK(!is_last);
    Atomic<uint32_t> passed{0};
    for (Kind other : {Kind::kCompact, Kind::kThread}) {
      crew.add(other, [&passed, barrier]() mutable {
        CHECK(!barrier.arrive());
        passed.fetch_add_relaxed(1);
      });
    }
    await_waits(barrier.core(), 2);
    CHECK_EQ(passed.load_relaxed(), 0u);
    CHECK(barrier.arrive());
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("a party that is cancelled too late to leave has met the others") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    Barrier barrier(2);
    Target target;
    Atomic<bool> was_cancelled{false};
    Crew crew(scheduler);
    crew.add(kind, [&, barrier]() mutable {
      target.set();
      CHECK(!barrier.arrive());
      while (!was_cancelled.load_acquire()) os::yield_thread();
      CHECK(throws_cancelled([] { checkpoint(); }));
    });
    await_waits(barrier.core(), 1);
    // On the only processor: the other one is cancelled, but has not left yet.
    crew.add(Kind::kStandard, [&, barrier]() mutable {
      scheduler.cancel(target.await());
      CHECK(barrier.arrive());
      was_cancelled.store_release(true);
    });
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("of parties that give up at any moment as many have met as were told so") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(300, 60);
    Barrier barrier(3);
    Atomic<uint32_t> met{0};
    Atomic<uint32_t> lasts{0};
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 6; ++i) {
      crew.add(kind_of(i), [&, barrier, i, rounds]() mutable {
        for (uint32_t n = 0; n < rounds; ++n) {
          bool is_last = false;
          const uint64_t deadline_ns = os::now_ns() + (i * 31 + n * 17) % 40 * 1'000;
          if (barrier.core()->arrive(&is_last, deadline_ns) != WaitStatus::kDone) continue;
          met.fetch_add_relaxed(1);
          if (is_last) lasts.fetch_add_relaxed(1);
        }
      });
    }
    crew.join();
    CHECK_EQ(met.load_acquire(), 3 * lasts.load_acquire());
    CHECK_EQ(waits_at(barrier.core()), 0u);
    finish(scheduler);
  }
}

}  // namespace heddle::test
