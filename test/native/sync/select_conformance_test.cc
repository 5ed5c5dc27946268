// Select under load: exactly one case commits, nothing is lost, and nothing piles up.
#include <malloc.h>

#include <memory>
#include <random>

#include "heddle/select.h"
#include "test/native/sync/sync_support.h"

namespace heddle::test {
namespace {

using Channels = std::vector<Channel<uint32_t>>;

Channels some_channels(uint32_t capacity) {
  Channels channels;
  for (int i = 0; i < 4; ++i) channels.emplace_back(capacity);
  return channels;
}

// Sends 0, 1, 2 ... on each of the four, in whatever order they take them.
void send_on_each(Channels& channels, uint32_t count) {
  uint32_t next[4] = {0, 0, 0, 0};
  for (uint32_t i = 0; i < 4 * count; ++i) {
    Channel<uint32_t>* open[4];
    for (int n = 0; n < 4; ++n) open[n] = next[n] < count ? &channels[n] : nullptr;
    const Choice choice = select(send(open[3], next[3]), send(open[2], next[2]),
                                 send(open[0], next[0]), send(open[1], next[1]));
    constexpr int kChannelOf[] = {3, 2, 0, 1};
    CHECK(choice.ok);
    ++next[kChannelOf[choice.index]];
  }
}

void receive_from_each(Channels& channels, uint32_t count) {
  uint32_t next[4] = {0, 0, 0, 0};
  for (uint32_t i = 0; i < 4 * count; ++i) {
    Channel<uint32_t>* open[4];
    for (int n = 0; n < 4; ++n) open[n] = next[n] < count ? &channels[n] : nullptr;
    uint32_t value = 0;
    const Choice choice = select(recv(open[0], &value), recv(open[1], &value),
                                 recv(open[2], &value), recv(open[3], &value));
    CHECK(choice.ok);
    ++next[choice.index];
  }
}

}  // namespace

// Rows 17 and 20: four senders, four receivers, a select that sends and one that receives.
TEST_CASE("10 parties of select exchange 100,000 values on each of 4 channels without a loss") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    for (uint32_t capacity : {0u, 2u}) {
      const uint32_t plain = capacity == 0 && processors == 1 ? 100'000 : 20'000;
      const uint32_t count = scaled(plain, 800);
      Channels channels = some_channels(capacity);
      Crew crew(scheduler);
      for (uint32_t i = 0; i < 4; ++i) {
        crew.add(kFiberKinds[i % 2], [&channels, i, count] {
          for (uint32_t n = 0; n < count; ++n) CHECK_EQ(channels[i].send(n), WaitStatus::kDone);
        });
        crew.add(kFiberKinds[i / 2], [&channels, i, count] {
          uint32_t value = 0;
          for (uint32_t n = 0; n < count; ++n) {
            CHECK_EQ(channels[i].recv(&value), WaitStatus::kDone);
          }
        });
      }
      crew.add(kFiberKinds[processors % 2], [&, count] { send_on_each(channels, count); });
      crew.add(Kind::kCompact, [&, count] { receive_from_each(channels, count); });
      crew.join();
      for (Channel<uint32_t>& each : channels) {
        CHECK_EQ(each.size(), 0u);
        CHECK_EQ(waits_at(each.core()), 0u);
      }
    }
    finish(scheduler);
  }
}

