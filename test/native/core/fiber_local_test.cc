// Fiber-local storage: values belong to the fiber, destructors run on it at its end.
#include "core/fiber_local.h"

#include <thread>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

void* as_value(uintptr_t value) { return reinterpret_cast<void*>(value); }
uintptr_t as_number(void* value) { return reinterpret_cast<uintptr_t>(value); }

std::vector<uintptr_t> destroyed;  // by one fiber at a time
Scheduler* running_scheduler = nullptr;

void note_destroyed(void* value) { destroyed.push_back(as_number(value)); }

const uint32_t plain_key = make_fiber_local_key(nullptr);
const uint32_t first_key = make_fiber_local_key(note_destroyed);
const uint32_t second_key = make_fiber_local_key(note_destroyed);

}  // namespace

TEST_CASE("every fiber has values of its own, over parks and on other OS threads") {
  for (StackClass stack_class : kStackClasses) {
    for (uint32_t processors : {1, 2}) {
      Scheduler scheduler(with_processors(processors));
      for (uintptr_t i = 1; i <= 50; ++i) {
        spawn(
            scheduler,
            [i] {
              CHECK(get_fiber_local(plain_key) == nullptr);
              for (uintptr_t round = 1; round <= 10; ++round) {
                CHECK(set_fiber_local(plain_key, as_value(i * 100 + round)));
                yield();
                CHECK_EQ(as_number(get_fiber_local(plain_key)), i * 100 + round);
              }
            },
            of_class(stack_class));
      }
      finish(scheduler);
    }
  }
  Scheduler scheduler(with_processors(1));
  Countdown done(1);
  spawn(scheduler, [&] {
    set_fiber_local(plain_key, as_value(5));
    move_to_another_thread(scheduler);
    CHECK_EQ(as_number(get_fiber_local(plain_key)), 5u);
    done.arrive();
  });
  done.wait();
  finish(scheduler);
}

TEST_CASE("a recycled descriptor starts without values") {
  Scheduler scheduler(with_processors(1));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) {
      spawn(scheduler, [] {
        CHECK(get_fiber_local(plain_key) == nullptr);
        set_fiber_local(plain_key, as_value(9));
      });
    }
    await_all_exits(scheduler);
  }
}

TEST_CASE("a thread that runs no fiber has values of its own") {
  CHECK(get_fiber_local(plain_key) == nullptr);
  set_fiber_local(plain_key, as_value(3));
  std::thread([] {
    CHECK(get_fiber_local(plain_key) == nullptr);
    set_fiber_local(first_key, as_value(4));
    destroyed.clear();
    destroy_fiber_locals();
    CHECK_EQ(destroyed.size(), 1u);
    CHECK(get_fiber_local(first_key) == nullptr);
  }).join();
  CHECK_EQ(as_number(get_fiber_local(plain_key)), 3u);
  destroy_fiber_locals();
}

TEST_CASE("destructors run at the end of the fiber, in the order of the keys") {
  for (StackClass stack_class : kStackClasses) {
    for (bool cancelled : {false, true}) {
      Scheduler scheduler(with_processors(1));
      destroyed.clear();
      Countdown done(1);
      spawn(
          scheduler,
          [&done, cancelled] {
            set_fiber_local(second_key, as_value(2));
            set_fiber_local(first_key, as_value(1));
            set_fiber_local(plain_key, as_value(3));
            yield();
            CHECK(destroyed.empty());
            done.arrive();
            if (cancelled) throw Cancelled{};
          },
          of_class(stack_class));
      done.wait();
      finish(scheduler);
      REQUIRE(destroyed.size() == 2);
      CHECK_EQ(destroyed[0], 1u);
      CHECK_EQ(destroyed[1], 2u);
    }
  }
}

