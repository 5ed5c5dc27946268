// The biased lock: whoever is favoured and whoever ends the favour never meet inside, and each sees
// what the last holder wrote.
#include "core/biased_lock.h"
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kLocks = 2;
constexpr uint32_t kOthers = 2;
constexpr uint32_t kRounds = 5;

struct Guarded {
  BiasedLock lock{LockRank::kWaitable};
  Plain<uint32_t> count;
  Atomic<uint32_t> inside{0};

  // The simulator switches threads only at words that two of them have used. The favoured machine
  // would be the only one to use its word until the very moment that matters: so the thread that
  // makes a lock looks at all of it.
  Guarded() noexcept {
    for (size_t i = 0; i < sizeof lock; ++i) {
      sim::load(reinterpret_cast<const char*>(&lock) + i, 1, Order::kRelaxed);
    }
  }

  void visit(uint32_t who) noexcept {
    lock.lock(who);
    SIM_CHECK(inside.fetch_add_relaxed(1) == 0, "two hold a biased lock");
    count.write(count.read("what a biased lock guards") + 1, "what a biased lock guards");
    if (one_in(3)) pause_thread(1'000);
    inside.fetch_add_relaxed(~0u);
    lock.unlock();
  }
};

struct Favour {
  Guarded guarded[kLocks];
  Atomic<uint32_t> visits[kLocks];
};
Favour* favour;

void visit(uint32_t lock, uint32_t who) noexcept {
  favour->guarded[lock].visit(who);
  favour->visits[lock].fetch_add_relaxed(1);
}

void run_threads(os::ThreadMain main, uint32_t count) {
  os::Thread threads[4];
  for (uintptr_t i = 0; i < count; ++i) {
    SIM_CHECK(os::start_thread(&threads[i], "visitor", 0, main, reinterpret_cast<void*>(i)) == 0,
              "no thread");
  }
  for (uint32_t i = 0; i < count; ++i) os::join_thread(threads[i]);
  for (uint32_t i = 0; i < kLocks; ++i) {
    SIM_CHECK(favour->guarded[i].count.read("what a biased lock guards") ==
                  favour->visits[i].load_relaxed(),
              "a visit was lost");
  }
}

// --- one machine uses it alone for long, then others come ---

void one_is_favoured() {
  Favour all;
  favour = &all;
  run_threads(
      [](void* raw) {
        const auto thread = reinterpret_cast<uintptr_t>(raw);
        if (thread == 0) {
          for (uint32_t round = 0; round < 2 * kRounds; ++round) {
            visit(round < kRounds ? 0 : random_below(kLocks), 1);
          }
          return;
        }
        const bool is_machine = one_in(2);
        if (one_in(2)) pause_thread(3'000);
        for (uint32_t round = 0; round < kRounds; ++round) {
          visit(random_below(kLocks), is_machine ? static_cast<uint32_t>(thread) + 1 : 0);
          if (one_in(3)) pause_thread(2'000);
        }
      },
      1 + kOthers);
  favour = nullptr;
}

// --- machines that all use it in streaks ---

void all_want_the_favour() {
  Favour all;
  favour = &all;
  run_threads(
      [](void* raw) {
        const auto who = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(raw)) + 1;
        for (uint32_t round = 0; round < 2; ++round) {
          const uint32_t lock = random_below(kLocks);
          for (uint32_t i = 0; i < 4; ++i) visit(lock, who);
          if (one_in(2)) pause_thread(2'000);
        }
      },
      3);
  favour = nullptr;
}

// --- several at once, in order, as a select takes them ---

void locks_are_taken_in_order() {
  Favour all;
  favour = &all;
  run_threads(
      [](void* raw) {
        const auto thread = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(raw));
        const uint32_t who = thread == 2 ? 0 : thread + 1;
        for (uint32_t round = 0; round < kRounds; ++round) {
          if (round < 4 && thread < kLocks) {
            visit(thread, who);  // each of two machines has a favourite
            continue;
          }
          for (Guarded& each : favour->guarded) each.lock.lock(who);
          for (Guarded& each : favour->guarded) {
            each.count.write(each.count.read("what two locks guard") + 1, "what two locks guard");
          }
          for (Guarded& each : favour->guarded) each.lock.unlock();
          for (Atomic<uint32_t>& each : favour->visits) each.fetch_add_relaxed(1);
        }
      },
      3);
  favour = nullptr;
}

// --- the last who lets go of it deletes it ---

struct Owned {
  Guarded* guarded = new Guarded;
  Plain<uint32_t> holders{3};  // under the lock
};
Owned* owned;

void the_last_holder_deletes_it() {
  Favour unused;
  favour = &unused;
  Owned all;
  owned = &all;
  run_threads(
      [](void* raw) {
        const auto who = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(raw));
        Guarded* const guarded = owned->guarded;
        for (uint32_t i = 0; i < (who == 1 ? 6 : 1); ++i) guarded->visit(who);
        guarded->lock.lock(who);
        const uint32_t left = owned->holders.read("its holders") - 1;
        owned->holders.write(left, "its holders");
        guarded->lock.unlock();
        if (left == 0) delete guarded;
      },
      3);
  owned = nullptr;
  favour = nullptr;
}

}  // namespace

TEST_CASE("a favoured machine and those who end the favour exclude each other") {
  CHECK(run_seeds({"biased lock", one_is_favoured, 1'000, exact_time()}));
}

TEST_CASE("machines that all use a biased lock in streaks exclude each other") {
  CHECK(run_seeds({"biased lock, streaks", all_want_the_favour, 1'000, exact_time()}));
}

TEST_CASE("two biased locks with different favourites are held together") {
  CHECK(run_seeds({"biased lock, two", locks_are_taken_in_order, 500, exact_time()}));
}

TEST_CASE("a biased lock may be deleted as soon as it has been let go by all") {
  CHECK(run_seeds({"biased lock, deleted", the_last_holder_deletes_it, 500, {}}));
}

}  // namespace heddle::sim