// Rows 17 and 20, with threads among them.
TEST_CASE("fibers and threads that select among the same channels lose nothing") {
  for (uint32_t processors : {1u, 2u, 10u}) {
    Scheduler scheduler(with_processors(processors));
    constexpr uint32_t kParties = 6;
    const uint32_t count = scaled(1'200, 120);
    Channels channels = some_channels(0);
    Crew crew(scheduler);
    for (uint32_t i = 0; i < kParties; ++i) {
      crew.add(kind_of(i), [&, count] { send_on_each(channels, count); });
      crew.add(kind_of(i + 1), [&, count] { receive_from_each(channels, count); });
    }
    crew.join();
    for (Channel<uint32_t>& each : channels) CHECK_EQ(waits_at(each.core()), 0u);
    finish(scheduler);
  }
}

// Row 17.
TEST_CASE("a select whose four channels are all served at once takes one value") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(processors == 1 ? 25'000 : 8'000, 500);
    Channels channels = some_channels(0);
    Channel<bool> go_on(4);
    Channel<uint32_t> taken(4);
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 4; ++i) {
      crew.add(kFiberKinds[i % 2], [&, rounds, i] {
        bool unused = false;
        for (uint32_t round = 0; round < rounds; ++round) {
          CHECK_EQ(go_on.recv(&unused), WaitStatus::kDone);
          const bool sent = channels[i].try_send(round) == Readiness::kDone;
          CHECK_EQ(taken.send(sent ? 1 : 0), WaitStatus::kDone);
        }
      });
    }
    crew.add(kFiberKinds[processors % 2], [&, rounds] {
      for (uint32_t round = 0; round < rounds; ++round) {
        for (int n = 0; n < 4; ++n) CHECK_EQ(go_on.send(true), WaitStatus::kDone);
        uint32_t value = UINT32_MAX;
        const Choice choice =
            select(recv(channels[0], &value), recv(channels[1], &value), recv(channels[2], &value),
                   recv(channels[3], &value), after(20'000));
        CHECK_EQ(choice.index < 4, value != UINT32_MAX);
        uint32_t sum = 0;
        for (int n = 0; n < 4; ++n) {
          uint32_t sent = 0;
          CHECK_EQ(taken.recv(&sent), WaitStatus::kDone);
          sum += sent;
        }
        CHECK_EQ(sum, choice.index < 4 ? 1u : 0u);
      }
    });
    crew.join();
    finish(scheduler);
  }
}

// Row 18.
TEST_CASE("100,000 selects that lose on one channel leave nothing there") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(1));
    const uint32_t rounds = scaled(100'000, 3'000);
    run_as(scheduler, kind, [&scheduler, rounds] {
      Channel<uint32_t> silent;
      Channel<uint32_t> busy;
      spawn(scheduler, [busy, rounds]() mutable {
        for (uint32_t i = 0; i < rounds; ++i) CHECK_EQ(busy.send(i), WaitStatus::kDone);
      });
      uint32_t value = 0;
      const auto lose = [&](uint32_t times) {
        for (uint32_t i = 0; i < times; ++i) {
          CHECK_EQ(select(recv(silent, &value), recv(busy, &value)).index, 1);
        }
      };
      lose(1'000);  // whatever is set up once
#if defined(HEDDLE_ASAN) || defined(HEDDLE_TSAN)
      lose(rounds - 1'000);
#else
      const size_t before = mallinfo2().uordblks;
      lose(rounds - 1'000);
      CHECK(mallinfo2().uordblks <= before + 110'000);
#endif
      CHECK_EQ(waits_at(silent.core()), 0u);
      CHECK_EQ(value, rounds - 1);
    });
    finish(scheduler);
  }
}

// Row 19.
TEST_CASE("selects that are served, time out or are cancelled strand nobody") {
  const int64_t before = Counted::live().load_acquire();
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t fibers = scaled(120, 24);
    const uint32_t values = scaled(3'000, 400);
    Channel<Counted> left;
    Channel<Counted> right(1);
    Atomic<uint32_t> received{0};
    std::vector<Target> targets(fibers);
    Crew victims(scheduler);
    for (uint32_t i = 0; i < fibers; ++i) {
      victims.add(kFiberKinds[i % 2], [&, i] {
        targets[i].set();
        CHECK(throws_cancelled([&] {
          std::minstd_rand random(i + 1);
          for (;;) {
            Counted value(-1);
            const Choice choice =
                select(recv(left, &value), recv(right, &value), after(random() % 30'000));
            if (choice.index < 2) received.fetch_add_acq_rel(1);
            CHECK_EQ(choice.index < 2, value.number() >= 0);
          }
        }));
      });
    }
    Crew senders(scheduler);
    for (uint32_t i = 0; i < 2; ++i) {
      senders.add(kind_of(i + processors), [&] {
        for (uint32_t n = 0; n < values; ++n) {
          CHECK(select(send(right, Counted(1)), send(left, Counted(2))).ok);
        }
      });
    }
    for (uint32_t i = 1; i < fibers; ++i) scheduler.cancel(targets[i].await());
    senders.join();
    wait_until([&] { return received.load_acquire() == 2 * values; });
    scheduler.cancel(targets[0].await());
    victims.join();
    CHECK_EQ(waits_at(left.core()) + waits_at(right.core()), 0u);
    finish(scheduler);
  }
  CHECK_EQ(Counted::live().load_acquire(), before);
}

}  // namespace heddle::test
