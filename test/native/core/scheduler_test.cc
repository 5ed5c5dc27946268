// Spawning: everything that is spawned runs once, in order, from wherever it came.
#include "core/scheduler.h"

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

// One count for each spawned fiber.
class Runs {
 public:
  explicit Runs(uint32_t count) : count_(count), runs_(new Atomic<uint32_t>[count]) {}
  void run(uint32_t index) noexcept { runs_[index].fetch_add_relaxed(1); }
  uint32_t wrong() const noexcept {
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < count_; ++i) wrong += runs_[i].load_relaxed() != 1;
    return wrong;
  }

 private:
  uint32_t count_;
  std::unique_ptr<Atomic<uint32_t>[]> runs_;
};

constexpr uint32_t kProcessorCounts[] = {1, 2, 4, 10};

}  // namespace

TEST_CASE("every fiber spawned from outside runs once") {
  const uint32_t count = scaled(100'000, 5'000);
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    Runs runs(count);
    for (uint32_t i = 0; i < count; ++i) spawn(scheduler, [&runs, i] { runs.run(i); });
    finish(scheduler);
    CHECK_EQ(runs.wrong(), 0u);
  }
}

TEST_CASE("every fiber spawned from a fiber runs once") {
  const uint32_t count = scaled(100'000, 5'000);
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    Runs runs(count);
    spawn(scheduler, [&] {
      for (uint32_t i = 0; i < count; ++i) spawn(scheduler, [&runs, i] { runs.run(i); });
    });
    finish(scheduler);
    CHECK_EQ(runs.wrong(), 0u);
  }
}

