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

// --- a fiber that keeps its processor, and spawns or readies while the others go to sleep ---

// Well before the monitor would help out.
constexpr uint64_t kSoonNs = 5'000'000;

struct Selfish {
  Scheduler scheduler;
  Signal signal;
  Countdown running{0};
  Atomic<uint32_t> served{0};
  explicit Selfish(uint32_t fibers) : running(fibers) {
    current = this;
    exits = &running;
  }
  void serve() noexcept { served.fetch_add_acq_rel(1); }
  static Selfish* current;
};
Selfish* Selfish::current;

// Hands out work round after round, and spins until another machine has done it.
void hand_out_and_stay(void (*hand_out)()) {
  Selfish* selfish = Selfish::current;
  for (uint32_t round = 1; round <= kBursts; ++round) {
    const uint64_t began = os::now_ns();
    hand_out();
    while (selfish->served.load_acquire() != round) {
      SIM_CHECK(os::now_ns() < began + kSoonNs, "nobody was woken");
      spin_hint();
    }
    for (uint32_t turns = random_below(one_in(2) ? 300 : 20); turns > 0; --turns) spin_hint();
  }
}

void steal_at_sleepers() {
  Selfish all(kBursts + 1);
  const auto spawn = [] {
    Selfish::current->scheduler.go([] { Selfish::current->serve(); },
                                   options_of(StackClass::kStandard));
  };
  all.scheduler.go([spawn] { hand_out_and_stay(spawn); }, options_of(StackClass::kStandard));
  all.running.wait();
  all.scheduler.shutdown();
}

void ready_at_sleepers() {
  Selfish all(2);
  const auto serve = [] {
    for (uint32_t round = 0; round < kBursts; ++round) {
      Selfish::current->signal.wait();
      Selfish::current->serve();
    }
  };
  const auto send = [] { Selfish::current->signal.send(Selfish::current->scheduler); };
  all.scheduler.go(serve, options_of(one_in(2) ? StackClass::kStandard : StackClass::kCompact));
  all.scheduler.go([send] { hand_out_and_stay(send); }, options_of(StackClass::kStandard));
  all.running.wait();
  all.scheduler.shutdown();
}

// --- fibers that each keep a processor until all of them run ---

struct Meeting {
  Scheduler scheduler;
  const uint32_t size;
  Atomic<uint32_t> present[kBursts];
  Countdown running;
  explicit Meeting(uint32_t fibers) : size(fibers), running(kBursts * fibers) {
    current = this;
    exits = &running;
  }
  void attend(uint32_t round) noexcept {
    const uint64_t began = os::now_ns();
    if (present[round].fetch_add_acq_rel(1) + 1 == size) os::futex_wake(present[round], 1);
    while (present[round].load_acquire() != size) {
      SIM_CHECK(os::now_ns() < began + kSoonNs, "a machine sleeps, and a fiber waits to run");
      spin_hint();
    }
    for (uint32_t turns = random_below(20); turns > 0; --turns) spin_hint();
  }
  void wait(uint32_t round) noexcept {
    for (uint32_t count; (count = present[round].load_acquire()) != size;) {
      os::futex_wait(present[round], count, os::kNever);
    }
  }
  static Meeting* current;
};
Meeting* Meeting::current;

template <uint32_t kProcessors>
void meet_on_all_processors() {
  Meeting all(kProcessors);
  // Cores that are wanted elsewhere: nobody spins, and machines go to sleep as soon as they can.
  if (one_in(2)) all.scheduler.note_foreign_running(static_cast<int32_t>(kProcessors));
  for (uint32_t round = 0; round < kBursts; ++round) {
    for (uint32_t i = 0; i < kProcessors; ++i) {
      all.scheduler.go([round] { Meeting::current->attend(round); },
                       options_of(StackClass::kStandard));
    }
    all.wait(round);
    if (one_in(2)) pause_like_idle();
  }
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

TEST_CASE("a fiber that is readied by one that stays wakes a machine that goes to sleep") {
  CHECK(run_seeds({"idle against ready from a fiber", ready_at_sleepers, 500, with_cpus(2)}));
}

TEST_CASE("as many fibers run at once as there are processors") {
  CHECK(run_seeds({"meet, two processors", meet_on_all_processors<2>, 500, with_cpus(2)}));
  CHECK(run_seeds({"meet, three processors", meet_on_all_processors<3>, 500, with_cpus(3)}));
}

TEST_CASE("a fiber that is readied from outside runs, even if all machines go to sleep") {
  CHECK(run_seeds({"idle against ready", ready_sleepers, 500, with_cpus(2)}));
}

}  // namespace heddle::sim
