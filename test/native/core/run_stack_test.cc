// Compact fibers: their frames move off the run stack at every park and back to the same place.
#include "core/run_stack.h"

#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include "core/frame_store.h"
#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

const SpawnOptions kCompact = of_class(StackClass::kCompact);

// The place of a local is a number here, so that the compiler cannot know that it is always equal.
__attribute__((noinline)) uintptr_t place_of(const volatile void* local) {
  auto place = reinterpret_cast<uintptr_t>(local);
  asm volatile("" : "+r"(place));
  return place;
}

// Parks with so many bytes of locals, three frames deep, and checks them after every park.
template <size_t kBytes>
__attribute__((noinline)) uint32_t hold_locals(uint32_t seed, int depth) {
  volatile unsigned char bytes[kBytes];
  for (size_t i = 0; i < kBytes; i += 8) bytes[i] = static_cast<unsigned char>(seed + i / 8);
  const uintptr_t place = place_of(bytes);
  uint32_t sum = seed;
  for (int park = 0; park < 3; ++park) {
    if (depth > 0) sum += hold_locals<kBytes>(seed + 1, depth - 1);
    if (park == 1) {
      sleep_for(1000);
    } else {
      yield();
    }
    CHECK_EQ(place_of(bytes), place);
    for (size_t i = 0; i < kBytes; i += 8) {
      CHECK_EQ(bytes[i], static_cast<unsigned char>(seed + i / 8));
    }
  }
  return sum;
}

constexpr uint32_t kExpectedSum = 3 * (3 * 3 + 2) + 1;  // of three frames, from seed 1 on
static_assert(kExpectedSum == 34, "1 + 3 * (2 + 3 * 3)");

template <size_t kBytes>
void spawn_holder(Scheduler& scheduler, Countdown& running) {
  spawn(
      scheduler,
      [&running] {
        CHECK_EQ(hold_locals<kBytes>(1, 2), kExpectedSum);
        running.arrive();
      },
      kCompact);
}

}  // namespace

