// Items through a channel, and through the lock-free queue that has no waiting of its own; between
// fibers or OS threads, as a user of the C++ face writes it.
#include <algorithm>
#include <stdexcept>

#include "bench.h"
#include "crew.h"
#include "heddle/heddle.h"

namespace heddle::bench {

namespace {

double ns_since(uint64_t began, double count) {
  return static_cast<double>(os::now_ns() - began) / count;
}

uint32_t whole(const Params& params, const char* key, double otherwise) {
  return static_cast<uint32_t>(number(params, key, otherwise));
}

// Who sends to whom: `each` items per sender, numbered from 1.
struct Flow {
  uint64_t each;
  uint32_t senders;
  uint32_t receivers;
  uint32_t capacity;
  double items() const { return static_cast<double>(each * senders); }
};

Flow flow_of(const Params& params) {
  const uint32_t senders = whole(params, "senders", 1);
  const auto each = static_cast<uint64_t>(number(params, "n")) / senders;
  return Flow{std::max<uint64_t>(each, 1), senders, whole(params, "receivers", 1),
              whole(params, "capacity", 128)};
}

// Runs `send` and `receive` on units of their own; `end` says that no more is coming. `receive`
// returns the sum of what it got. Returns ns per item.
double transfer(Scheduler& scheduler, UnitKind kind, const Flow& flow,
                const std::function<void()>& send, const std::function<uint64_t()>& receive,
                const std::function<void()>& end) {
  Atomic<uint64_t> sum{0};
  Crew senders(scheduler, kind);
  Crew receivers(scheduler, kind);
  for (uint32_t i = 0; i < flow.senders; ++i) senders.add(send);
  for (uint32_t i = 0; i < flow.receivers; ++i) {
    receivers.add([&sum, &receive] { sum.fetch_add_relaxed(receive()); });
  }
  const uint64_t began = os::now_ns();
  senders.begin();
  receivers.begin();
  senders.join();
  end();
  receivers.join();
  const double ns = ns_since(began, flow.items());
  if (sum.load_relaxed() != flow.senders * (flow.each * (flow.each + 1) / 2)) {
    throw std::logic_error("items were lost or came twice on their way");
  }
  return ns;
}

double through_channel(Scheduler& scheduler, UnitKind kind, const Flow& flow) {
  Channel<uint64_t> shared(flow.capacity);
  return transfer(
      scheduler, kind, flow,
      [&shared, each = flow.each] {
        Channel<uint64_t> items = shared;
        for (uint64_t item = 1; item <= each; ++item) items.send(item);
      },
      [&shared] {
        Channel<uint64_t> items = shared;
        uint64_t sum = 0;
        for (uint64_t item; items.recv(&item) == WaitStatus::kDone;) sum += item;
        return sum;
      },
      [&shared] { shared.close(); });
}

// Whoever finds the queue full or empty lets others run: the queue wakes nobody.
double through_queue(Scheduler& scheduler, UnitKind kind, const Flow& flow) {
  void (*const let_others_run)() =
      kind == UnitKind::kFiber ? [] { yield(); } : [] { os::yield_thread(); };
  Queue<uint64_t> items(flow.capacity);
  Atomic<uint32_t> ended{0};
  return transfer(
      scheduler, kind, flow,
      [&items, let_others_run, each = flow.each] {
        for (uint64_t item = 1; item <= each; ++item) {
          while (!items.try_push(item)) let_others_run();
        }
      },
      [&items, &ended, let_others_run] {
        uint64_t sum = 0;
        for (bool last = false;;) {
          for (uint64_t item; items.try_pop(&item);) sum += item;
          if (last) return sum;
          // Pairs with the release below: once it is seen, so is all that was pushed.
          last = ended.load_acquire() != 0;
          if (!last) let_others_run();
        }
      },
      [&ended] { ended.store_release(1); });
}

}  // namespace

// Two units pass a token there and back through two rendezvous.
Result pingpong(Scheduler& scheduler, const Params& params) {
  const auto n = static_cast<uint64_t>(number(params, "n"));
  double ns = 0;
  run_with(scheduler, params, [&] {
    Channel<uint64_t> ping;
    Channel<uint64_t> pong;
    Crew echo(scheduler, unit_kind(params));
    echo.add([ping, pong]() mutable {
      for (uint64_t token; ping.recv(&token) == WaitStatus::kDone;) pong.send(token);
    });
    echo.begin();
    uint64_t token = 0;
    const uint64_t began = os::now_ns();
    for (uint64_t i = 0; i < n; ++i) {
      ping.send(i);
      pong.recv(&token);
    }
    ns = ns_since(began, static_cast<double>(n));
    ping.close();
    echo.join();
  });
  return Result{{"nsPerRoundTrip", ns}};
}

// n items from `senders` to `receivers` through one channel, or with `via` "queue" through a queue.
Result channel(Scheduler& scheduler, const Params& params) {
  const Flow flow = flow_of(params);
  const UnitKind kind = unit_kind(params);
  const bool by_queue = text(params, "via", "channel") == "queue";
  double ns = 0;
  run_with(scheduler, params, [&] {
    ns = by_queue ? through_queue(scheduler, kind, flow) : through_channel(scheduler, kind, flow);
  });
  return Result{{"nsPerItem", ns}};
}

}  // namespace heddle::bench
