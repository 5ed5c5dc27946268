// Select: one case of several commits, at one instant, each with the same chance, and those that
// lose leave nothing behind.
#include "heddle/select.h"

#include <memory>
#include <string>

#include "test/native/sync/sync_support.h"

namespace heddle::test {
namespace {

Channel<int> holding(int value) {
  Channel<int> channel(1);
  CHECK_EQ(channel.try_send(value), Readiness::kDone);
  return channel;
}

Channel<int> closed_channel() {
  Channel<int> channel;
  channel.close();
  return channel;
}

constexpr uint64_t kLong = 3'600'000 * kMs;

}  // namespace

TEST_CASE("the case that is ready is chosen, whichever it is") {
  in_every_kind([] {
    Channel<int> silent;
    Channel<int> full = holding(0);
    Channel<int> ready = holding(3);
    Channel<int> room(1);
    int value = 0;
    const Choice received = select(recv(silent, &value), send(full, 1), recv(ready, &value));
    CHECK_EQ(received.index, 2);
    CHECK(received.ok);
    CHECK_EQ(value, 3);
    CHECK_EQ(ready.size(), 0u);
    const Choice sent = select(send(silent, 1), send(room, 4), recv(ready, &value));
    CHECK_EQ(sent.index, 1);
    CHECK(sent.ok);
    CHECK_EQ(room.try_recv(&value), Readiness::kDone);
    CHECK_EQ(value, 4);
    CHECK_EQ(waits_at(silent.core()), 0u);
  });
}

TEST_CASE("a select that waits is served through each of its cases") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    for (int chosen = 0; chosen < 4; ++chosen) {
      Channel<int> first;
      Channel<int> second;
      Channel<int> third;
      auto [ctx, cancel] = background().with_cancel();
      const std::vector<Waitable*> all{first.core(), second.core(), third.core(), ctx.core()};
      Crew crew(scheduler);
      crew.add(kind, [&, ctx = ctx] {
        int a = 0;
        int c = 0;
        const Choice choice =
            select(recv(first, &a), send(second, 7), recv(third, &c), done(ctx), after(kLong));
        CHECK_EQ(choice.index, chosen);
        CHECK(choice.ok);
        CHECK_EQ(a, chosen == 0 ? 5 : 0);
        CHECK_EQ(c, chosen == 2 ? 6 : 0);
        for (Waitable* each : all) CHECK_EQ(waits_at(each), 0u);
      });
      for (Waitable* each : all) await_waits(each, 1);
      int value = 0;
      if (chosen == 0) CHECK_EQ(first.send(5), WaitStatus::kDone);
      if (chosen == 1) CHECK_EQ(second.recv(&value), WaitStatus::kDone);
      if (chosen == 2) CHECK_EQ(third.send(6), WaitStatus::kDone);
      if (chosen == 3) cancel();
      CHECK_EQ(value, chosen == 1 ? 7 : 0);
    }
    finish(scheduler);
  }
}

// Row 12.
TEST_CASE("an absent case is never chosen") {
  in_every_kind([] {
    Channel<int>* const absent = nullptr;
    Channel<int> many(200);
    for (int i = 0; i < 200; ++i) {
      int value = 0;
      CHECK_EQ(select(recv(absent, &value), send(many, i), send(absent, 1)).index, 1);
      CHECK_EQ(select_now(recv(absent, &value), send(absent, 1)).index, -1);
    }
    int value = 0;
    CHECK_EQ(select(recv(absent, &value), after(kMs)).index, 1);
    CHECK_EQ(value, 0);
    CHECK_EQ(try_select_cases(nullptr, 0).index, Selected::kNothing);
  });
}

