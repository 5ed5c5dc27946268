// Channels and select, as a user of the C++ face writes them.
#include <memory>

#include "bench.h"
#include "heddle/heddle.h"

namespace heddle::bench {

namespace {

double ns_since(uint64_t began, double count) {
  return static_cast<double>(os::now_ns() - began) / count;
}

uint32_t whole(const Params& params, const char* key, double otherwise) {
  return static_cast<uint32_t>(number(params, key, otherwise));
}

}  // namespace

// Two fibers pass a token there and back through two rendezvous.
Result pingpong(Scheduler& scheduler, const Params& params) {
  const auto n = static_cast<uint64_t>(number(params, "n"));
  scheduler.set_processors(whole(params, "processors", 1));
  double ns = 0;
  run_on_fiber(scheduler, [&] {
    Channel<uint64_t> ping;
    Channel<uint64_t> pong;
    go([ping, pong]() mutable {
      for (uint64_t token; ping.recv(&token) == WaitStatus::kDone;) pong.send(token);
    });
    uint64_t token = 0;
    const uint64_t began = os::now_ns();
    for (uint64_t i = 0; i < n; ++i) {
      ping.send(i);
      pong.recv(&token);
    }
    ns = ns_since(began, static_cast<double>(n));
    ping.close();
  });
  return Result{{"nsPerRoundTrip", ns}};
}

// n items from `senders` to `receivers` through one channel; with `latency`, how long each was on
// its way.
Result channel(Scheduler& scheduler, const Params& params) {
  const auto n = static_cast<uint64_t>(number(params, "n"));
  const uint32_t senders = whole(params, "senders", 1);
  const uint32_t receivers = whole(params, "receivers", 1);
  const uint32_t capacity = whole(params, "capacity", 128);
  scheduler.set_processors(whole(params, "processors", 1));
  const uint64_t each = n / senders;
  double ns = 0;
  run_on_fiber(scheduler, [&] {
    Channel<uint64_t> items(capacity);
    Latch sent(senders);
    Latch received(receivers);
    Atomic<uint64_t> sum{0};
    const uint64_t began = os::now_ns();
    for (uint32_t i = 0; i < senders; ++i) {
      go([&scheduler, &sent, items, each]() mutable {
        for (uint64_t item = 1; item <= each; ++item) items.send(item);
        sent.count_down(scheduler);
      });
    }
    for (uint32_t i = 0; i < receivers; ++i) {
      go([&scheduler, &received, &sum, items]() mutable {
        uint64_t own = 0;
        for (uint64_t item; items.recv(&item) == WaitStatus::kDone;) own += item;
        sum.fetch_add_relaxed(own);
        received.count_down(scheduler);
      });
    }
    sent.wait();
    items.close();
    received.wait();
    ns = ns_since(began, static_cast<double>(each * senders));
    if (sum.load_relaxed() != senders * (each * (each + 1) / 2)) {
      throw std::logic_error("items were lost on their way through a channel");
    }
  });
  return Result{{"nsPerItem", ns}};
}

// One fiber selects over `cases` channels, each of which has a sender of its own.
Result select_among(Scheduler& scheduler, const Params& params) {
  const auto n = static_cast<uint64_t>(number(params, "n"));
  const uint32_t cases = whole(params, "cases", 2);
  scheduler.set_processors(whole(params, "processors", 1));
  double ns = 0;
  run_on_fiber(scheduler, [&] {
    std::vector<Channel<uint64_t>> channels;
    for (uint32_t i = 0; i < cases; ++i) channels.emplace_back(whole(params, "capacity", 0));
    Latch done(cases);
    for (uint32_t i = 0; i < cases; ++i) {
      go([&scheduler, &done, items = channels[i]]() mutable {
        for (uint64_t item = 0; items.send(item) == WaitStatus::kDone;) ++item;
        done.count_down(scheduler);
      });
    }
    uint64_t item[8] = {};
    const uint64_t began = os::now_ns();
    for (uint64_t i = 0; i < n; ++i) {
      if (cases == 2) {
        select(recv(channels[0], &item[0]), recv(channels[1], &item[1]));
      } else {
        select(recv(channels[0], &item[0]), recv(channels[1], &item[1]),
               recv(channels[2], &item[2]), recv(channels[3], &item[3]),
               recv(channels[4], &item[4]), recv(channels[5], &item[5]),
               recv(channels[6], &item[6]), recv(channels[7], &item[7]));
      }
    }
    ns = ns_since(began, static_cast<double>(n));
    for (Channel<uint64_t>& each : channels) each.close();
    done.wait();
  });
  return Result{{"nsPerSelect", ns}};
}

}  // namespace heddle::bench
