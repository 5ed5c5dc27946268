// Waits for descriptors against events, deadlines, cancels and the close: each byte that comes is
// read, no wait ends without a reason, and none is forgotten.
#include "core/netpoll.h"

#include "test/sim/scenario.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kBytes = 6;

// A stream of the simulation: so many bytes have come, and the reader has taken so many.
struct Stream {
  Scheduler scheduler;
  Unserved unserved;
  PollDescriptor* descriptor = nullptr;
  Atomic<uint32_t> come{0};
  Atomic<bool> is_closed{false};
  uint32_t taken = 0;  // the reader's own
  Countdown running;
  explicit Stream(uint32_t fibers) : running(fibers) {
    exits = &running;
    SIM_CHECK(watch(3, &descriptor) == 0, "a descriptor was refused");
    current = this;
    on_everybody_asleep([](uint64_t left_ns) { current->unserved.check(left_ns); });
  }
  ~Stream() {
    running.wait();
    unwatch(3, descriptor);
    scheduler.shutdown();
  }

  // As a read that would not block.
  bool try_take() {
    if (come.load_acquire() == taken) return false;
    ++taken;
    unserved.serve();
    return true;
  }
  os::PollEvent event(bool is_readable, bool is_writable) const {
    const uint64_t token = uint64_t{descriptor->sequence.load_relaxed()} << 32 | descriptor->index;
    return {token, is_readable, is_writable, false};
  }
  void put() {
    unserved.add();
    come.fetch_add_acq_rel(1);
    happen(event(true, one_in(2)));
  }
  static Stream* current;
};
Stream* Stream::current;

void pause_like_poller() {
  static const uint32_t kPauses[] = {100, 2'000, 30'000};
  pause_thread(kPauses[random_below(3)]);
}

void take_all(Stream* stream, uint64_t patience_ns) {
  while (stream->taken < kBytes) {
    forget_edge(stream->descriptor, Direction::kRead);
    if (stream->try_take()) continue;
    const uint64_t deadline_ns =
        patience_ns == os::kNever ? os::kNever : os::now_ns() + patience_ns;
    const PollStatus status = wait_ready(stream->descriptor, Direction::kRead, deadline_ns);
    SIM_CHECK(status != PollStatus::kClosed, "a wait ended as if closed");
    SIM_CHECK(status == PollStatus::kReady || os::now_ns() >= deadline_ns,
              "a wait ended before its deadline");
  }
}

void bytes_are_read() {
  Stream stream(2);
  const uint64_t patience_ns = one_in(2) ? os::kNever : 1'000 + random_below(30'000);
  stream.scheduler.go([&stream, patience_ns] { take_all(&stream, patience_ns); }, any_options());
  // Another fiber, so that machines have something else to do than to sleep in the poller.
  stream.scheduler.go(
      [] {
        for (int i = 0; i < 8; ++i) one_in(2) ? yield() : sleep_for(random_below(20'000));
      },
      any_options());
  for (uint32_t i = 0; i < kBytes; ++i) {
    stream.put();
    pause_like_poller();
  }
}

// --- the close, from another thread, at any moment ---

void a_close_ends_waits() {
  Stream stream(2);
  for (Direction direction : {Direction::kRead, Direction::kWrite}) {
    stream.scheduler.go(
        [&stream, direction] {
          for (;;) {
            forget_edge(stream.descriptor, direction);
            const PollStatus status = wait_ready(stream.descriptor, direction, os::kNever);
            if (status == PollStatus::kClosed) break;
          }
          SIM_CHECK(stream.is_closed.load_acquire(), "a wait ended as if closed");
          stream.unserved.serve();
        },
        any_options());
  }
  for (int i = 0; i < 3; ++i) {
    happen(stream.event(one_in(2), one_in(2)));
    pause_like_poller();
  }
  stream.is_closed.store_release(true);
  stream.unserved.add();
  stream.unserved.add();
  evict(stream.descriptor);
}

// --- two pollers, and an event of a former life ---

void stale_events_wake_nobody() {
  Stream stream(1);
  os::PollEvent stale = stream.event(true, true);
  stale.token -= uint64_t{1} << 32;
  stream.scheduler.go([&stream] { take_all(&stream, os::kNever); }, any_options());
  for (uint32_t i = 0; i < kBytes; ++i) {
    happen(stale);
    stream.put();
    happen(stream.event(true, true));
    pause_like_poller();
  }
}

}  // namespace

TEST_CASE("every byte is read, with and without deadlines") {
  CHECK(run_seeds({"netpoll", bytes_are_read, 1'000, exact_time()}));
}

TEST_CASE("a close ends every wait, and nothing else does so") {
  CHECK(run_seeds({"netpoll close", a_close_ends_waits, 1'000, exact_time()}));
}

TEST_CASE("events of a former life wake nobody, and others are told more than once") {
  CHECK(run_seeds({"netpoll stale", stale_events_wake_nobody, 500, exact_time()}));
}

}  // namespace heddle::sim
