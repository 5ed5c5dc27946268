// The lock alone, and what a thread may sleep for: nobody is forgotten, and the next holder sees
// what the last one wrote.
#include "core/lock.h"
#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kThreads = 3;
constexpr uint32_t kRounds = 6;

struct Guarded {
  Lock lock{LockRank::kLeaf};
  Plain<uint32_t> count;
};

// Sometimes held for so long that others go to sleep, sometimes taken where they just did.
void count_up(Guarded* guarded) {
  const bool tries = one_in(4);
  if (tries && !guarded->lock.try_lock()) return;
  if (!tries) guarded->lock.lock();
  const uint32_t count = guarded->count.read("what a lock guards");
  if (one_in(2)) pause_thread(1'000);
  guarded->count.write(count + 1, "what a lock guards");
  guarded->lock.unlock();
}

void run_threads(uint32_t count, os::ThreadMain main) {
  os::Thread threads[4];
  for (uintptr_t i = 0; i < count; ++i) {
    SIM_CHECK(os::start_thread(&threads[i], "counter", 0, main, reinterpret_cast<void*>(i)) == 0,
              "no thread");
  }
  for (uint32_t i = 0; i < count; ++i) os::join_thread(threads[i]);
}

Guarded* guarded;

void threads_take_turns() {
  Guarded all;
  guarded = &all;
  run_threads(kThreads, [](void*) {
    for (uint32_t round = 0; round < kRounds; ++round) {
      count_up(guarded);
      if (one_in(3)) pause_thread(1'000);
    }
  });
  guarded = nullptr;
}

// --- two locks whose sleepers are counted together ---

// As far apart as the table of sleepers is long (Lock::kSleeperCounts places of 16 bytes), so that
// those of the one look like the other's.
constexpr size_t kApart = 4096;
alignas(64) unsigned char side_by_side[kApart + sizeof(Guarded)];

Guarded* at_side(uint32_t index) noexcept {
  return std::launder(reinterpret_cast<Guarded*>(side_by_side + index * kApart));
}

void two_locks_share_a_count() {
  for (uint32_t i = 0; i < 2; ++i) new (side_by_side + i * kApart) Guarded;
  run_threads(4, [](void* raw) {
    const auto thread = reinterpret_cast<uintptr_t>(raw);
    for (uint32_t round = 0; round < kRounds; ++round) {
      count_up(at_side(one_in(4) ? random_below(2) : thread % 2));
      if (one_in(3)) pause_thread(1'000);
    }
  });
  for (uint32_t i = 0; i < 2; ++i) at_side(i)->~Guarded();
}

// --- a lock that its next holder destroys ---

struct Handed {
  Atomic<Guarded*> guarded{nullptr};  // published under its lock, for whoever comes next
};
Handed* handed;

// The first holder shows the lock to the others while it holds it. Of those who come, the last is
// alone with it, and destroys it while the one before may still be on its way out of its unlock.
void the_next_holder_destroys_it() {
  Handed all;
  handed = &all;
  run_threads(kThreads, [](void* raw) {
    const bool is_first = raw == nullptr;
    Guarded* own = nullptr;
    if (is_first) {
      own = new Guarded;
      own->lock.lock();
      handed->guarded.store_release(own);
      if (one_in(2)) pause_thread(1'000);
    } else {
      while ((own = handed->guarded.load_acquire()) == nullptr) spin_hint();
      own->lock.lock();
    }
    own->count.write(own->count.read("what a lock guards") + 1, "what a lock guards");
    const bool is_last = own->count.read("what a lock guards") == kThreads;
    // The last one holds it, and nobody else will come; it need not even let go.
    if (is_last) {
      own->lock.note_released();
      delete own;
    } else {
      own->lock.unlock();
    }
  });
  handed = nullptr;
}

}  // namespace

TEST_CASE("a lock that is let go wakes who sleeps for it, and shows what it guards") {
  CHECK(run_seeds({"lock", threads_take_turns, 2'000, exact_time()}));
}

TEST_CASE("nobody who sleeps for a lock is taken for a sleeper of another one") {
  CHECK(run_seeds({"lock, shared count", two_locks_share_a_count, 2'000, exact_time()}));
}

TEST_CASE("an unlock leaves a lock alone that the next holder destroys") {
  CHECK(run_seeds({"lock, destroyed", the_next_holder_destroys_it, 1'000, {}}));
}

}  // namespace heddle::sim
