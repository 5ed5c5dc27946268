// Going to sleep against new work: no wake-up is ever lost.
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kBursts = 8;
constexpr uint32_t kBurst = 2;

struct Idle {
  Scheduler scheduler;
  Unserved unserved;
  Once fibers[kBursts * kBurst];
  Countdown running{kBursts * kBurst};
  Idle() {
    exits = &running;
    on_everybody_asleep([](uint64_t left_ns) { current->unserved.check(left_ns); });
  }
  static Idle* current;
};
Idle* Idle::current;

void spawn_one(uint32_t index) {
  Idle* idle = Idle::current;
  idle->unserved.add();
  idle->fibers[index].prepare(index);
  const auto serve = [index] {
    Idle::current->fibers[index].run(index);
    Idle::current->unserved.serve();
  };
  idle->scheduler.go(serve, options_of(StackClass::kStandard));
}

// Pauses about as long as machines take to go to sleep, so that the next spawn meets them at it.
void pause_like_idle() {
  static const uint32_t kPauses[] = {100, 2'000, 30'000};
  pause_thread(kPauses[random_below(3)]);
}

void spawn_at_sleepers() {
  Idle all;
  Idle::current = &all;
  for (uint32_t i = 0; i < kBursts * kBurst; ++i) {
    spawn_one(i);
    if (i % kBurst == 0) pause_like_idle();
  }
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kBursts * kBurst);
}

// --- two threads at once, and the runtime's own fibers among them ---

void spawn_from_everywhere() {
  Idle all;
  Idle::current = &all;
  os::Thread outsider;
  os::start_thread(
      &outsider, "outsider", 0,
      [](void*) {
        for (uint32_t i = 0; i < kBursts * kBurst / 2; ++i) {
          spawn_one(i);
          pause_like_idle();
        }
      },
      nullptr);
  for (uint32_t i = kBursts * kBurst / 2; i < kBursts * kBurst; i += kBurst) {
    all.scheduler.go([i] {
      for (uint32_t child = i; child < i + kBurst; ++child) spawn_one(child);
    });
    pause_like_idle();
  }
  os::join_thread(outsider);
  all.running.wait();
  all.scheduler.shutdown();
}

// --- fibers readied while their machines go to sleep ---

struct Woken {
  Scheduler scheduler;
  Unserved unserved;
  Signal signal[2];
  Countdown running{2};
  Countdown rounds[2] = {Countdown(kBursts), Countdown(kBursts)};
  Atomic<uint32_t> served[2];
  Woken() {
    exits = &running;
    on_everybody_asleep([](uint64_t left_ns) { current->unserved.check(left_ns); });
  }
  static Woken* current;
};
Woken* Woken::current;

void ready_sleepers() {
  Woken all;
  Woken::current = &all;
  for (uint32_t i = 0; i < 2; ++i) {
    const auto serve = [i] {
      for (uint32_t round = 1; round <= kBursts; ++round) {
        Woken::current->signal[i].wait();
        Woken::current->unserved.serve();
        Woken::current->served[i].store_release(round);
        os::futex_wake(Woken::current->served[i], 1);
      }
    };
    all.scheduler.go(serve, options_of(i == 0 ? StackClass::kStandard : StackClass::kCompact));
  }
  for (uint32_t round = 0; round < kBursts; ++round) {
    for (uint32_t i = 0; i < 2; ++i) {
      uint32_t served;
      while ((served = all.served[i].load_acquire()) != round) {
        os::futex_wait(all.served[i], served, os::kNever);
      }
      pause_like_idle();
      all.unserved.add();
      all.signal[i].send(all.scheduler);
    }
  }
  all.running.wait();
  all.scheduler.shutdown();
}

// --- a fiber that keeps its processor, and spawns while the other machines go to sleep ---

struct Selfish {
  Scheduler scheduler;
  Countdown running{kBursts + 1};
  Atomic<uint32_t> served{0};
  Selfish() { exits = &running; }
};
Selfish* selfish;

void spawn_and_stay() {
  for (uint32_t round = 1; round <= kBursts; ++round) {
    const uint64_t began = os::now_ns();
    selfish->scheduler.go([] { selfish->served.fetch_add_acq_rel(1); },
                          options_of(StackClass::kStandard));
    while (selfish->served.load_acquire() != round) {
      SIM_CHECK(os::now_ns() < began + 5'000'000, "a spawn woke nobody");
      spin_hint();
    }
    for (uint32_t turns = random_below(one_in(2) ? 300 : 20); turns > 0; --turns) spin_hint();
  }
}

void steal_at_sleepers() {
  Selfish all;
  selfish = &all;
  all.scheduler.go(spawn_and_stay, options_of(StackClass::kStandard));
  all.running.wait();
  all.scheduler.shutdown();
}

Settings with_cpus(uint32_t cpus) noexcept {
  Settings settings = exact_time();
  settings.cpus = cpus;
  return settings;
}

}  // namespace

TEST_CASE("a spawn from outside wakes a machine that goes to sleep") {
  CHECK(run_seeds({"idle against spawn", spawn_at_sleepers, 500, with_cpus(2)}));
  CHECK(run_seeds({"idle against spawn, one processor", spawn_at_sleepers, 500, with_cpus(1)}));
}

TEST_CASE("spawns from fibers and threads at once leave nothing asleep") {
  CHECK(run_seeds({"idle against all", spawn_from_everywhere, 500, with_cpus(3)}));
}

TEST_CASE("a spawn from a fiber that stays wakes a machine that goes to sleep") {
  CHECK(run_seeds({"idle against steal", steal_at_sleepers, 500, with_cpus(2)}));
}

TEST_CASE("a fiber that is readied from outside runs, even if all machines go to sleep") {
  CHECK(run_seeds({"idle against ready", ready_sleepers, 500, with_cpus(2)}));
}

}  // namespace heddle::sim