// Row 12.
TEST_CASE("a select without a case that can come true waits until it is cancelled") {
  Scheduler scheduler(with_processors(2));
  for (Kind kind : kFiberKinds) {
    for (bool has_cases : {false, true}) {
      Target target;
      Crew crew(scheduler);
      crew.add(kind, [&target, has_cases] {
        target.set();
        Channel<Counted>* const absent = nullptr;
        CHECK(throws_cancelled([&] {
          if (has_cases) {
            select(send(absent, Counted(1)), after(os::kNever));
          } else {
            select_cases(nullptr, 0);
          }
        }));
      });
      Fiber* const fiber = target.await();
      wait_until([&] { return fiber->state() == WaiterState::kWaiting; });
      scheduler.cancel(fiber);
    }
  }
  finish(scheduler);
  CHECK_EQ(Counted::live().load_acquire(), 0);
}

// Row 13.
TEST_CASE("without waiting nothing is chosen only if no case is ready") {
  in_every_kind([] {
    Channel<int> silent;
    Channel<int> ready = holding(3);
    int value = 0;
    CHECK_EQ(select_now(recv(silent, &value), send(silent, 1)).index, -1);
    CHECK_EQ(select_now(recv(silent, &value), recv(ready, &value)).index, 1);
    CHECK_EQ(value, 3);
    CHECK_EQ(select_now(recv(silent, &value), recv(ready, &value)).index, -1);
    CHECK_EQ(waits_at(silent.core()), 0u);
  });
}

// Row 13: at every instant one of the two channels holds a value.
TEST_CASE("whether a case is ready is judged for all of them at one instant") {
  for (uint32_t processors : {1u, 2u, 4u}) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(30'000, 1'500);
    Channel<Channel<int>> fresh(4);
    Channel<Channel<int>> other(4);
    Crew crew(scheduler);
    crew.add(kind_of(processors), [fresh, other, rounds]() mutable {
      for (uint32_t i = 0; i < rounds; ++i) {
        Channel<int> first = holding(1);
        Channel<int> second(1);
        CHECK_EQ(fresh.send(first), WaitStatus::kDone);
        CHECK_EQ(other.send(second), WaitStatus::kDone);
        CHECK_EQ(second.try_send(2), Readiness::kDone);
        int value = 0;
        first.try_recv(&value);
      }
      fresh.close();
    });
    crew.add(kind_of(processors + 1), [fresh, other]() mutable {
      Channel<int> first;
      Channel<int> second;
      while (fresh.recv(&first) == WaitStatus::kDone) {
        CHECK_EQ(other.recv(&second), WaitStatus::kDone);
        int value = 0;
        CHECK(select_now(recv(second, &value), recv(first, &value)).index >= 0);
      }
    });
    crew.join();
    finish(scheduler);
  }
}

// Row 14.
TEST_CASE("each of two ready cases is chosen in half of 10,000 selects") {
  in_every_kind([] {
    Channel<int> first = closed_channel();
    Channel<int> second = closed_channel();
    constexpr uint32_t kTrials = 10'000;
    uint32_t firsts = 0;
    int value = 0;
    for (uint32_t i = 0; i < kTrials; ++i) {
      const Choice choice = select(recv(first, &value), recv(second, &value));
      CHECK(!choice.ok);
      firsts += choice.index == 0;
    }
    const double share = static_cast<double>(firsts) / kTrials;
    // Five standard deviations: a fair choice fails once in two million runs.
    CHECK(share >= 0.475 && share <= 0.525);
  });
}

// Row 14.
TEST_CASE("each of many ready cases gets more than half its share") {
  in_every_kind([] {
    for (uint32_t count : {3u, 10u, 40u}) {
      std::vector<Channel<int>> channels;
      std::vector<uint32_t> chosen(count);
      for (uint32_t i = 0; i < count; ++i) channels.push_back(closed_channel());
      const uint32_t trials = count * 400;
      for (uint32_t n = 0; n < trials; ++n) {
        std::vector<SelectCase> cases(count);
        for (uint32_t i = 0; i < count; ++i) cases[i].target = channels[i].core();
        const Selected selected = select_cases(cases.data(), count);
        CHECK_EQ(selected.status, WaitStatus::kClosed);
        ++chosen[selected.index];
      }
      for (uint32_t times : chosen) CHECK(times > 200);
    }
  });
}

