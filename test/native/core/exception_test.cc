// Exceptions and errno belong to the fiber: they stay with it over parks and on other OS threads.
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

constexpr int kFibers = 40;
constexpr int kRounds = 10;

struct Thrown {
  int fiber;
  int round;
};

// The compiler may keep the address of errno across a park, so errno is reached by calls that it
// cannot look into.
__attribute__((noinline)) int get_errno() {
  asm volatile("" ::: "memory");
  return errno;
}
__attribute__((noinline)) void set_errno(int value) {
  asm volatile("" ::: "memory");
  errno = value;
}

// Runs `body(index)` on so many fibers at once and waits for all.
template <typename F>
void run_fibers(Scheduler& scheduler, int count, StackClass stack_class, F body) {
  Countdown running(static_cast<uint32_t>(count));
  for (int i = 0; i < count; ++i) {
    spawn(
        scheduler,
        [&running, body, i] {
          body(i);
          running.arrive();
        },
        of_class(stack_class));
  }
  running.wait();
  await_all_exits(scheduler);
}

int value_of(const std::exception_ptr& pointer) {
  if (pointer == nullptr) return -1;
  try {
    std::rethrow_exception(pointer);
  } catch (const Thrown& thrown) {
    return thrown.fiber;
  } catch (const std::exception&) {
    return -2;
  }
}

void throw_and_catch_across_yields(int fiber) {
  for (int round = 0; round < kRounds; ++round) {
    try {
      yield();
      try {
        yield();
        throw Thrown{fiber, round};
      } catch (const Thrown& thrown) {
        yield();  // others throw and catch meanwhile
        CHECK_EQ(thrown.fiber, fiber);
        CHECK_EQ(value_of(std::current_exception()), fiber);
        yield();
        throw;
      }
    } catch (const Thrown& thrown) {
      yield();
      CHECK_EQ(thrown.fiber, fiber);
      CHECK_EQ(thrown.round, round);
    }
    CHECK(std::current_exception() == nullptr);
    CHECK_EQ(std::uncaught_exceptions(), 0);
  }
}

// Three exceptions of the same fiber are handled at once.
void nest(int fiber) {
  for (int round = 0; round < kRounds; ++round) {
    try {
      throw Thrown{fiber * 10 + 1, round};
    } catch (const Thrown& outer) {
      yield();
      try {
        throw Thrown{fiber * 10 + 2, round};
      } catch (const Thrown& middle) {
        yield();
        try {
          throw Thrown{fiber * 10 + 3, round};
        } catch (const Thrown& inner) {
          yield();
          CHECK_EQ(inner.fiber, fiber * 10 + 3);
          CHECK_EQ(value_of(std::current_exception()), fiber * 10 + 3);
        }
        yield();
        CHECK_EQ(middle.fiber, fiber * 10 + 2);
        CHECK_EQ(value_of(std::current_exception()), fiber * 10 + 2);
      }
      yield();
      CHECK_EQ(outer.fiber, fiber * 10 + 1);
      CHECK_EQ(value_of(std::current_exception()), fiber * 10 + 1);
    }
    yield();
    CHECK(std::current_exception() == nullptr);
  }
}

struct YieldsWhenDestroyed {
  ~YieldsWhenDestroyed() {
    CHECK_EQ(std::uncaught_exceptions(), expected);
    yield();
    CHECK_EQ(std::uncaught_exceptions(), expected);
    try {
      throw Thrown{-1, 0};  // while another one unwinds
    } catch (const Thrown&) {
      CHECK_EQ(std::uncaught_exceptions(), expected);
      yield();
    }
    CHECK_EQ(std::uncaught_exceptions(), expected);
  }
  int expected;
};

void unwind_with_yields(int fiber) {
  for (int round = 0; round < kRounds; ++round) {
    // Half of the fibers unwind while the others do not.
    try {
      YieldsWhenDestroyed guard{fiber % 2};
      yield();
      if (fiber % 2 == 1) throw Thrown{fiber, round};
    } catch (const Thrown& thrown) {
      CHECK_EQ(thrown.fiber, fiber);
    }
    CHECK_EQ(std::uncaught_exceptions(), 0);
  }
}

void keep_errno(int fiber) {
  for (int round = 0; round < kRounds; ++round) {
    set_errno(fiber * 100 + round);
    yield();
    CHECK_EQ(get_errno(), fiber * 100 + round);
    sleep_for(1);
    CHECK_EQ(get_errno(), fiber * 100 + round);
  }
}

}  // namespace

// Pitfall 3, row 68: the exceptions that are being handled are a list per thread, unless swapped.
TEST_CASE("an exception is thrown, caught and thrown again across yields") {
  for (uint32_t processors : {1, 2}) {
    for (StackClass stack_class : kStackClasses) {
      Scheduler scheduler(with_processors(processors));
      run_fibers(scheduler, kFibers, stack_class, throw_and_catch_across_yields);
    }
  }
}

TEST_CASE("nested catch blocks each keep their own exception across yields") {
  for (uint32_t processors : {1, 2}) {
    for (StackClass stack_class : kStackClasses) {
      Scheduler scheduler(with_processors(processors));
      run_fibers(scheduler, kFibers, stack_class, nest);
    }
  }
}

