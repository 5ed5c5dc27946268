// The end of a scheduler: what it leaves behind, and that it comes although fibers are busy.
#include <dirent.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "core/frame_store.h"
#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

uint32_t count_entries(const char* folder) {
  uint32_t count = 0;
  if (DIR* entries = opendir(folder)) {
    while (readdir(entries) != nullptr) ++count;
    closedir(entries);
  }
  return count;
}

uint32_t count_mappings() {
  uint32_t lines = 0;
  if (std::FILE* file = std::fopen("/proc/self/maps", "re")) {
    for (int c; (c = std::fgetc(file)) != EOF;) lines += c == '\n';
    std::fclose(file);
  }
  return lines;
}

}  // namespace

TEST_CASE("a scheduler that was never used shuts down, twice if asked") {
  Scheduler scheduler(with_processors(2));
  CHECK(scheduler.shutdown());
  CHECK(scheduler.shutdown());
  CHECK(scheduler.stopping());
}

TEST_CASE("a spawn after the shutdown is refused by name") {
  Scheduler scheduler(with_processors(1));
  CHECK(scheduler.shutdown());
  CHECK_EQ(scheduler.go([] { CHECK(false); }), SpawnError::kShutDown);
  CHECK_EQ(scheduler.go([large = std::vector<int>(3)] { CHECK(large.empty()); }),
           SpawnError::kShutDown);
  SpawnError error = SpawnError::kNone;
  CHECK(scheduler.spawn(SpawnOptions{}, [](Fiber*) {}, nullptr, 0, &error) == nullptr);
  CHECK_EQ(error, SpawnError::kShutDown);
  CHECK_EQ(spawn_error_name(error), "the runtime is shut down");
}

// Row 48: one way or the other, and the caller is told which.
TEST_CASE("a fiber that spawns during the shutdown succeeds or is refused") {
  static Atomic<uint32_t> spawned;
  static Atomic<uint32_t> refused;
  for (uint32_t processors : {1, 2, 4}) {
    spawned.store_relaxed(0);
    refused.store_relaxed(0);
    Scheduler scheduler(with_processors(processors));
    for (int i = 0; i < 4; ++i) {
      spawn(scheduler, [owner = &scheduler] {
        for (;;) {
          const SpawnError error = owner->go([] { yield(); });
          if (error == SpawnError::kNone) {
            spawned.fetch_add_relaxed(1);
            continue;
          }
          CHECK_EQ(error, SpawnError::kShutDown);
          refused.fetch_add_relaxed(1);
          return;
        }
      });
    }
    wait_until([&] { return spawned.load_relaxed() > 1000; });
    CHECK(scheduler.shutdown());
    CHECK(refused.load_relaxed() <= 4);
  }
}

