// Channels under load: many callers of every kind, on 1, 2, 4 and 10 processors. Nothing is lost,
// nothing comes twice, and what was written before a send is seen after its receive.
#include <algorithm>
#include <memory>
#include <random>

#include "heddle/channel.h"
#include "test/native/sync/sync_support.h"

namespace heddle::test {
namespace {

// Values that arrive: each once.
class Arrivals {
 public:
  explicit Arrivals(uint32_t count) : seen_(new Atomic<uint8_t>[count]), count_(count) {}
  void note(uint32_t value) noexcept {
    CHECK(value < count_);
    CHECK_EQ(seen_[value].exchange_acq_rel(1), uint8_t{0});
    sum_.fetch_add_relaxed(value);
    number_.fetch_add_relaxed(1);
  }
  bool has(uint32_t value) const noexcept { return seen_[value].load_acquire() != 0; }
  uint64_t sum() const noexcept { return sum_.load_acquire(); }
  uint32_t number() const noexcept { return number_.load_acquire(); }

 private:
  const std::unique_ptr<Atomic<uint8_t>[]> seen_;
  const uint32_t count_;
  Atomic<uint64_t> sum_{0};
  Atomic<uint32_t> number_{0};
};

void filter(Channel<uint32_t> in, Channel<uint32_t> out, uint32_t prime) {
  uint32_t value = 0;
  while (in.recv(&value) == WaitStatus::kDone) {
    if (value % prime != 0 && out.send(value) != WaitStatus::kDone) break;
  }
  in.close();  // whoever sends there ends as well
}

uint32_t nth_prime(Scheduler& scheduler, uint32_t count) {
  Channel<uint32_t> channel;
  Crew crew(scheduler);
  crew.add(Kind::kStandard, [channel]() mutable {
    for (uint32_t i = 2; channel.send(i) == WaitStatus::kDone; ++i) {
    }
  });
  uint32_t prime = 0;
  crew.add(Kind::kCompact, [&] {
    for (uint32_t i = 0; i < count; ++i) {
      CHECK_EQ(channel.recv(&prime), WaitStatus::kDone);
      Channel<uint32_t> next;
      crew.add(kFiberKinds[i % 2],
               [in = channel, next, prime]() mutable { filter(in, next, prime); });
      channel = next;
    }
    channel.close();
  });
  crew.join();
  return prime;
}

}  // namespace

// Row 7.
TEST_CASE("a close never hides a value that was sent before it") {
  for (uint32_t processors : {1u, 2u, 4u}) {
    Scheduler scheduler(with_processors(processors));
    Channel<Channel<int>> fresh(8);
    Crew crew(scheduler);
    const uint32_t races = scaled(35'000, 1'500);
    crew.add(Kind::kStandard, [fresh, races]() mutable {
      for (uint32_t i = 0; i < races; ++i) {
        Channel<int> channel(1);
        CHECK_EQ(fresh.send(channel), WaitStatus::kDone);
        CHECK_EQ(channel.send(42), WaitStatus::kDone);
        channel.close();
      }
      fresh.close();
    });
    for (Kind kind : {Kind::kStandard, Kind::kCompact, Kind::kThread}) {
      crew.add(kind, [fresh, kind]() mutable {
        Channel<int> channel;
        while (fresh.recv(&channel) == WaitStatus::kDone) {
          int value = 0;
          if (kind == Kind::kStandard) {
            Readiness readiness;
            while ((readiness = channel.try_recv(&value)) == Readiness::kNotReady) yield();
            CHECK_EQ(readiness, Readiness::kDone);
          } else {
            CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
          }
          CHECK_EQ(value, 42);
          CHECK_EQ(channel.recv(&value), WaitStatus::kClosed);
        }
      });
    }
    crew.join();
    finish(scheduler);
  }
}

// Row 8.
TEST_CASE("a daisy chain of 10,000 fibers unwinds") {
  for (uint32_t processors : {1u, 2u, 10u}) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t links = scaled(10'000, 150);
    Channel<uint32_t> leftmost;
    Channel<uint32_t> right = leftmost;
    Crew crew(scheduler);
    for (uint32_t i = 0; i < links; ++i) {
      Channel<uint32_t> left = right;
      right = Channel<uint32_t>();
      crew.add(kFiberKinds[i % 2], [left, right]() mutable {
        uint32_t value = 0;
        CHECK_EQ(right.recv(&value), WaitStatus::kDone);
        CHECK_EQ(left.send(value + 1), WaitStatus::kDone);
      });
    }
    CHECK_EQ(right.send(0), WaitStatus::kDone);
    uint32_t value = 0;
    CHECK_EQ(leftmost.recv(&value), WaitStatus::kDone);
    CHECK_EQ(value, links);
    crew.join();
    finish(scheduler);
  }
}

// Row 9.
TEST_CASE("a sieve of 1,000 stages finds the 1,000th prime") {
  {
    Scheduler scheduler(with_processors(1));
    CHECK_EQ(nth_prime(scheduler, scaled(1'000, 80)), scaled(7'919, 409));
    finish(scheduler);
  }
  for (uint32_t processors : {2u, 4u, 10u}) {
    Scheduler scheduler(with_processors(processors));
    CHECK_EQ(nth_prime(scheduler, scaled(300, 40)), scaled(1'987, 173));
    finish(scheduler);
  }
}

// Row 10.
TEST_CASE("23 consumers of 271,828 values get each once") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t count = processors <= 2 ? scaled(271'828, 5'000) : scaled(60'000, 2'500);
    for (uint32_t capacity : {0u, 64u}) {
      Arrivals arrivals(count);
      Channel<uint32_t> channel(capacity);
      Crew crew(scheduler);
      for (uint32_t i = 0; i < 23; ++i) {
        const Kind kind = i < 3 ? Kind::kThread : kFiberKinds[i % 2];
        crew.add(kind, [channel, &arrivals]() mutable {
          uint32_t value = 0;
          while (channel.recv(&value) == WaitStatus::kDone) arrivals.note(value);
        });
      }
      crew.add(capacity == 0 ? Kind::kStandard : Kind::kThread, [channel, count]() mutable {
        for (uint32_t i = 0; i < count; ++i) CHECK_EQ(channel.send(i), WaitStatus::kDone);
        channel.close();
      });
      crew.join();
      CHECK_EQ(arrivals.number(), count);
      CHECK_EQ(arrivals.sum(), uint64_t{count} * (count - 1) / 2);
    }
    finish(scheduler);
  }
}

// Row 11: ThreadSanitizer would see the race.
TEST_CASE("what was written before a send is seen after its receive") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    for (uint32_t capacity : {0u, 3u}) {
      const uint32_t count = scaled(5'000, 500);
      std::vector<uint32_t> sent(count);
      std::vector<uint32_t> awaited(count);
      bool ended = false;
      Channel<uint32_t> channel(capacity);
      Crew crew(scheduler);
      crew.add(kind_of(processors + capacity), [&, channel]() mutable {
        for (uint32_t i = 0; i < count; ++i) {
          sent[i] = i + 1;
          CHECK_EQ(channel.send(i), WaitStatus::kDone);
          // The receive of a rendezvous began before its send was complete.
          if (capacity == 0) CHECK_EQ(awaited[i], i + 1);
        }
        ended = true;
        channel.close();
      });
      crew.add(kind_of(processors), [&, channel]() mutable {
        for (uint32_t i = 0; i < count; ++i) {
          awaited[i] = i + 1;
          uint32_t value = 0;
          CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
          CHECK_EQ(sent[value], i + 1);
        }
        uint32_t value = 0;
        CHECK_EQ(channel.recv(&value), WaitStatus::kClosed);
        CHECK(ended);
      });
    }
    finish(scheduler);
  }
}

// Row 11: a receive comes before the send that takes the place which it has freed.
TEST_CASE("a channel with room for one is a mutex") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(2'000, 200);
    Channel<bool> channel(1);
    uint64_t plain = 0;
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 6; ++i) {
      crew.add(kind_of(i), [&plain, channel, rounds]() mutable {
        for (uint32_t n = 0; n < rounds; ++n) {
          CHECK_EQ(channel.send(true), WaitStatus::kDone);
          ++plain;
          bool value = false;
          CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
        }
      });
    }
    crew.join();
    CHECK_EQ(plain, uint64_t{6} * rounds);
    finish(scheduler);
  }
}

