// The price of one unit's whole life. One fiber spawns batches and waits for each, as the peers do
// (bench/peers/go/spawn.go says why in batches: it is Go's fastest way). A first round outside the
// clock fills the stocks.
#include <algorithm>

#include "bench.h"
#include "threads.h"

namespace heddle::bench {

namespace {

constexpr uint64_t kBatch = 128;

void spawn_empty(Scheduler& scheduler, uint64_t n) {
  for (uint64_t left = n; left > 0;) {
    const uint64_t batch = std::min(left, kBatch);
    Latch done(batch);
    for (uint64_t i = 0; i < batch; ++i) {
      scheduler.go([&scheduler, latch = &done] { latch->count_down(scheduler); });
    }
    done.wait();
    left -= batch;
  }
}

// Where the units of one batch park; each takes a place, and the spawner readies them all.
struct Lot {
  Scheduler* scheduler;
  Latch* parked;
  Atomic<uint32_t> taken{0};
  struct Place {
    Waiter* waiter;
    uint64_t epoch;
  } places[kBatch];
};

void park_once(Lot* lot) {
  park(
      WaitReason::kPark,
      [](Fiber* fiber, void* argument) noexcept {
        auto* own = static_cast<Lot*>(argument);
        own->places[own->taken.fetch_add_acq_rel(1)] = Lot::Place{fiber, fiber->epoch()};
        own->parked->count_down(*own->scheduler);
        return true;
      },
      lot);
}

void spawn_parking(Scheduler& scheduler, uint64_t n) {
  Lot lot;
  lot.scheduler = &scheduler;
  for (uint64_t left = n; left > 0;) {
    const uint64_t batch = std::min(left, kBatch);
    Latch parked(batch);
    Latch done(batch);
    lot.parked = &parked;
    lot.taken.store_relaxed(0);
    for (uint64_t i = 0; i < batch; ++i) {
      scheduler.go([&scheduler, latch = &done, lot = &lot] {
        park_once(lot);
        latch->count_down(scheduler);
      });
    }
    parked.wait();
    for (uint64_t i = 0; i < batch; ++i) {
      scheduler.ready(lot.places[i].waiter, lot.places[i].epoch);
    }
    done.wait();
    left -= batch;
  }
}

// One thread after the other: created, run, joined; that is the least that n threads cost.
Result spawn_threads(uint64_t n) {
  struct Times {
    uint64_t first_run;
  } times{0};
  uint64_t create_ns = 0, first_run_ns = 0, join_ns = 0, count = 0;
  Result result;
  const uint64_t began = os::now_ns();
  for (; count < n; ++count) {
    os::Thread thread;
    const uint64_t before = os::now_ns();
    const int error = os::start_thread(
        &thread, "heddle-bench", kThreadStackBytes,
        [](void* out) { static_cast<Times*>(out)->first_run = os::now_ns(); }, &times);
    if (error != 0) {
      note_failure(result, FailedAt{count, refusal(error)});
      break;
    }
    const uint64_t created = os::now_ns();
    os::join_thread(thread);
    create_ns += created - before;
    first_run_ns += times.first_run - before;
    join_ns += os::now_ns() - created;
  }
  const auto units = static_cast<double>(std::max<uint64_t>(count, 1));
  result["nsPerOp"] = static_cast<double>(os::now_ns() - began) / units;
  result["createNs"] = static_cast<double>(create_ns) / units;
  result["firstRunNs"] = static_cast<double>(first_run_ns) / units;
  result["joinNs"] = static_cast<double>(join_ns) / units;
  return result;
}

// The parking thread: it sleeps in a futex once and is woken by its creator.
Result park_threads(uint64_t n) {
  Result result;
  uint64_t count = 0;
  const uint64_t began = os::now_ns();
  while (count < n) {
    ParkedThreads batch(std::min<uint64_t>(n - count, 16));
    count += batch.started();
    if (batch.error() != 0) {
      note_failure(result, FailedAt{count, refusal(batch.error())});
      break;
    }
    batch.release();
  }
  result["nsPerOp"] =
      static_cast<double>(os::now_ns() - began) / static_cast<double>(std::max<uint64_t>(count, 1));
  return result;
}

}  // namespace

Result spawn(Scheduler& scheduler, const Params& params) {
  const auto n = static_cast<uint64_t>(number(params, "n"));
  const bool parks = number(params, "park", 0) != 0;
  if (text(params, "impl", "fiber") == "pthread") {
    return parks ? park_threads(n) : spawn_threads(n);
  }
  double ns_per_op = 0;
  run_on_fiber(scheduler, [&scheduler, n, parks, &ns_per_op] {
    const auto round = parks ? spawn_parking : spawn_empty;
    round(scheduler, n);
    const uint64_t began = os::now_ns();
    round(scheduler, n);
    ns_per_op = static_cast<double>(os::now_ns() - began) / static_cast<double>(n);
  });
  return Result{{"nsPerOp", ns_per_op}};
}

}  // namespace heddle::bench
