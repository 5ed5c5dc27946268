// Litmus tests of the simulated memory: what C++ allows does happen, what it forbids never does.
#include "core/atomic.h"
#include "os/os.h"
#include "os/sim/simulation.h"
#include "test/native/harness.h"

using heddle::Atomic;
using heddle::fence_acquire;
using heddle::fence_heavy;
using heddle::fence_light;
using heddle::fence_release;
using heddle::fence_seq_cst;
namespace os = heddle::os;
namespace sim = heddle::sim;

namespace {

constexpr uint64_t kRuns = 3000;

Atomic<uint32_t> x{0};
Atomic<uint32_t> y{0};
uint32_t seen[4];

// Up to four threads, each from `main(thread number)`.
void run_threads(os::ThreadMain* mains, uint32_t count) {
  x.store_relaxed(0);
  y.store_relaxed(0);
  for (uint32_t& value : seen) value = 99;
  os::Thread threads[4];
  for (uint32_t i = 0; i < count; ++i) os::start_thread(&threads[i], "t", 0, mains[i], nullptr);
  for (uint32_t i = 0; i < count; ++i) os::join_thread(threads[i]);
}

// How often `matches` held after a run of these threads.
template <typename Matches>
uint32_t count_outcomes(void (*scenario)(), Matches matches) {
  uint32_t found = 0;
  for (uint64_t seed = 1; seed <= kRuns; ++seed) {
    sim::run(seed, sim::Settings{}, scenario);
    if (matches()) ++found;
  }
  return found;
}

// --- store buffering: x = 1; r0 = y  |  y = 1; r1 = x ---

enum class Fence { kNone, kSeqCst, kLightAndHeavy, kAcqRel };

template <Fence kKind>
void fence_of(uint32_t side) {
  if (kKind == Fence::kSeqCst) fence_seq_cst();
  if (kKind == Fence::kAcqRel) {
    fence_acquire();
    fence_release();
  }
  if (kKind == Fence::kLightAndHeavy) {
    if (side == 0) {
      fence_light();
    } else {
      fence_heavy();
    }
  }
}

template <Fence kKind>
void store_buffering() {
  os::ThreadMain mains[] = {[](void*) {
                              x.store_relaxed(1);
                              fence_of<kKind>(0);
                              seen[0] = y.load_relaxed();
                            },
                            [](void*) {
                              y.store_relaxed(1);
                              fence_of<kKind>(1);
                              seen[1] = x.load_relaxed();
                            }};
  run_threads(mains, 2);
}

bool both_miss() { return seen[0] == 0 && seen[1] == 0; }

}  // namespace

TEST_CASE("two threads may miss each other's stores without fences") {
  CHECK(count_outcomes(store_buffering<Fence::kNone>, both_miss) > 0);
}

TEST_CASE("acquire and release fences do not order a store before a load") {
  CHECK(count_outcomes(store_buffering<Fence::kAcqRel>, both_miss) > 0);
}

TEST_CASE("full fences on both sides make one of two threads see the other") {
  CHECK_EQ(count_outcomes(store_buffering<Fence::kSeqCst>, both_miss), 0u);
}

TEST_CASE("a light fence on one side is enough if the other one is heavy") {
  CHECK_EQ(count_outcomes(store_buffering<Fence::kLightAndHeavy>, both_miss), 0u);
}

TEST_CASE("two light fences order nothing") {
  const auto two_light = [] {
    os::ThreadMain mains[] = {[](void*) {
                                x.store_relaxed(1);
                                fence_light();
                                seen[0] = y.load_relaxed();
                              },
                              [](void*) {
                                y.store_relaxed(1);
                                fence_light();
                                seen[1] = x.load_relaxed();
                              }};
    run_threads(mains, 2);
  };
  CHECK(count_outcomes(two_light, both_miss) > 0);
}

TEST_CASE("sequentially consistent stores and loads see each other") {
  const auto with_seq_cst = [] {
    os::ThreadMain mains[] = {[](void*) {
                                x.store_seq_cst(1);
                                seen[0] = y.load_seq_cst();
                              },
                              [](void*) {
                                y.store_seq_cst(1);
                                seen[1] = x.load_seq_cst();
                              }};
    run_threads(mains, 2);
  };
  CHECK_EQ(count_outcomes(with_seq_cst, both_miss), 0u);
  const auto with_one_weak_load = [] {
    os::ThreadMain mains[] = {[](void*) {
                                x.store_seq_cst(1);
                                seen[0] = y.load_acquire();
                              },
                              [](void*) {
                                y.store_seq_cst(1);
                                seen[1] = x.load_seq_cst();
                              }};
    run_threads(mains, 2);
  };
  CHECK(count_outcomes(with_one_weak_load, both_miss) > 0);
}

TEST_CASE("a full fence and a sequentially consistent operation order each other") {
  // x = 1 (seq_cst); r0 = y (seq_cst)  |  y = 1; fence; r1 = x
  const auto mixed = [] {
    os::ThreadMain mains[] = {[](void*) {
                                x.store_seq_cst(1);
                                seen[0] = y.load_seq_cst();
                              },
                              [](void*) {
                                y.store_relaxed(1);
                                fence_seq_cst();
                                seen[1] = x.load_relaxed();
                              }};
    run_threads(mains, 2);
  };
  CHECK_EQ(count_outcomes(mixed, both_miss), 0u);
}

namespace {
// --- message passing: x = 1; y = 1  |  r0 = y; r1 = x ---
bool flag_without_data() { return seen[0] == 1 && seen[1] == 0; }
}  // namespace