// The lock of such a channel has favoured that machine until then.
TEST_CASE("a channel that one machine has had to itself for long is shared without a loss") {
  Scheduler scheduler(with_processors(1));
  for (uint32_t n = 0; n < scaled(100, 30); ++n) {
    const uint32_t rounds = scaled(300, 100);
    Channel<bool> channel(1);
    uint64_t plain = 0;
    const auto take_turns = [&plain, &channel, rounds] {
      for (uint32_t i = 0; i < rounds; ++i) {
        CHECK_EQ(channel.send(true), WaitStatus::kDone);
        ++plain;
        bool value = false;
        CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
      }
    };
    Countdown alone(1);
    Crew crew(scheduler);
    crew.add(kFiberKinds[n % 2], [&alone, take_turns] {
      take_turns();
      alone.arrive();
      take_turns();
    });
    for (int i = 0; i < 2; ++i) {
      crew.add(Kind::kThread, [&alone, take_turns] {
        alone.wait();
        take_turns();
      });
    }
    crew.join();
    CHECK_EQ(plain, uint64_t{4} * rounds);
  }
  finish(scheduler);
}

// Row 71.
TEST_CASE("fibers and threads that wait for one channel are served in the order of arrival") {
  for (uint32_t processors : {1u, 2u}) {
    Scheduler scheduler(with_processors(processors));
    for (bool sends : {false, true}) {
      constexpr uint32_t kWaiters = 15;
      Channel<uint32_t> channel;
      Crew crew(scheduler);
      for (uint32_t i = 0; i < kWaiters; ++i) {
        crew.add(kind_of(i), [channel, sends, i]() mutable {
          uint32_t value = i;
          CHECK_EQ(sends ? channel.send(i) : channel.recv(&value), WaitStatus::kDone);
          CHECK_EQ(value, i);
        });
        await_waits(channel.core(), i + 1);
      }
      for (uint32_t i = 0; i < kWaiters; ++i) {
        uint32_t value = i;
        CHECK_EQ(sends ? channel.try_recv(&value) : channel.try_send(i), Readiness::kDone);
        CHECK_EQ(value, i);
      }
    }
    finish(scheduler);
  }
}