// Row 69: with --poison, the stack that was left is overwritten at every park.
TEST_CASE("locals of frames of many sizes keep their values and places over parks") {
  for (uint32_t processors : {1, 2}) {
    Scheduler scheduler(with_processors(processors));
    constexpr uint32_t kOfEach = 12;
    Countdown running(9 * kOfEach);
    for (uint32_t i = 0; i < kOfEach; ++i) {
      spawn_holder<8>(scheduler, running);
      spawn_holder<64>(scheduler, running);
      spawn_holder<120>(scheduler, running);
      spawn_holder<256>(scheduler, running);
      spawn_holder<520>(scheduler, running);
      spawn_holder<1024>(scheduler, running);
      spawn_holder<4000>(scheduler, running);
      spawn_holder<10'000>(scheduler, running);
      // Beyond the largest class, as a whole; too much for the stacks that sanitizers see.
      spawn_holder<(kSanitized ? 32 : 30'000)>(scheduler, running);
    }
    running.wait();
    await_all_exits(scheduler);
  }
}

TEST_CASE("objects on the stack live on: their addresses may be kept over parks") {
  Scheduler scheduler(with_processors(2));
  constexpr uint32_t kFibers = 50;
  Countdown running(kFibers);
  for (uint32_t i = 0; i < kFibers; ++i) {
    spawn(
        scheduler,
        [&running, i] {
          std::vector<uint32_t> values;  // its header lies on the stack
          uint32_t count = 0;
          uint32_t* const pointer = &count;
          for (uint32_t n = 0; n < 20; ++n) {
            values.push_back(i * n);
            yield();
            ++*pointer;
          }
          CHECK_EQ(count, 20u);
          for (uint32_t n = 0; n < 20; ++n) CHECK_EQ(values[n], i * n);
          running.arrive();
        },
        kCompact);
  }
  running.wait();
  await_all_exits(scheduler);
}

TEST_CASE("compact fibers are parked, readied from outside and cancelled as all others") {
  Scheduler scheduler(with_processors(2));
  constexpr int kFibers = 20;
  struct Place {
    ParkingPlace parked;
    Atomic<uint32_t> ended{0};
  };
  auto places = std::make_unique<Place[]>(kFibers);
  for (int i = 0; i < kFibers; ++i) {
    spawn(
        scheduler,
        [place = &places[i], i] {
          int local = i;
          try {
            place->parked.park();
            CHECK(i % 2 == 0);
          } catch (const Cancelled&) {
            CHECK(i % 2 == 1);
          }
          CHECK_EQ(local, i);
          place->ended.store_release(1);
        },
        kCompact);
  }
  for (int i = 0; i < kFibers; ++i) {
    Place& place = places[i];
    place.parked.await();
    if (i % 2 == 0) {
      CHECK(place.parked.ready(scheduler));
    } else {
      scheduler.cancel(place.parked.fiber());
    }
  }
  for (int i = 0; i < kFibers; ++i) wait_until([&] { return places[i].ended.load_acquire() != 0; });
  await_all_exits(scheduler);
}

TEST_CASE("a compact fiber keeps its place on another OS thread") {
  Scheduler scheduler(with_processors(1));
  Countdown done(1);
  spawn(
      scheduler,
      [&] {
        volatile int local = 7;
        const uintptr_t place = place_of(&local);
        for (int i = 0; i < 5; ++i) {
          move_to_another_thread(scheduler);
          CHECK_EQ(place_of(&local), place);
          CHECK_EQ(local, 7 + i);
          local = local + 1;
        }
        done.arrive();
      },
      kCompact);
  done.wait();
  await_all_exits(scheduler);
}

TEST_CASE("compact and standard fibers wake each other") {
  Scheduler scheduler(with_processors(2));
  struct Pair {
    Signal ping;
    Signal pong;
    Countdown ended{2};
  };
  constexpr int kPairs = 10;
  constexpr int kRounds = 50;
  auto pairs = std::make_unique<Pair[]>(kPairs);
  for (int i = 0; i < kPairs; ++i) {
    Pair* pair = &pairs[i];
    spawn(
        scheduler,
        [pair, &scheduler] {
          for (int round = 0; round < kRounds; ++round) {
            pair->ping.wait();
            pair->pong.send(scheduler);
          }
          pair->ended.arrive();
        },
        kCompact);
    spawn(scheduler, [pair, &scheduler] {
      for (int round = 0; round < kRounds; ++round) {
        pair->ping.send(scheduler);
        pair->pong.wait();
      }
      pair->ended.arrive();
    });
  }
  for (int i = 0; i < kPairs; ++i) pairs[i].ended.wait();
  await_all_exits(scheduler);
}

TEST_CASE("many parked compact fibers share few stacks") {
  if (kSanitized) return;  // there they have stacks of their own
  Scheduler scheduler(with_processors(2));
  constexpr uint32_t kFibers = 2000;
  const uint64_t before = stack_pool(stack_size_log2(256 * 1024)).use().in_use;
  auto places = std::make_unique<ParkingPlace[]>(kFibers);
  for (uint32_t i = 0; i < kFibers; ++i) {
    spawn(scheduler, [place = &places[i]] { place->park(); }, kCompact);
  }
  for (uint32_t i = 0; i < kFibers; ++i) places[i].await();
  CHECK(stack_pool(stack_size_log2(256 * 1024)).use().in_use - before <= 64);
  CHECK(FrameStore::resident_bytes() < uint64_t{kFibers} * 4096);
  for (uint32_t i = 0; i < kFibers; ++i) CHECK(places[i].ready(scheduler));
  await_all_exits(scheduler);
}

TEST_CASE("a compact fiber that computes for long does not hold up those of its stack for ever") {
  Scheduler scheduler(with_processors(1));
  Atomic<uint32_t> others{0};
  Countdown done(1);
  constexpr uint32_t kOthers = 20;
  for (uint32_t i = 0; i < kOthers; ++i) {
    spawn(
        scheduler,
        [&others] {
          yield();
          others.fetch_add_acq_rel(1);
        },
        kCompact);
  }
  spawn(
      scheduler,
      [&] {
        while (others.load_acquire() != kOthers) checkpoint();
        done.arrive();
      },
      kCompact);
  done.wait();
  await_all_exits(scheduler);
}

TEST_CASE("a frame store gives blocks that hold what was asked for") {
  FrameStore store;
  std::vector<std::pair<unsigned char*, size_t>> frames;
  std::set<void*> distinct;
  for (size_t bytes = 1; bytes < 80'000; bytes = bytes * 5 / 4 + 1) {
    auto* frame = static_cast<unsigned char*>(store.take(bytes));
    REQUIRE(frame != nullptr);
    CHECK_EQ(reinterpret_cast<uintptr_t>(frame) % 16, 0u);
    std::memset(frame, static_cast<int>(bytes & 0xFF), bytes);
    frames.emplace_back(frame, bytes);
    distinct.insert(frame);
  }
  CHECK_EQ(distinct.size(), frames.size());
  for (const auto& [frame, bytes] : frames) {
    for (size_t i = 0; i < bytes; ++i) CHECK_EQ(frame[i], bytes & 0xFF);
    store.give(frame, bytes);
  }
  store.flush();
  FrameStore::trim();
  CHECK_EQ(FrameStore::resident_bytes(), 0u);
}

}  // namespace heddle::test