TEST_CASE("a shutdown comes although fibers are busy, parked, asleep and queued") {
  for (uint32_t processors : {1, 2, 4}) {
    Scheduler scheduler(with_processors(processors));
    static Atomic<uint32_t> running;
    running.store_relaxed(0);
    for (StackClass stack_class : kStackClasses) {
      const SpawnOptions options = of_class(stack_class);
      for (int i = 0; i < 10; ++i) {
        spawn(
            scheduler,
            [] {
              running.fetch_add_relaxed(1);
              for (;;) yield();
            },
            options);
        spawn(scheduler, [] { sleep_for(os::kNever); }, options);
        spawn(scheduler, [] { sleep_for(1'000'000'000'000); }, options);
        spawn(
            scheduler,
            [] {
              for (;;) sleep_for(10'000);
            },
            options);
        spawn(
            scheduler,
            [] {
              for (;;)
                park(WaitReason::kPark, [](Fiber*, void*) noexcept { return true; }, nullptr);
            },
            options);
      }
    }
    wait_until([&] { return running.load_relaxed() >= 10; });
    CHECK(scheduler.shutdown());
    CHECK(stats_of(scheduler).exited < stats_of(scheduler).spawned);
    CHECK_EQ(stats_of(scheduler).stacks_in_use, 0u);
    CHECK_EQ(default_stack_pool().use().in_use, 0u);
    CHECK_EQ(FrameStore::resident_bytes(), 0u);
  }
}

TEST_CASE("a fiber that does not yield makes the shutdown fail in time, and not the next one") {
  Scheduler scheduler(with_processors(1));
  Countdown started(1);
  Countdown let_go(1);
  spawn(scheduler, [&] {
    started.arrive();
    let_go.wait();
  });
  started.wait();
  const uint64_t began_ns = os::now_ns();
  CHECK(!scheduler.shutdown(10'000'000));
  CHECK(os::now_ns() - began_ns >= 10'000'000);
  CHECK(!scheduler.shutdown(0));
  CHECK_EQ(scheduler.go([] {}), SpawnError::kShutDown);
  let_go.arrive();
  CHECK(scheduler.shutdown(60'000'000'000));
}

TEST_CASE("a hog that has lost its processor ends at its next wait during the shutdown") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    Atomic<bool> stop{false};
    Atomic<bool> other_ran{false};
    spawn(
        scheduler,
        [&] {
          while (!stop.load_acquire()) spin_hint();
          for (;;) yield();
        },
        of_class(stack_class));
    wait_until([&] { return stats_of(scheduler).started == 1; });
    spawn(scheduler, [&] { other_ran.store_release(true); });
    wait_until([&] { return other_ran.load_acquire(); });
    CHECK(!scheduler.shutdown(1'000'000));
    stop.store_release(true);
    CHECK(scheduler.shutdown(60'000'000'000));
  }
}

TEST_CASE("a shutdown waits for blocking calls, of both kinds of fibers") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    static Countdown* started;
    static Countdown* let_go;
    Countdown started_here(1);
    Countdown let_go_here(1);
    started = &started_here;
    let_go = &let_go_here;
    static Atomic<bool> returned;
    returned.store_relaxed(false);
    spawn(
        scheduler,
        [] {
          blocking([] {
            started->arrive();
            let_go->wait();
            returned.store_release(true);
          });
        },
        of_class(stack_class));
    started_here.wait();
    std::thread releaser([&] {
      os::sleep_until(os::now_ns() + 5'000'000);
      let_go_here.arrive();
    });
    CHECK(scheduler.shutdown());
    CHECK(returned.load_acquire());
    releaser.join();
  }
}

TEST_CASE("a locked fiber that is parked does not hold up the shutdown") {
  Scheduler scheduler(with_processors(2));
  SpawnOptions options;
  options.lock_to_thread = true;
  ParkingPlace places[3];
  for (ParkingPlace& place : places) spawn(scheduler, [&place] { place.park(); }, options);
  for (ParkingPlace& place : places) place.await();
  CHECK(scheduler.shutdown());
}

// Row 64: threads, descriptors and mappings are back to where they were.
TEST_CASE("a scheduler started and stopped hundreds of times leaves nothing behind") {
  const auto live_once = [](uint32_t round) {
    Scheduler scheduler(with_processors(1 + round % 4));
    for (int i = 0; i < 20; ++i) {
      spawn(
          scheduler,
          [] {
            yield();
            sleep_for(os::kNever);
          },
          of_class(i % 4 == 0 ? StackClass::kCompact : StackClass::kStandard));
    }
    wait_until([&] { return stats_of(scheduler).parked >= 20; });
    CHECK(scheduler.shutdown());
  };
  for (uint32_t round = 0; round < 8; ++round) live_once(round);
  const uint32_t threads = count_entries("/proc/self/task");
  const uint32_t descriptors = count_entries("/proc/self/fd");
  const uint32_t mappings = count_mappings();
  const uint32_t rounds = scaled(300, 40);
  for (uint32_t round = 0; round < rounds; ++round) live_once(round);
  CHECK(count_entries("/proc/self/task") <= threads);
  CHECK(count_entries("/proc/self/fd") <= descriptors);
  CHECK(count_mappings() <= mappings + (kSanitized ? 200 : 20));
}

TEST_CASE("fibers of an earlier scheduler cannot be woken in a later one") {
  Fiber* fiber = nullptr;
  uint64_t epoch = 0;
  {
    Scheduler scheduler(with_processors(1));
    ParkingPlace place;
    spawn(scheduler, [&] { place.park(); });
    epoch = place.await();
    fiber = place.fiber();
    CHECK(scheduler.shutdown());
  }
  Scheduler scheduler(with_processors(1));
  CHECK(!scheduler.ready(fiber, epoch));
  std::vector<ParkingPlace> places(50);
  for (ParkingPlace& place : places) spawn(scheduler, [&place] { place.park(); });
  for (ParkingPlace& place : places) {
    place.await();
    if (place.fiber() == fiber) CHECK(place.epoch() > epoch);
  }
  CHECK(!scheduler.ready(fiber, epoch));
  for (ParkingPlace& place : places) CHECK(place.ready(scheduler));
  finish(scheduler);
}

CHILD_CASE("a second scheduler is made") {
  Scheduler first(with_processors(1));
  Scheduler second(with_processors(1));
}

TEST_CASE("a second scheduler at a time ends the process by name") {
  const ChildResult child = run_child("a second scheduler is made");
  CHECK_EQ(child.signal, SIGABRT);
  CHECK(child.output.find("one scheduler exists at a time") != std::string::npos);
}

CHILD_CASE("the process exits from a fiber") {
  static auto* scheduler = new Scheduler(with_processors(2));
  for (int i = 0; i < 20; ++i) {
    spawn(*scheduler, [] {
      for (;;) yield();
    });
    spawn(*scheduler, [] { sleep_for(os::kNever); });
  }
  Countdown never(1);
  spawn(*scheduler, [] {
    yield();
    std::exit(5);
  });
  never.wait();
}

// Row 62, as far as the core goes.
TEST_CASE("std::exit from a fiber ends the process while others run") {
  for (int i = 0; i < 3; ++i) {
    const ChildResult child = run_child("the process exits from a fiber");
    CHECK_EQ(child.exit_code, 5);
    CHECK_EQ(child.signal, 0);
  }
}

}  // namespace heddle::test
