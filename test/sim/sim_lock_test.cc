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
Guarded* guarded;

// Sometimes held for so long that others go to sleep, sometimes taken where they just did.
void count_up(void*) {
  for (uint32_t round = 0; round < kRounds; ++round) {
    const bool tries = one_in(4);
    if (tries && !guarded->lock.try_lock()) continue;
    if (!tries) guarded->lock.lock();
    const uint32_t count = guarded->count.read("what a lock guards");
    if (one_in(2)) pause_thread(1'000);
    guarded->count.write(count + 1, "what a lock guards");
    guarded->lock.unlock();
    if (one_in(3)) pause_thread(1'000);
  }
}

void threads_take_turns() {
  Guarded all;
  guarded = &all;
  os::Thread threads[kThreads];
  for (os::Thread& thread : threads) {
    SIM_CHECK(os::start_thread(&thread, "counter", 0, count_up, nullptr) == 0, "no thread");
  }
  for (os::Thread thread : threads) os::join_thread(thread);
  guarded = nullptr;
}

}  // namespace

TEST_CASE("a lock that is let go wakes who sleeps for it, and shows what it guards") {
  CHECK(run_seeds({"lock", threads_take_turns, 500, exact_time()}));
}

}  // namespace heddle::sim