// Row 15.
TEST_CASE("a select that sends and receives on one channel does not meet itself") {
  in_every_kind([] {
    for (int i = 0; i < 50; ++i) {
      Channel<int> channel;
      int value = 7;
      CHECK_EQ(select_now(send(channel, 1), recv(channel, &value)).index, -1);
      CHECK_EQ(select(send(channel, 1), recv(channel, &value), after(0)).index, 2);
      CHECK_EQ(value, 7);
      CHECK_EQ(waits_at(channel.core()), 0u);
    }
  });
}

// Row 15.
TEST_CASE("two that each send or receive on one channel meet each other") {
  for (uint32_t processors : kProcessorCounts) {
    for (uint32_t capacity : {0u, 10u}) {
      Scheduler scheduler(with_processors(processors));
      const uint32_t rounds = scaled(1'000, 200);
      Channel<uint32_t> channel(capacity);
      Crew crew(scheduler);
      Atomic<uint32_t> sends{0};
      Atomic<uint32_t> receives{0};
      for (uint32_t party = 0; party < 2; ++party) {
        crew.add(kind_of(party + processors), [&, party, capacity, rounds] {
          for (uint32_t i = 0; i < rounds; ++i) {
            uint32_t value = 0;
            const Choice choice = select(send(channel, party), recv(channel, &value));
            CHECK(choice.ok);
            (choice.index == 0 ? sends : receives).fetch_add_relaxed(1);
            if (choice.index == 1 && capacity == 0) CHECK_EQ(value, 1 - party);
          }
        });
      }
      crew.join();
      CHECK_EQ(sends.load_relaxed(), receives.load_relaxed() + channel.size());
      CHECK_EQ(waits_at(channel.core()), 0u);
      finish(scheduler);
    }
  }
}

// Row 16.
TEST_CASE("one channel may stand in several cases, and is served once") {
  in_every_kind([] {
    Channel<int> channel(10);
    for (int i = 0; i < 10; ++i) CHECK_EQ(channel.try_send(i), Readiness::kDone);
    for (int i = 0; i < 10; ++i) {
      int values[3] = {-1, -1, -1};
      const Choice choice =
          select(recv(channel, &values[0]), recv(channel, &values[1]), recv(channel, &values[2]));
      for (int n = 0; n < 3; ++n) CHECK_EQ(values[n], n == choice.index ? i : -1);
    }
  });
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    Channel<int> channel;
    Atomic<int> served{0};
    Crew crew(scheduler);
    crew.add(kind, [&] {
      for (int i = 0; i < 20; ++i) {
        int first = 0;
        int second = 0;
        const Choice choice =
            select(recv(channel, &first), send(channel, 8), recv(channel, &second));
        CHECK(choice.index == 0 || choice.index == 2);
        CHECK_EQ(first + second, i + 1);
        CHECK_EQ(waits_at(channel.core()), 0u);
        served.fetch_add_acq_rel(1);
      }
    });
    for (int i = 0; i < 20; ++i) {
      await_waits(channel.core(), 1);  // one wait, however many nodes
      CHECK_EQ(channel.try_send(i + 1), Readiness::kDone);
      wait_until([&] { return served.load_acquire() == i + 1; });
    }
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("a select may have any number of cases, and each of them can serve it") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    for (uint32_t count : {1u, 4u, 5u, 8u, 9u, 33u}) {
      std::vector<Channel<uint32_t>> channels(count);
      Atomic<uint32_t> served{0};
      Crew crew(scheduler);
      crew.add(kind, [&] {
        for (uint32_t round = 0; round < 2 * count; ++round) {
          std::vector<SelectCase> cases(count + 2);  // the first and the last are absent
          for (uint32_t i = 0; i < count; ++i) {
            cases[i + 1].target = channels[i].core();
            const bool sends = i % 2 == 1;
            cases[i + 1].queue = sends ? ChannelCore::kSenders : ChannelCore::kReceivers;
            if (sends) cases[i + 1].cell = detail::to_cell(100 + round);
          }
          const Selected selected = select_cases(cases.data(), count + 2);
          CHECK_EQ(selected.index, 1 + round / 2);
          CHECK_EQ(selected.status, WaitStatus::kDone);
          served.fetch_add_acq_rel(1);
          if (round / 2 % 2 == 1) continue;
          uint32_t value = 0;
          detail::from_cell(cases[selected.index].cell, &value);
          CHECK_EQ(value, round);
        }
        for (Channel<uint32_t>& each : channels) CHECK_EQ(waits_at(each.core()), 0u);
      });
      for (uint32_t round = 0; round < 2 * count; ++round) {
        Channel<uint32_t>& channel = channels[round / 2];
        await_waits(channel.core(), 1);
        if (round / 2 % 2 == 0) {
          CHECK_EQ(channel.try_send(round), Readiness::kDone);
        } else {
          uint32_t value = 0;
          CHECK_EQ(channel.try_recv(&value), Readiness::kDone);
          CHECK_EQ(value, 100 + round);
        }
        // All that it has left in other queues is gone then.
        wait_until([&] { return served.load_acquire() == round + 1; });
      }
    }
    finish(scheduler);
  }
}