TEST_CASE("data may be missed behind a relaxed flag") {
  const auto relaxed = [] {
    os::ThreadMain mains[] = {[](void*) {
                                x.store_relaxed(1);
                                y.store_relaxed(1);
                              },
                              [](void*) {
                                seen[0] = y.load_acquire();
                                seen[1] = x.load_relaxed();
                              }};
    run_threads(mains, 2);
  };
  CHECK(count_outcomes(relaxed, flag_without_data) > 0);
  const auto relaxed_load = [] {
    os::ThreadMain mains[] = {[](void*) {
                                x.store_relaxed(1);
                                y.store_release(1);
                              },
                              [](void*) {
                                seen[0] = y.load_relaxed();
                                seen[1] = x.load_relaxed();
                              }};
    run_threads(mains, 2);
  };
  CHECK(count_outcomes(relaxed_load, flag_without_data) > 0);
}

TEST_CASE("release and acquire pass data on, as operations and as fences") {
  const auto operations = [] {
    os::ThreadMain mains[] = {[](void*) {
                                x.store_relaxed(1);
                                y.store_release(1);
                              },
                              [](void*) {
                                seen[0] = y.load_acquire();
                                seen[1] = x.load_relaxed();
                              }};
    run_threads(mains, 2);
  };
  CHECK_EQ(count_outcomes(operations, flag_without_data), 0u);
  const auto fences = [] {
    os::ThreadMain mains[] = {[](void*) {
                                x.store_relaxed(1);
                                fence_release();
                                y.store_relaxed(1);
                              },
                              [](void*) {
                                seen[0] = y.load_relaxed();
                                fence_acquire();
                                seen[1] = x.load_relaxed();
                              }};
    run_threads(mains, 2);
  };
  CHECK_EQ(count_outcomes(fences, flag_without_data), 0u);
}

TEST_CASE("a relaxed read-modify-write continues a release sequence") {
  const auto sequence = [] {
    os::ThreadMain mains[] = {[](void*) {
                                x.store_relaxed(1);
                                y.store_release(1);
                              },
                              [](void*) { y.fetch_add_relaxed(1); },
                              [](void*) {
                                seen[0] = y.load_acquire();
                                seen[1] = x.load_relaxed();
                              }};
    run_threads(mains, 3);
  };
  CHECK_EQ(count_outcomes(sequence, [] { return seen[0] == 2 && seen[1] == 0; }), 0u);
  CHECK(count_outcomes(sequence, [] { return seen[0] == 2 && seen[1] == 1; }) > 0);
}

TEST_CASE("a thread never reads backwards") {
  const auto coherence = [] {
    os::ThreadMain mains[] = {[](void*) {
                                x.store_relaxed(1);
                                x.store_relaxed(2);
                              },
                              [](void*) {
                                seen[0] = x.load_relaxed();
                                seen[1] = x.load_relaxed();
                              }};
    run_threads(mains, 2);
  };
  CHECK_EQ(count_outcomes(coherence, [] { return seen[0] > seen[1]; }), 0u);
  CHECK(count_outcomes(coherence, [] { return seen[0] < seen[1]; }) > 0);
}

TEST_CASE("what was read before a release cannot be unread behind the acquire") {
  const auto through_another = [] {
    os::ThreadMain mains[] = {[](void*) { x.store_relaxed(1); },
                              [](void*) {
                                seen[0] = x.load_relaxed();
                                y.store_release(1);
                              },
                              [](void*) {
                                seen[1] = y.load_acquire();
                                seen[2] = x.load_relaxed();
                              }};
    run_threads(mains, 3);
  };
  CHECK_EQ(
      count_outcomes(through_another, [] { return seen[0] == 1 && seen[1] == 1 && seen[2] == 0; }),
      0u);
}

namespace {
// --- independent reads of independent writes ---
bool readers_disagree() { return seen[0] == 1 && seen[1] == 0 && seen[2] == 1 && seen[3] == 0; }
template <typename Load>
void independent_reads(Load load) {
  static Load loader = load;
  os::ThreadMain mains[] = {[](void*) { x.store_seq_cst(1); }, [](void*) { y.store_seq_cst(1); },
                            [](void*) {
                              seen[0] = loader(x);
                              seen[1] = loader(y);
                            },
                            [](void*) {
                              seen[2] = loader(y);
                              seen[3] = loader(x);
                            }};
  run_threads(mains, 4);
}
}  // namespace

TEST_CASE("readers may see independent stores in different orders, unless all is seq_cst") {
  const auto acquire = [] {
    independent_reads([](Atomic<uint32_t>& from) { return from.load_acquire(); });
  };
  CHECK(count_outcomes(acquire, readers_disagree) > 0);
  const auto seq_cst = [] {
    independent_reads([](Atomic<uint32_t>& from) { return from.load_seq_cst(); });
  };
  CHECK_EQ(count_outcomes(seq_cst, readers_disagree), 0u);
}

TEST_CASE("concurrent increments are all counted") {
  const auto increments = [] {
    const os::ThreadMain add = [](void*) {
      for (int i = 0; i < 5; ++i) x.fetch_add_relaxed(1);
    };
    os::ThreadMain mains[] = {add, add, add};
    run_threads(mains, 3);
    seen[0] = x.load_relaxed();
  };
  CHECK_EQ(count_outcomes(increments, [] { return seen[0] == 15; }), kRuns);
}

TEST_CASE("an increment in two steps loses counts") {
  const auto increments = [] {
    const os::ThreadMain add = [](void*) {
      for (int i = 0; i < 5; ++i) x.increment_single_writer();
    };
    os::ThreadMain mains[] = {add, add, add};
    run_threads(mains, 3);
    seen[0] = x.load_relaxed();
  };
  CHECK(count_outcomes(increments, [] { return seen[0] < 15; }) > 0);
}
