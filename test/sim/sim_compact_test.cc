// Compact fibers: their bytes return to the same addresses of the same run stack, whoever readies
// them and wherever they run.
#include "core/blocking.h"
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kFibers = 6;
constexpr uint32_t kRounds = 3;

struct Compact {
  Scheduler scheduler;
  Signal signals[kFibers];
  Plain<uint32_t> rounds[kFibers];
  Countdown running{kFibers};
  Compact() { exits = &running; }
};
Compact* compact;

// Something on the stack that every park must bring back.
struct Pattern {
  uint64_t words[12];
  explicit Pattern(uint64_t seed) noexcept {
    for (uint64_t& word : words) word = seed = seed * 0x9E3779B97F4A7C15ULL + 1;
  }
  bool is_intact(uint64_t seed) const noexcept {
    for (const uint64_t& word : words) {
      seed = seed * 0x9E3779B97F4A7C15ULL + 1;
      if (*static_cast<const volatile uint64_t*>(&word) != seed) return false;
    }
    return true;
  }
};

void wait_somehow(uint32_t index) {
  switch (random_below(4)) {
    case 0:
      yield();
      break;
    case 1:
      sleep_for(1 + random_below(20'000));
      break;
    case 2:
      blocking([] { pause_thread(50'000); });
      break;
    default:
      break;
  }
  compact->signals[index].wait();
}

void signal_next(uint32_t index) {
  compact->signals[(index + 1) % kFibers].send(compact->scheduler);
}

// A token goes round; every fiber passes it on as often as it has got it.
void pass_token(uint32_t index) {
  const Pattern pattern(index + 1);
  for (uint32_t round = 0; round < kRounds; ++round) {
    wait_somehow(index);
    SIM_CHECK(pattern.is_intact(index + 1), "the stack of a compact fiber has changed");
    compact->rounds[index].write(round + 1, "a round");
    if (index + 1 != kFibers || round + 1 != kRounds) signal_next(index);
  }
}

void token_goes_round() {
  Compact all;
  compact = &all;
  for (uint32_t i = 0; i < kFibers; ++i) {
    all.scheduler.go([i] { pass_token(i); }, options_of(StackClass::kCompact));
  }
  all.signals[0].send(all.scheduler);
  all.running.wait();
  for (Plain<uint32_t>& round : all.rounds) {
    SIM_CHECK(round.read("a round") == kRounds, "a token was lost");
  }
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kFibers);
}

// --- everybody at once, readied by threads outside ---

void answer(uint32_t index) {
  const Pattern pattern(index + 1);
  for (uint32_t round = 0; round < kRounds; ++round) {
    compact->signals[index].wait();
    SIM_CHECK(pattern.is_intact(index + 1), "the stack of a compact fiber has changed");
    compact->rounds[index].write(round + 1, "a round");
    compact->running.arrive();
    if (one_in(4)) yield();
    // Keeps its run stack and its processor.
    if (one_in(8)) os::sleep_until(os::now_ns() + random_below(40'000'000));
  }
}

void ask(void* raw) {
  const auto first = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(raw));
  for (uint32_t i = first; i < kFibers; i += 2) compact->signals[i].send(compact->scheduler);
}

void ready_from_outside() {
  Compact all;
  compact = &all;
  Countdown ended(kFibers);
  exits = &ended;
  for (uint32_t i = 0; i < kFibers; ++i) {
    all.scheduler.go([i] { answer(i); }, options_of(StackClass::kCompact));
  }
  for (uint32_t round = 0; round < kRounds; ++round) {
    new (&all.running) Countdown(kFibers);
    os::Thread threads[2];
    for (uint32_t i = 0; i < 2; ++i) {
      os::start_thread(&threads[i], "asker", 0, ask, reinterpret_cast<void*>(uintptr_t{i}));
    }
    all.running.wait();
    for (os::Thread thread : threads) os::join_thread(thread);
  }
  ended.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kFibers);
}

// --- fibers of one stack take turns ---

constexpr uint32_t kShort = 16;
constexpr uint32_t kStacks = 16;

// What is on a run stack: whoever runs there has it alone, and sees what was done there before.
struct Turns {
  Scheduler scheduler;
  Atomic<RunStack*> stacks[kStacks];
  Plain<uint32_t> memory[kStacks];
  Signal signals[kShort];
  Countdown running{kShort};
  Turns() { exits = &running; }
};
Turns* turns;

void use_stack() {
  RunStack* const own = current_fiber()->run_stack;
  uint32_t at = 0;
  for (; at < kStacks; ++at) {
    RunStack* none = nullptr;
    if (turns->stacks[at].load_relaxed() == own) break;
    if (turns->stacks[at].compare_exchange_acq_rel(none, own) || none == own) break;
  }
  if (at < kStacks) turns->memory[at].write(1, "a run stack");
}

void run_briefly(uint32_t index) {
  use_stack();
  if (one_in(2)) {
    turns->signals[index].wait();
    use_stack();
  }
  if (one_in(4)) yield();
  use_stack();
}

void take_turns() {
  Turns all;
  turns = &all;
  for (uint32_t i = 0; i < kShort; ++i) {
    all.scheduler.go([i] { run_briefly(i); }, options_of(StackClass::kCompact));
    if (i % 2 != 0) {
      pause_thread(3'000);
      for (uint32_t each = i - 1; each <= i; ++each) all.signals[each].send(all.scheduler);
    }
  }
  all.running.wait();
  all.scheduler.shutdown();
  check_all_exited(all.scheduler, kShort);
}

Settings with_cpus(uint32_t cpus) noexcept {
  Settings settings;
  settings.cpus = cpus;
  return settings;
}

}  // namespace

TEST_CASE("a token goes round among compact fibers, and their stacks stay what they were") {
  CHECK(run_seeds({"compact", token_goes_round, 500, with_cpus(2)}));
}

TEST_CASE("compact fibers of one stack take turns on it") {
  CHECK(run_seeds({"compact in turn", take_turns, 500, with_cpus(3)}));
}

TEST_CASE("compact fibers that are readied from everywhere all go on") {
  CHECK(run_seeds({"compact from outside", ready_from_outside, 500, with_cpus(3)}));
}

}  // namespace heddle::sim