TEST_CASE("the case of a closed channel is chosen, and says so") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    for (bool sends : {false, true}) {
      Channel<int> channel;
      Channel<int> silent;
      int value = 7;
      Crew crew(scheduler);
      crew.add(kind, [&] {
        for (int i = 0; i < 2; ++i) {  // by the close, and after it
          const Choice choice = sends ? select(recv(silent, &value), send(channel, 1))
                                      : select(recv(silent, &value), recv(channel, &value));
          CHECK_EQ(choice.index, 1);
          CHECK(!choice.ok);
          CHECK_EQ(choice.status, WaitStatus::kClosed);
        }
        CHECK_EQ(select_now(send(channel, 1)).ok, false);
      });
      await_waits(channel.core(), 1);
      channel.close();
      crew.join();
      CHECK_EQ(value, 7);
      CHECK_EQ(waits_at(silent.core()), 0u);
    }
    finish(scheduler);
  }
}

// Row 19.
TEST_CASE("a select that has won elsewhere does not stand in the way of those behind it") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    Channel<int> wanted;
    Channel<int> elsewhere;
    Crew crew(scheduler);
    crew.add(kind, [&] {
      int value = 0;
      CHECK_EQ(select(recv(wanted, &value), recv(elsewhere, &value)).index, 1);
      CHECK_EQ(value, 1);
    });
    await_waits(wanted.core(), 1);
    crew.add(kind, [&] {
      int value = 0;
      CHECK_EQ(wanted.recv(&value), WaitStatus::kDone);
      CHECK_EQ(value, 2);
    });
    await_waits(wanted.core(), 2);
    crew.add(Kind::kStandard, [&] {
      CHECK_EQ(elsewhere.try_send(1), Readiness::kDone);
      // The winner has not gone on yet: its node is still the first one here.
      CHECK_EQ(wanted.try_send(2), Readiness::kDone);
      CHECK_EQ(wanted.try_send(3), Readiness::kNotReady);
    });
    crew.join();
    CHECK_EQ(waits_at(wanted.core()), 0u);
    finish(scheduler);
  }
}