TEST_CASE("fibers of all kinds from several threads and fibers at once each run once") {
  constexpr uint32_t kSpawners = 4;
  const uint32_t each = scaled(3'000, 200);
  Scheduler scheduler(with_processors(2));
  Runs runs(2 * kSpawners * each);
  const auto spawn_many = [&](uint32_t first) {
    for (uint32_t i = 0; i < each; ++i) {
      SpawnOptions options = of_class(i % 3 == 0 ? StackClass::kCompact : StackClass::kStandard);
      options.stack_bytes = i % 5 == 0 ? 16 * 1024 : 0;
      spawn(
          scheduler,
          [&runs, i, index = first + i] {
            if (i % 7 == 0) yield();
            if (i % 50 == 0) sleep_for(100'000);
            runs.run(index);
          },
          options);
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t s = 0; s < kSpawners; ++s) {
    threads.emplace_back([&, s] { spawn_many(s * each); });
    spawn(scheduler, [&, s] { spawn_many((kSpawners + s) * each); });
  }
  for (std::thread& thread : threads) thread.join();
  finish(scheduler);
  CHECK_EQ(runs.wrong(), 0u);
}

TEST_CASE("a tree of fibers that spawn fibers is complete") {
  Scheduler scheduler(with_processors(2));
  struct Tree {
    Scheduler& scheduler;
    Atomic<uint32_t> nodes;
    void grow(int depth) {
      nodes.fetch_add_relaxed(1);
      for (int i = 0; depth > 0 && i < 4; ++i) {
        spawn(scheduler, [this, depth] { grow(depth - 1); });
      }
    }
  } tree{scheduler, {}};
  const int depth = kSanitized ? 5 : 8;
  spawn(scheduler, [&tree, depth] { tree.grow(depth); });
  finish(scheduler);
  CHECK_EQ(tree.nodes.load_relaxed(), ((1u << (2 * depth + 2)) - 1) / 3);
}

TEST_CASE("one processor runs fibers in the order of their spawning") {
  constexpr uint32_t kCount = 100;  // beyond what fits in the ring, queues are mixed
  for (bool from_outside : {true, false}) {
    Scheduler scheduler(with_processors(1));
    std::vector<uint32_t> order;
    // While the processor is busy all of them gather in one queue: had it taken only some, its turn
    // for the global queue would come before the rest of these.
    Countdown is_busy(1);
    Countdown let_go(1);
    const auto spawn_all = [&] {
      for (uint32_t i = 0; i < kCount; ++i) spawn(scheduler, [&order, i] { order.push_back(i); });
    };
    spawn(scheduler, [&] {
      is_busy.arrive();
      let_go.wait();
      if (!from_outside) spawn_all();
    });
    is_busy.wait();
    if (from_outside) spawn_all();
    let_go.arrive();
    finish(scheduler);
    REQUIRE(order.size() == kCount);
    for (uint32_t i = 0; i < kCount; ++i) CHECK_EQ(order[i], i);
  }
}

TEST_CASE("fibers that yield take turns") {
  Scheduler scheduler(with_processors(1));
  constexpr uint32_t kFibers = 20;
  constexpr uint32_t kTurns = 20;
  std::vector<uint32_t> order;
  Countdown let_go(1);
  spawn(scheduler, [&] { let_go.wait(); });
  for (uint32_t i = 0; i < kFibers; ++i) {
    spawn(scheduler, [&order, i] {
      for (uint32_t turn = 0; turn < kTurns; ++turn) {
        order.push_back(i);
        yield();
      }
    });
  }
  let_go.arrive();
  finish(scheduler);
  REQUIRE(order.size() == kFibers * kTurns);
  for (uint32_t i = 0; i < order.size(); ++i) CHECK_EQ(order[i], i % kFibers);
}

TEST_CASE("a readied fiber runs next, before what was queued earlier") {
  Scheduler scheduler(with_processors(1));
  ParkingPlace place;
  std::vector<int> order;
  spawn(scheduler, [&] {
    place.park();
    order.push_back(1);
  });
  place.await();
  spawn(scheduler, [&] {
    for (int i = 2; i < 5; ++i) spawn(scheduler, [&order, i] { order.push_back(i); });
    CHECK(place.ready(scheduler));
    order.push_back(0);
  });
  finish(scheduler);
  REQUIRE(order.size() == 5);
  for (int i = 0; i < 5; ++i) CHECK_EQ(order[static_cast<size_t>(i)], i);
}

TEST_CASE("callables of every size arrive whole and are destroyed once") {
  static Atomic<int> alive{0};
  struct Counted {
    Counted() { alive.fetch_add_relaxed(1); }
    Counted(const Counted&) { alive.fetch_add_relaxed(1); }
    Counted(Counted&&) noexcept { alive.fetch_add_relaxed(1); }
    ~Counted() { alive.fetch_sub_acq_rel(1); }
  };
  alive.store_relaxed(0);
  Scheduler scheduler(with_processors(2));
  Atomic<uint32_t> good{0};
  struct Block {
    unsigned char bytes[300];
  } block;
  std::memset(block.bytes, 0x3A, sizeof block.bytes);
  for (int i = 0; i < 100; ++i) {
    const uint64_t words[6] = {1, 2, 3, 4, 5, static_cast<uint64_t>(i)};
    spawn(scheduler, [words, &good] { good.fetch_add_relaxed(words[0] == 1 && words[4] == 5); });
    spawn(scheduler, [block, &good] {
      yield();
      good.fetch_add_relaxed(block.bytes[0] == 0x3A && block.bytes[299] == 0x3A);
    });
    spawn(scheduler, [counted = Counted{}, &good] {
      yield();
      good.fetch_add_relaxed(1);
    });
    spawn(scheduler, [unique = std::make_unique<int>(i), &good, i] {
      yield();
      good.fetch_add_relaxed(*unique == i);
    });
  }
  finish(scheduler);
  CHECK_EQ(good.load_relaxed(), 400u);
  CHECK_EQ(alive.load_relaxed(), 0);
}

TEST_CASE("a payload is copied into the descriptor") {
  Scheduler scheduler(with_processors(1));
  struct Payload {
    unsigned char bytes[Fiber::kPayloadBytes];
  };
  static Atomic<uint32_t> good;
  good.store_relaxed(0);
  for (size_t size = 0; size <= Fiber::kPayloadBytes; ++size) {
    Payload payload;
    std::memset(&payload, static_cast<int>(size), sizeof payload);
    SpawnError error = SpawnError::kOutOfMemory;
    Fiber* fiber = scheduler.spawn(
        SpawnOptions{},
        [](Fiber* self) {
          const size_t own_size = self->payload[0];
          bool same = true;
          for (size_t i = 0; i < own_size; ++i) same &= self->payload[i] == own_size;
          good.fetch_add_relaxed(same);
        },
        &payload, size, &error);
    CHECK(fiber != nullptr);
    CHECK_EQ(error, SpawnError::kNone);
  }
  finish(scheduler);
  CHECK(good.load_relaxed() >= Fiber::kPayloadBytes);
}

TEST_CASE("the exit function is the last thing that happens to a fiber") {
  static Atomic<uint32_t> bodies;
  static Atomic<uint32_t> exits;
  bodies.store_relaxed(0);
  exits.store_relaxed(0);
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(2));
    SpawnOptions options = of_class(stack_class);
    options.name = "leaver";
    options.on_exit = [](Fiber* fiber, ExitStatus status) {
      CHECK_EQ(fiber->spec.name, "leaver");
      CHECK_EQ(status, ExitStatus::kDone);
      CHECK(current_fiber() == nullptr);
      const uint32_t earlier_exits = exits.fetch_add_acq_rel(1);
      CHECK(bodies.load_acquire() > earlier_exits);
    };
    for (int i = 0; i < 200; ++i) {
      spawn(
          scheduler,
          [i] {
            if (i % 2 == 0) yield();
            bodies.fetch_add_acq_rel(1);
          },
          options);
    }
    finish(scheduler);
  }
  CHECK_EQ(exits.load_relaxed(), 400u);
}

TEST_CASE("a fiber gets a stack of the size it asked for") {
  Scheduler scheduler(with_processors(1));
  for (size_t bytes : {size_t{1}, size_t{16 * 1024}, size_t{100'000}, size_t{1} << 20}) {
    SpawnOptions options;
    options.stack_bytes = kSanitized && bytes < 16 * 1024 ? 16 * 1024 : bytes;
    spawn(
        scheduler,
        [wanted = options.stack_bytes] {
          yield();
          Fiber* self = current_fiber();
          const size_t size = size_t{1} << stack_size_log2(wanted);
          CHECK_EQ(size_t{1} << self->stack->size_log2, size);
          const char* here = static_cast<char*>(__builtin_frame_address(0));
          CHECK(here > self->stack->bottom && here < static_cast<char*>(self->stack->top()));
        },
        options);
  }
  finish(scheduler);
}

TEST_CASE("descriptors are recycled, with epochs that only grow") {
  Scheduler scheduler(with_processors(1));
  constexpr uint32_t kRounds = 3000;
  spawn(scheduler, [&scheduler] {
    std::vector<std::pair<Fiber*, uint64_t>> seen;
    uint32_t recycled = 0;
    for (uint32_t i = 0; i < kRounds; ++i) {
      Fiber* fiber = nullptr;
      uint64_t epoch = 0;
      spawn(scheduler, [&fiber, &epoch] {
        yield();
        sleep_for(1);
        fiber = current_fiber();
        epoch = fiber->epoch();
      });
      while (fiber == nullptr) yield();
      for (auto& [old_fiber, old_epoch] : seen) {
        if (old_fiber != fiber) continue;
        ++recycled;
        CHECK(epoch > old_epoch);
        old_epoch = epoch;
        fiber = nullptr;
        break;
      }
      if (fiber != nullptr) seen.emplace_back(fiber, epoch);
    }
    CHECK(recycled > kRounds / 2);
    CHECK(seen.size() < 1000);
  });
  finish(scheduler);
}

TEST_CASE("fibers have ids of their own") {
  Scheduler scheduler(with_processors(2));
  constexpr uint32_t kCount = 500;
  auto ids = std::make_unique<Atomic<uint64_t>[]>(2 * kCount);
  const auto note = [&](uint32_t at) { ids[at].store_relaxed(current_fiber()->id); };
  for (uint32_t i = 0; i < kCount; ++i) spawn(scheduler, [&note, i] { note(i); });
  spawn(scheduler, [&] {
    for (uint32_t i = kCount; i < 2 * kCount; ++i) spawn(scheduler, [&note, i] { note(i); });
  });
  finish(scheduler);
  std::vector<uint64_t> sorted;
  for (uint32_t i = 0; i < 2 * kCount; ++i) sorted.push_back(ids[i].load_relaxed());
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted.front() != 0);
  CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
}

TEST_CASE("a fiber locked to its thread stays there, and nobody else runs on it") {
  for (bool at_spawn : {true, false}) {
    Scheduler scheduler(with_processors(2));
    Atomic<const void*> locked_thread{nullptr};
    Atomic<bool> done{false};
    SpawnOptions options;
    options.lock_to_thread = at_spawn;
    spawn(
        scheduler,
        [&] {
          if (!at_spawn) CHECK(lock_to_thread());
          const void* own = running_thread();
          locked_thread.store_release(own);
          for (int i = 0; i < 50; ++i) {
            if (i % 3 == 0) {
              sleep_for(20'000);
            } else {
              yield();
            }
            CHECK(running_thread() == own);
          }
          done.store_release(true);
        },
        options);
    for (int i = 0; i < 4; ++i) {
      spawn(scheduler, [&] {
        while (!done.load_acquire()) {
          yield();
          const void* taken = locked_thread.load_acquire();
          // The thread is free again when the fiber has ended.
          CHECK(taken == nullptr || running_thread() != taken || done.load_acquire());
        }
      });
    }
    finish(scheduler);
  }
  Scheduler scheduler(with_processors(1));
  spawn(scheduler, [] { CHECK(kSanitized || !lock_to_thread()); }, of_class(StackClass::kCompact));
  finish(scheduler);
}

// Pitfall 26: with fewer OS threads than processors everything still runs.
TEST_CASE("a limit of OS threads below the processor count is enough") {
  SchedulerOptions options = with_processors(4);
  options.machine_limit = 1;
  Scheduler scheduler(options);
  Runs runs(1000);
  for (uint32_t i = 0; i < 1000; ++i) {
    spawn(scheduler, [&runs, i] {
      yield();
      if (i % 10 == 0) sleep_for(10'000);
      runs.run(i);
    });
  }
  finish(scheduler);
  CHECK_EQ(runs.wrong(), 0u);
  CHECK_EQ(stats_of(scheduler).machines, 1u);
}

// Row 27, as far as counts go.
TEST_CASE("counters agree with what has happened") {
  Scheduler scheduler(with_processors(2));
  constexpr uint32_t kFibers = 300;
  for (uint32_t i = 0; i < kFibers; ++i) {
    spawn(scheduler, [] {
      yield();
      sleep_for(1000);
      yield();
    });
  }
  await_all_exits(scheduler);
  CHECK(scheduler.shutdown());
  const SchedulerStats stats = stats_of(scheduler);
  CHECK_EQ(stats.processors, 2u);
  CHECK_EQ(stats.spawned, kFibers);
  CHECK_EQ(stats.started, kFibers);
  CHECK_EQ(stats.exited, kFibers);
  CHECK_EQ(stats.yielded, 2 * kFibers);
  CHECK_EQ(stats.parked, kFibers);
  CHECK_EQ(stats.timers_fired, kFibers);
  CHECK_EQ(stats.readied, kFibers);
  CHECK_EQ(stats.global_queue, 0u);
  CHECK_EQ(stats.stacks_in_use, 0u);
  uint64_t started = 0;
  for (const auto& each : stats.per_processor) started += each.started;
  CHECK_EQ(started, kFibers);
}

}  // namespace heddle::test
