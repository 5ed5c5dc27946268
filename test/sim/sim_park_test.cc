// Park, ready and cancel: every wait ends once, by the one who claimed it.
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

// --- one fiber waits, everybody else signals ---

constexpr uint32_t kRounds = 6;

struct PingPong {
  Scheduler scheduler;
  Signal ping;
  Signal pong;
  Plain<uint32_t> ball;
  Countdown running{2};
  PingPong() { exits = &running; }
};
PingPong* game;

void ping() {
  Plain<uint32_t> own(0);  // on the stack: it moves with the fiber
  for (uint32_t round = 0; round < kRounds; ++round) {
    game->ball.write(2 * round + 1, "the ball");
    game->pong.send(game->scheduler);
    own.write(round, "a fiber's own variable");
    game->ping.wait();
    SIM_CHECK(own.read("a fiber's own variable") == round, "a stack has changed");
    SIM_CHECK(game->ball.read("the ball") == 2 * round + 2, "a signal came without its data");
  }
}

void pong() {
  for (uint32_t round = 0; round < kRounds; ++round) {
    game->pong.wait();
    SIM_CHECK(game->ball.read("the ball") == 2 * round + 1, "a signal came without its data");
    if (one_in(4)) yield();
    game->ball.write(2 * round + 2, "the ball");
    game->ping.send(game->scheduler);
  }
}

void fibers_signal_each_other() {
  PingPong all;
  game = &all;
  const auto own_stack = [] {
    return options_of(StackClass::kStandard, one_in(2) ? 16 * 1024 : 0);
  };
  all.scheduler.go(ping, own_stack());
  all.scheduler.go(pong, own_stack());
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, 2);
}

// --- threads outside ready fibers, late and twice ---

constexpr uint32_t kWaiters = 3;

struct Outside {
  Scheduler scheduler;
  Fiber* fibers[kWaiters];
  Atomic<uint64_t> epoch[kWaiters];    // of the current wait
  Atomic<uint32_t> claimed[kWaiters];  // waits that somebody's ready has ended
  Plain<uint32_t> said[kWaiters];      // before a wait, for its claimer
  Plain<uint32_t> resumed[kWaiters];
  Countdown running{kWaiters};
  Outside() { exits = &running; }
};
Outside* outside;

// Odd rounds take the park back. The epoch is published without order: it is the claim that shows
// what was written before the wait.
void wait_in_rounds(uint32_t index) {
  for (uint32_t round = 0; round < kRounds; ++round) {
    const bool parks = round % 2 == 0;
    const uint32_t before = outside->claimed[index].load_acquire();
    const ParkCommit stays = [](Fiber* fiber, void* raw) noexcept {
      outside->epoch[reinterpret_cast<uintptr_t>(raw)].store_relaxed(fiber->epoch());
      return true;
    };
    const ParkCommit returns = [](Fiber*, void*) noexcept { return false; };
    if (parks) outside->said[index].write(round, "what a fiber says before it waits");
    park(WaitReason::kPark, parks ? stays : returns, reinterpret_cast<void*>(uintptr_t{index}));
    const uint32_t ended = outside->claimed[index].load_acquire() - before;
    // The claimer counts after its claim, perhaps later than the fiber goes on.
    SIM_CHECK(ended <= (parks ? 1u : 0u), "a wait ended %u times", ended);
    outside->resumed[index].write(round + 1, "a round");
    // The next wait may not be offered before this one's end has been counted.
    while (parks && outside->claimed[index].load_acquire() != round / 2 + 1) yield();
  }
}

// Readies whatever it finds, again and again, with epochs that may be of former waits.
void ready_everything(void*) {
  while (outside->running.left() != 0) {
    const uint32_t index = random_below(kWaiters);
    const uint64_t epoch = outside->epoch[index].load_relaxed();
    if (epoch != 0) {
      Fiber* const fiber = outside->fibers[index];
      if (outside->scheduler.ready(fiber, epoch)) {
        const uint32_t said = outside->said[index].read("what a fiber says before it waits");
        SIM_CHECK(said == 2 * outside->claimed[index].load_acquire(), "said before another wait");
        outside->claimed[index].fetch_add_acq_rel(1);
      }
      SIM_CHECK(!outside->scheduler.ready(fiber, epoch - 1), "a stale epoch ended a wait");
    }
    pause_thread(3'000);
  }
}

void ready_from_outside() {
  Outside all;
  outside = &all;
  for (uint32_t i = 0; i < kWaiters; ++i) {
    const FiberEntry wait = [](Fiber* fiber) {
      uint32_t index = 0;
      std::memcpy(&index, fiber->payload, sizeof index);
      wait_in_rounds(index);
    };
    SpawnError error = SpawnError::kNone;
    all.fibers[i] = all.scheduler.spawn(any_options(), wait, &i, sizeof i, &error);
    SIM_CHECK(all.fibers[i] != nullptr, "a spawn failed");
  }
  os::Thread threads[2];
  for (os::Thread& thread : threads) {
    os::start_thread(&thread, "waker", 0, ready_everything, nullptr);
  }
  all.running.wait();
  for (os::Thread thread : threads) os::join_thread(thread);
  for (uint32_t i = 0; i < kWaiters; ++i) {
    SIM_CHECK(all.resumed[i].read("a round") == kRounds, "a fiber has lost rounds");
    SIM_CHECK(all.claimed[i].load_relaxed() == kRounds / 2, "ready was true too often");
  }
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kWaiters);
}