TEST_CASE("a destructor that yields during unwinding leaves the counts of others alone") {
  for (uint32_t processors : {1, 2}) {
    for (StackClass stack_class : kStackClasses) {
      Scheduler scheduler(with_processors(processors));
      run_fibers(scheduler, kFibers, stack_class, unwind_with_yields);
    }
  }
}

TEST_CASE("a fiber that is inside a catch block goes on on another OS thread") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    run_fibers(scheduler, 1, stack_class, [&scheduler](int) {
      for (int round = 0; round < kRounds; ++round) {
        try {
          throw Thrown{1, round};
        } catch (const Thrown& outer) {
          move_to_another_thread(scheduler);
          try {
            throw std::runtime_error("text of the inner one");
          } catch (const std::exception& inner) {
            move_to_another_thread(scheduler);
            CHECK_EQ(std::string(inner.what()), "text of the inner one");
          }
          CHECK_EQ(outer.round, round);
          CHECK_EQ(value_of(std::current_exception()), 1);
        }
        CHECK(std::current_exception() == nullptr);
      }
    });
  }
}

TEST_CASE("an unwinding fiber goes on unwinding on another OS thread") {
  struct MovesWhenDestroyed {
    Scheduler& scheduler;
    int expected;
    ~MovesWhenDestroyed() {
      move_to_another_thread(scheduler);
      CHECK_EQ(std::uncaught_exceptions(), expected);
    }
  };
  Scheduler scheduler(with_processors(1));
  run_fibers(scheduler, 1, StackClass::kStandard, [&scheduler](int) {
    for (int round = 0; round < kRounds; ++round) {
      try {
        MovesWhenDestroyed first{scheduler, 1};
        MovesWhenDestroyed second{scheduler, 1};
        throw Thrown{7, round};
      } catch (const Thrown& thrown) {
        CHECK_EQ(thrown.round, round);
      }
      MovesWhenDestroyed calm{scheduler, 0};
    }
  });
}

TEST_CASE("a thread that a fiber has left inside a catch block handles nothing") {
  Scheduler scheduler(with_processors(1));
  ParkingPlace place;
  Countdown done(2);
  spawn(scheduler, [&] {
    try {
      throw Thrown{1, 2};
    } catch (const Thrown& thrown) {
      place.park();
      CHECK_EQ(thrown.round, 2);
    }
    done.arrive();
  });
  place.await();
  spawn(scheduler, [&] {
    CHECK(std::current_exception() == nullptr);
    CHECK_EQ(std::uncaught_exceptions(), 0);
    CHECK(place.ready(scheduler));
    done.arrive();
  });
  done.wait();
}

TEST_CASE("an exception caught on one fiber is thrown again on another") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(2));
    run_fibers(scheduler, kFibers, stack_class, [&scheduler](int fiber) {
      struct Shared {
        Signal ready;
        std::exception_ptr exception;
      };
      auto* shared = new Shared;
      spawn(scheduler, [shared, fiber, owner = &scheduler] {
        try {
          throw Thrown{fiber, 0};
        } catch (const Thrown&) {
          shared->exception = std::current_exception();
          yield();
        }
        shared->ready.send(*owner);
      });
      shared->ready.wait();
      CHECK_EQ(value_of(shared->exception), fiber);
      delete shared;
    });
  }
}

// Pitfall 5: a plain `errno` may be another thread's after a park.
TEST_CASE("errno belongs to the fiber") {
  for (uint32_t processors : {1, 2}) {
    for (StackClass stack_class : kStackClasses) {
      Scheduler scheduler(with_processors(processors));
      run_fibers(scheduler, kFibers, stack_class, keep_errno);
    }
  }
}

TEST_CASE("errno and the thread's own data are right after a move to another OS thread") {
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    run_fibers(scheduler, 1, stack_class, [&scheduler](int) {
      for (int round = 1; round <= kRounds; ++round) {
        const Machine* before = Machine::current();
        set_errno(round);
        move_to_another_thread(scheduler);
        CHECK_EQ(get_errno(), round);
        CHECK(Machine::current() != before);
        CHECK(Machine::current()->fiber == current_fiber());
      }
    });
  }
}

CHILD_CASE("a child that ends at once") {}

CHILD_CASE("an exception leaves its fiber") {
  Scheduler scheduler(with_processors(1));
  Countdown never(1);
  std::set_terminate([] {
    std::printf("terminate was called\n");
    std::fflush(stdout);
    std::abort();
  });
  const bool compact = std::getenv("HEDDLE_TEST_COMPACT") != nullptr;
  spawn(
      scheduler,
      [] {
        yield();
        throw Thrown{42, 0};
      },
      of_class(compact ? StackClass::kCompact : StackClass::kStandard));
  never.wait();
}

// As one that leaves the function of a std::thread.
TEST_CASE("an exception that leaves its fiber calls std::terminate") {
  // An emulator of another instruction set cannot start this program again.
  if (run_child("a child that ends at once").exit_code != 0) return;
  for (const char* extra : {"HEDDLE_TEST_STANDARD=1", "HEDDLE_TEST_COMPACT=1"}) {
    const ChildResult child = run_child("an exception leaves its fiber", extra);
    CHECK_EQ(child.signal, SIGABRT);
    CHECK(child.output.find("terminate was called") != std::string::npos);
  }
}

}  // namespace heddle::test