TEST_CASE("a destructor is not called for a value that was taken away") {
  Scheduler scheduler(with_processors(1));
  destroyed.clear();
  spawn(scheduler, [] {
    set_fiber_local(first_key, as_value(1));
    set_fiber_local(first_key, nullptr);
    set_fiber_local(second_key, as_value(2));
  });
  finish(scheduler);
  REQUIRE(destroyed.size() == 1);
  CHECK_EQ(destroyed[0], 2u);
}

TEST_CASE("a value that a destructor sets again is destroyed again, a bounded number of times") {
  static uint32_t calls;
  static uint32_t key;
  calls = 0;
  key = make_fiber_local_key([](void* value) {
    ++calls;
    CHECK(get_fiber_local(key) == nullptr);
    set_fiber_local(key, as_value(as_number(value) - 1));
  });
  for (uintptr_t times : {1u, 3u, 1000u}) {
    calls = 0;
    Scheduler scheduler(with_processors(1));
    spawn(scheduler, [times] { set_fiber_local(key, as_value(times)); });
    finish(scheduler);
    CHECK_EQ(calls, times < 4 ? times : 4u);  // as PTHREAD_DESTRUCTOR_ITERATIONS
  }
}

// Pitfall 18: the runtime may not remember the thread that a fiber's end has begun on.
TEST_CASE("a destructor parks, and its fiber ends on another OS thread") {
  static Atomic<uint32_t> ended;
  static uint32_t key;
  ended.store_relaxed(0);
  key = make_fiber_local_key([](void* value) {
    const Fiber* self = current_fiber();
    yield();
    sleep_for(1000);
    move_to_another_thread(*static_cast<Scheduler*>(value));
    CHECK(current_fiber() == self);
    ended.fetch_add_acq_rel(1);
  });
  for (StackClass stack_class : kStackClasses) {
    ended.store_relaxed(0);
    Scheduler scheduler(with_processors(1));
    running_scheduler = &scheduler;
    for (int i = 0; i < 5; ++i) {
      spawn(scheduler, [] { set_fiber_local(key, running_scheduler); }, of_class(stack_class));
    }
    finish(scheduler);
    CHECK_EQ(ended.load_acquire(), 5u);
  }
}

TEST_CASE("a cancelled fiber runs all its destructors, even if one of them waits") {
  static uint32_t calls;
  calls = 0;
  static const uint32_t waits = make_fiber_local_key([](void*) {
    ++calls;
    yield();  // throws Cancelled
    CHECK(false);
  });
  static const uint32_t counts = make_fiber_local_key([](void*) { ++calls; });
  Scheduler scheduler(with_processors(1));
  ParkingPlace place;
  spawn(scheduler, [&place] {
    set_fiber_local(waits, as_value(1));
    set_fiber_local(counts, as_value(1));
    place.park();
    CHECK(false);
  });
  place.await();
  scheduler.cancel(place.fiber());
  finish(scheduler);
  CHECK_EQ(calls, 2u);
}

CHILD_CASE("takes all keys") {
  uint32_t last = 0;
  uint32_t count = 3;  // those above
  for (uint32_t key; (key = make_fiber_local_key(nullptr)) != kFiberLocalKeys; ++count) {
    CHECK(key < kFiberLocalKeys);
    last = key;
  }
  CHECK_EQ(count, kFiberLocalKeys);
  CHECK_EQ(make_fiber_local_key(nullptr), kFiberLocalKeys);
  CHECK(set_fiber_local(last, as_value(1)));
  CHECK_EQ(as_number(get_fiber_local(last)), 1u);
  destroy_fiber_locals();
}

// Pitfall 28.
TEST_CASE("there are so many keys, and a key that does not exist is refused") {
  CHECK(!set_fiber_local(kFiberLocalKeys, as_value(1)));
  CHECK(!set_fiber_local(UINT32_MAX, as_value(1)));
  CHECK(get_fiber_local(kFiberLocalKeys) == nullptr);
  CHECK_EQ(run_child("takes all keys").exit_code, 0);
}

}  // namespace heddle::test