// --- cancel against park and ready ---

constexpr uint32_t kVictims = 3;

struct Cancelling {
  Scheduler scheduler;
  Fiber* fibers[kVictims];
  Atomic<uint64_t> epoch[kVictims];
  Atomic<uint32_t> held[kVictims];  // a fiber does not end while somebody refers to it
  Atomic<uint32_t> gone[kVictims];
  Countdown running{kVictims};
  Unserved unserved;  // asked to end
};
Cancelling* cancelling;

void end_victim(Fiber* fiber, ExitStatus status) {
  SIM_CHECK(status == ExitStatus::kCancelled, "a fiber that waits for ever has ended");
  uint32_t index = 0;
  std::memcpy(&index, fiber->payload, sizeof index);
  while (cancelling->held[index].exchange_acquire(1) != 0) spin_hint();
  cancelling->gone[index].store_relaxed(1);
  cancelling->held[index].exchange_acq_rel(0);
  cancelling->unserved.serve();
  cancelling->running.arrive();
}

void wait_for_ever(Fiber* fiber) {
  uint32_t index = 0;
  std::memcpy(&index, fiber->payload, sizeof index);
  const ParkCommit commit = [](Fiber* self, void* raw) noexcept {
    cancelling->epoch[reinterpret_cast<uintptr_t>(raw)].store_release(self->epoch());
    return random_below(4) != 0;
  };
  for (;;) {
    switch (random_below(3)) {
      case 0:
        yield();
        [[fallthrough]];
      case 1:
        park(WaitReason::kPark, commit, reinterpret_cast<void*>(uintptr_t{index}));
        break;
      default:
        sleep_for(os::kNever);
        break;
    }
  }
}

void cancel_one(uint32_t index) {
  while (cancelling->held[index].exchange_acquire(1) != 0) spin_hint();
  if (cancelling->gone[index].load_relaxed() == 0) {
    cancelling->unserved.add();
    cancelling->scheduler.cancel(cancelling->fibers[index]);
  }
  cancelling->held[index].exchange_acq_rel(0);
}

void ready_victims(void*) {
  for (int i = 0; i < 6; ++i) {
    const uint32_t index = random_below(kVictims);
    const uint64_t epoch = cancelling->epoch[index].load_acquire();
    if (epoch != 0) cancelling->scheduler.ready(cancelling->fibers[index], epoch);
    pause_thread(3'000);
  }
}

void cancel_races() {
  Cancelling all;
  cancelling = &all;
  on_everybody_asleep([](uint64_t left_ns) { cancelling->unserved.check(left_ns); });
  for (uint32_t i = 0; i < kVictims; ++i) {
    SpawnOptions options = any_options();
    options.on_exit = end_victim;
    SpawnError error = SpawnError::kNone;
    all.fibers[i] = all.scheduler.spawn(options, wait_for_ever, &i, sizeof i, &error);
    SIM_CHECK(all.fibers[i] != nullptr, "a spawn failed");
  }
  os::Thread waker;
  os::start_thread(&waker, "waker", 0, ready_victims, nullptr);
  for (uint32_t i = 0; i < kVictims; ++i) {
    if (one_in(2)) pause_thread(5'000);
    if (one_in(3)) {
      all.scheduler.go([i] { cancel_one(i); });
    } else {
      cancel_one(i);
    }
  }
  all.running.wait();
  os::join_thread(waker);
  all.scheduler.shutdown();
}

}  // namespace

TEST_CASE("fibers that signal each other see each other's writes") {
  CHECK(run_seeds({"park and ready", fibers_signal_each_other, 500, {}}));
}

TEST_CASE("a wait ends once, however often and late it is readied") {
  CHECK(run_seeds({"ready from outside", ready_from_outside, 500, {}}));
}

TEST_CASE("a cancelled fiber ends, whatever it was about to do") {
  CHECK(run_seeds({"cancel", cancel_races, 500, exact_time()}));
}

}  // namespace heddle::sim