TEST_CASE("senders and receivers that give up lose nothing and get nothing twice") {
  const int64_t before = Counted::live().load_acquire();
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    for (uint32_t capacity : {0u, 2u}) {
      constexpr uint32_t kSenders = 6;
      const uint32_t each = scaled(600, 120);
      Arrivals arrivals(kSenders * each);
      Arrivals departures(kSenders * each);
      Channel<Counted> channel(capacity);
      Crew senders(scheduler);
      Crew receivers(scheduler);
      for (uint32_t i = 0; i < kSenders; ++i) {
        senders.add(kind_of(i), [&, i] {
          std::minstd_rand random(i + 1);
          for (uint32_t n = i * each; n < (i + 1) * each; ++n) {
            const uint64_t deadline_ns = os::now_ns() + random() % 20'000;
            const WaitStatus status = channel.send(Counted(static_cast<int>(n)), deadline_ns);
            if (status == WaitStatus::kDone) {
              departures.note(n);
            } else {
              CHECK_EQ(status, WaitStatus::kTimedOut);
              CHECK(os::now_ns() >= deadline_ns);
            }
          }
        });
        receivers.add(kind_of(i + 1), [&, i] {
          std::minstd_rand random(i + 100);
          for (WaitStatus status = WaitStatus::kDone; status != WaitStatus::kClosed;) {
            Counted value;
            const uint64_t deadline_ns = os::now_ns() + random() % 20'000;
            status = channel.recv(&value, deadline_ns);
            if (status == WaitStatus::kDone) arrivals.note(static_cast<uint32_t>(value.number()));
            if (status == WaitStatus::kTimedOut) CHECK(os::now_ns() >= deadline_ns);
          }
        });
      }
      senders.join();
      channel.close();
      receivers.join();
      CHECK_EQ(arrivals.number(), departures.number());
      CHECK_EQ(arrivals.sum(), departures.sum());
      CHECK_EQ(waits_at(channel.core()), 0u);
    }
    finish(scheduler);
  }
  CHECK_EQ(Counted::live().load_acquire(), before);
}

TEST_CASE("fibers that are cancelled in the middle of channels lose nothing") {
  const int64_t before = Counted::live().load_acquire();
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t fibers = scaled(400, 60);
    const uint32_t values = scaled(4'000, 400);
    Channel<Counted> channel(1);
    Arrivals arrivals(values);
    std::vector<Target> targets(fibers);
    Crew victims(scheduler);
    for (uint32_t i = 0; i < fibers; ++i) {
      victims.add(kFiberKinds[i % 2], [&, i] {
        targets[i].set();
        CHECK(throws_cancelled([&] {
          for (;;) {
            Counted value;
            channel.recv(&value);
            arrivals.note(static_cast<uint32_t>(value.number()));
          }
        }));
      });
    }
    Crew sender(scheduler);
    sender.add(kind_of(processors), [&] {
      for (uint32_t i = 0; i < values; ++i) {
        CHECK_EQ(channel.send(Counted(static_cast<int>(i))), WaitStatus::kDone);
      }
    });
    // All but one, which is left to take the rest. A fiber that was not cancelled has not ended.
    for (uint32_t i = 1; i < fibers; ++i) scheduler.cancel(targets[i].await());
    sender.join();
    wait_until([&] { return arrivals.number() == values; });
    scheduler.cancel(targets[0].await());
    victims.join();
    CHECK_EQ(waits_at(channel.core()), 0u);
    finish(scheduler);
  }
  CHECK_EQ(Counted::live().load_acquire(), before);
}

}  // namespace heddle::test