TEST_CASE("a deadline is never early, and the earliest counts") {
  in_every_kind([] {
    Channel<int> silent;
    int value = 0;
    for (uint64_t duration_ns : {uint64_t{0}, uint64_t{100'000}, 3 * kMs}) {
      const uint64_t began_ns = os::now_ns();
      const Choice choice =
          select(recv(silent, &value), after(os::kNever), after(duration_ns), after(kLong));
      CHECK_EQ(choice.index, 2);
      CHECK(choice.ok);
      CHECK(os::now_ns() >= began_ns + duration_ns);
    }
    const uint64_t began_ns = os::now_ns();
    CHECK_EQ(select(after(kLong), after(kMs)).index, 1);
    CHECK(os::now_ns() >= began_ns + kMs);
    CHECK_EQ(waits_at(silent.core()), 0u);
    Channel<int> ready = holding(1);
    CHECK_EQ(select(after(0), recv(ready, &value)).index, 1);
  });
}

TEST_CASE("a context that is done ends a select") {
  in_every_kind([] {
    Channel<int> silent;
    int value = 0;
    auto [ctx, cancel] = background().with_cancel();
    CHECK_EQ(select_now(recv(silent, &value), done(ctx)).index, -1);
    cancel();
    CHECK_EQ(select_now(recv(silent, &value), done(ctx)).index, 1);
    CHECK_EQ(select(recv(silent, &value), done(ctx)).index, 1);
    auto timed = background().with_timeout(kMs);
    CHECK_EQ(select(recv(silent, &value), done(timed.ctx)).index, 1);
    CHECK(os::now_ns() >= timed.ctx.deadline_ns());
    CHECK_EQ(timed.ctx.error(), ContextError::kDeadline);
  });
}

TEST_CASE("the values of cases that lose are destroyed") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    Channel<Counted> silent;
    Channel<Counted> room(1);
    run_as(scheduler, kind, [&] {
      CHECK_EQ(select(send(silent, Counted(1)), send(room, Counted(2))).index, 1);
      CHECK_EQ(select(send(silent, Counted(3)), after(kMs)).index, 1);
      CHECK_EQ(select_now(send(silent, Counted(4)), send(room, Counted(5))).index, -1);
      Counted received;
      CHECK_EQ(select(recv(room, &received), send(silent, Counted(6))).index, 0);
      CHECK_EQ(received.number(), 2);
      CHECK_EQ(Counted::live().load_acquire(), 1);
      Channel<Counted> closed;
      closed.close();
      CHECK(!select(send(closed, Counted(7)), send(silent, Counted(8))).ok);
      CHECK_EQ(Counted::live().load_acquire(), 1);
    });
    finish(scheduler);
    CHECK_EQ(Counted::live().load_acquire(), 0);
  }
}

TEST_CASE("a select that is cancelled leaves nothing queued, and its values are destroyed") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(2));
    std::vector<Channel<Counted>> channels(2);
    Target target;
    Crew crew(scheduler);
    crew.add(kind, [&] {
      target.set();
      Counted received;
      CHECK(throws_cancelled([&] {
        select(recv(channels[0], &received), send(channels[1], Counted(1)), after(kLong));
      }));
      for (Channel<Counted>& each : channels) CHECK_EQ(waits_at(each.core()), 0u);
    });
    for (Channel<Counted>& each : channels) await_waits(each.core(), 1);
    scheduler.cancel(target.await());
    crew.join();
    finish(scheduler);
    CHECK_EQ(Counted::live().load_acquire(), 0);
  }
}

TEST_CASE("a select that was served and then cancelled has committed") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    Channel<int> first;
    Channel<int> second;
    Target target;
    Atomic<bool> was_cancelled{false};
    Crew crew(scheduler);
    crew.add(kind, [&] {
      target.set();
      int value = 0;
      CHECK_EQ(select(send(first, 1), recv(second, &value)).index, 1);
      CHECK_EQ(value, 4);
      while (!was_cancelled.load_acquire()) os::yield_thread();
    });
    crew.add(Kind::kStandard, [&] {
      yield_until([&] { return waits_at(second.core()) == 1; });
      CHECK_EQ(second.try_send(4), Readiness::kDone);
      scheduler.cancel(target.await());
      int value = 0;
      CHECK_EQ(first.try_recv(&value), Readiness::kNotReady);
      was_cancelled.store_release(true);
    });
    crew.join();
    finish(scheduler);
  }
}

}  // namespace heddle::test
