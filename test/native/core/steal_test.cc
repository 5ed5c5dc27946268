// Work spreads over processors, wakes who sleeps, and nobody burns CPU time without any.
#include <time.h>

#include <memory>
#include <set>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

constexpr uint64_t kMs = 1'000'000;

uint64_t process_cpu_ns() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

void compute_for(uint64_t duration_ns) {
  const uint64_t until_ns = os::now_ns() + duration_ns;
  while (os::now_ns() < until_ns) spin_hint();
}

}  // namespace

// Row 21: each fiber waits for all others without giving anything up.
TEST_CASE("as many fibers as there are processors run at the same time") {
  for (uint32_t processors : {1, 2, 4, 10}) {
    Scheduler scheduler(with_processors(processors));
    Countdown all(processors);
    Countdown ended(processors);
    spawn(scheduler, [&] {  // from one queue, so that the others must steal
      for (uint32_t i = 1; i < processors; ++i) {
        spawn(scheduler, [&] {
          all.arrive();
          while (all.left() != 0) spin_hint();
          ended.arrive();
        });
      }
      all.arrive();
      while (all.left() != 0) spin_hint();
      ended.arrive();
    });
    ended.wait();
    await_all_exits(scheduler);
  }
}

TEST_CASE("fibers that compute are stolen from the processor that spawned them") {
  for (uint32_t processors : {2, 4}) {
    Scheduler scheduler(with_processors(processors));
    constexpr uint32_t kFibers = 200;
    std::set<const void*> threads;
    auto ran_on = std::make_unique<const void*[]>(kFibers);
    spawn(scheduler, [&] {
      for (uint32_t i = 0; i < kFibers; ++i) {
        spawn(scheduler, [&ran_on, i] {
          compute_for(kMs / 4);
          ran_on[i] = running_thread();
        });
      }
    });
    finish(scheduler);
    for (uint32_t i = 0; i < kFibers; ++i) threads.insert(ran_on[i]);
    CHECK(threads.size() >= 2);
    const SchedulerStats stats = stats_of(scheduler);
    CHECK(stats.steal_successes > 0);
    CHECK(stats.stolen_items >= stats.steal_successes);
    CHECK(stats.run_stolen > 0);
    CHECK_EQ(stats.started, kFibers + 1);
  }
}

TEST_CASE("work posted from outside is shared among processors") {
  Scheduler scheduler(with_processors(2));
  constexpr uint32_t kFibers = 100;
  auto ran_on = std::make_unique<const void*[]>(kFibers);
  for (uint32_t i = 0; i < kFibers; ++i) {
    spawn(scheduler, [&ran_on, i] {
      compute_for(kMs / 2);
      ran_on[i] = running_thread();
    });
  }
  finish(scheduler);
  std::set<const void*> threads(ran_on.get(), ran_on.get() + kFibers);
  CHECK(threads.size() >= 2);
}

TEST_CASE("a fiber that is next on a busy processor is run by another one") {
  Scheduler scheduler(with_processors(2));
  ParkingPlace place;
  Atomic<bool> ran{false};
  spawn(scheduler, [&] {
    place.park();
    ran.store_release(true);
  });
  place.await();
  spawn(scheduler, [&] {
    CHECK(place.ready(scheduler));  // into the run-next slot of this processor
    while (!ran.load_acquire()) spin_hint();
  });
  finish(scheduler);
  CHECK(ran.load_acquire());
}

TEST_CASE("compact fibers spread as well, with their stacks") {
  Scheduler scheduler(with_processors(2));
  constexpr uint32_t kFibers = 200;
  auto ran_on = std::make_unique<const void*[]>(kFibers);
  spawn(scheduler, [&] {
    for (uint32_t i = 0; i < kFibers; ++i) {
      spawn(
          scheduler,
          [&ran_on, i] {
            yield();
            compute_for(kMs / 4);
            yield();
            ran_on[i] = running_thread();
          },
          of_class(StackClass::kCompact));
    }
  });
  finish(scheduler);
  std::set<const void*> threads(ran_on.get(), ran_on.get() + kFibers);
  CHECK(threads.size() >= 2);
}

// Row 29 says 1 ms; the best of many attempts is held to it, with slack for a busy machine.
TEST_CASE("a sleeping machine is woken for new work") {
  Scheduler scheduler(with_processors(2));
  uint64_t best_ns = UINT64_MAX;
  for (int i = 0; i < 20; ++i) {
    wait_until([&] { return stats_of(scheduler).idle_processors == 2; });
    Atomic<uint64_t> started_ns{0};
    const uint64_t posted_ns = os::now_ns();
    spawn(scheduler, [&] { started_ns.store_release(os::now_ns()); });
    while (started_ns.load_acquire() == 0) os::yield_thread();
    const uint64_t latency_ns = started_ns.load_acquire() - posted_ns;
    best_ns = latency_ns < best_ns ? latency_ns : best_ns;
    await_all_exits(scheduler);
  }
  CHECK(best_ns < (kSanitized ? 50 : 5) * kMs);
}

TEST_CASE("every spawn into a scheduler that falls asleep is served") {
  for (uint32_t processors : {1, 2, 4}) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(2'000, 300);
    Atomic<uint32_t> served{0};
    for (uint32_t i = 0; i < rounds; ++i) {
      spawn(scheduler, [&] { spawn(scheduler, [&] { served.fetch_add_acq_rel(1); }); });
      // Sometimes wait until all sleep, sometimes only until this one was served, or not at all.
      if (i % 3 == 0) wait_until([&] { return served.load_acquire() == i + 1; });
      if (i % 50 == 0) {
        wait_until([&] { return stats_of(scheduler).idle_processors == processors; });
      }
    }
    finish(scheduler);
    CHECK_EQ(served.load_acquire(), rounds);
  }
}

// Row 65, pitfall 14.
TEST_CASE("an idle runtime burns no CPU time") {
  Scheduler scheduler(with_processors(4));
  for (int i = 0; i < 100; ++i) {
    spawn(scheduler, [] {
      yield();
      sleep_for(os::kNever);
    });
  }
  wait_until([&] { return stats_of(scheduler).idle_processors == 4; });
  os::sleep_until(os::now_ns() + 250 * kMs);  // memory is given back, the monitor falls asleep
  const uint64_t sleeps = stats_of(scheduler).idle_sleeps;
  const uint64_t cpu_ns = process_cpu_ns();
  os::sleep_until(os::now_ns() + 300 * kMs);
  CHECK(process_cpu_ns() - cpu_ns < 15 * kMs);
  CHECK_EQ(stats_of(scheduler).idle_sleeps, sleeps);
}

TEST_CASE("an idle runtime gives back the memory of its busy times") {
  Scheduler scheduler(with_processors(2));
  const uint32_t fibers = scaled(5'000, 200);
  for (uint32_t i = 0; i < fibers; ++i) {
    spawn(scheduler, [] {
      yield();
      sleep_for(20 * kMs);
    });
  }
  await_all_exits(scheduler);
  wait_until([&] {
    const SchedulerStats stats = stats_of(scheduler);
    return stats.stacks_warm <= 8 && stats.descriptor_bytes <= 4 * 64 * 1024;
  });
}

}  // namespace heddle::test
