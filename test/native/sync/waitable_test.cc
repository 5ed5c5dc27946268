// What is waited for: its handles, and the end of waits that nobody is left to end.
#include "sync/waitable.h"

#include <memory>

#include "heddle/heddle.h"
#include "test/native/sync/sync_support.h"

namespace heddle::test {
namespace {

constexpr uint64_t kLong = 3'600'000 * kMs;

}  // namespace

TEST_CASE("the last handle frees what it names, and nobody comes back after that") {
  Scheduler scheduler(with_processors(1));
  auto value = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = value;
  Ref<ContextCore> first = ContextCore::background()->with_value(&scheduler, std::move(value));
  Ref<ContextCore> second = first;
  CHECK(second->try_retain());
  second->release();
  ContextCore* const raw = first.detach();
  CHECK(!first);
  raw->release();
  CHECK(!watch.expired());
  Ref<ContextCore> third = std::move(second);
  CHECK(!second);  // NOLINT(bugprone-use-after-move)
  third = Ref<ContextCore>();
  CHECK(watch.expired());
  finish(scheduler);
}

TEST_CASE("whoever alone holds a tracked channel does not wait for it") {
  in_every_kind([] {
    auto channel = Channel<int>::tracked();
    int value = 7;
    CHECK_EQ(channel.recv(&value), WaitStatus::kAbandoned);
    CHECK_EQ(channel.recv(&value, os::now_ns() + kLong), WaitStatus::kAbandoned);
    CHECK_EQ(channel.send(1), WaitStatus::kAbandoned);
    CHECK_EQ(value, 7);
    CHECK_EQ(waits_at(channel.core()), 0u);
    auto buffered = Channel<int>::tracked(1);
    CHECK_EQ(buffered.send(1), WaitStatus::kDone);
    CHECK_EQ(buffered.send(2), WaitStatus::kAbandoned);
    CHECK_EQ(buffered.recv(&value), WaitStatus::kDone);  // what is there is not lost
    CHECK_EQ(buffered.recv(&value), WaitStatus::kAbandoned);
    buffered.close();
    CHECK_EQ(buffered.recv(&value), WaitStatus::kClosed);
  });
}

TEST_CASE("waits on a tracked channel end when only those who wait have it") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    for (bool sends : {false, true}) {
      auto channel = std::make_unique<Channel<Counted>>(Channel<Counted>::tracked());
      Crew crew(scheduler);
      for (uint32_t i = 0; i < 6; ++i) {
        crew.add(kind_of(i), [own = *channel, sends, i]() mutable {
          Counted value;
          const uint64_t deadline_ns = i % 2 == 0 ? os::kNever : os::now_ns() + kLong;
          const WaitStatus status =
              sends ? own.send(Counted(1), deadline_ns) : own.recv(&value, deadline_ns);
          CHECK_EQ(status, WaitStatus::kAbandoned);
        });
      }
      await_waits(channel->core(), 6);
      Channel<Counted> moved = std::move(*channel);  // as many handles as before
      CHECK_EQ(waits_at(moved.core()), 6u);
      channel.reset();
      moved = Channel<Counted>();
      crew.join();
    }
    finish(scheduler);
  }
  CHECK_EQ(Counted::live().load_acquire(), 0);
}

TEST_CASE("the wait that leaves nobody else ends, with those that were there before") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(1));
    auto channel = Channel<int>::tracked();
    Crew crew(scheduler);
    crew.add(kind, [own = channel]() mutable {
      int value = 0;
      CHECK_EQ(own.recv(&value), WaitStatus::kAbandoned);
    });
    await_waits(channel.core(), 1);
    run_as(scheduler, kind_of(static_cast<uint32_t>(kind) + 1),
           [own = std::move(channel)]() mutable {
             int value = 0;
             CHECK_EQ(own.recv(&value), WaitStatus::kAbandoned);
           });
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("waits on a channel that is not tracked never end by themselves") {
  in_every_kind([] {
    Channel<int> channel;
    int value = 0;
    CHECK_EQ(channel.recv(&value, os::now_ns() + 2 * kMs), WaitStatus::kTimedOut);
    CHECK_EQ(channel.send(1, os::now_ns() + 2 * kMs), WaitStatus::kTimedOut);
    CHECK_EQ(select(recv(channel, &value), send(channel, 1), after(2 * kMs)).index, 2);
  });
}

TEST_CASE("a select ends when one of its channels is abandoned, and leaves the others") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    for (bool sends : {false, true}) {
      auto lonely = std::make_unique<Channel<int>>(Channel<int>::tracked());
      Channel<int> other;
      Waitable* const watched = lonely->core();
      Crew crew(scheduler);
      crew.add(kind, [own = *lonely, other, sends]() mutable {
        int value = 7;
        const Choice choice = sends ? select(recv(other, &value), send(own, 1), after(kLong))
                                    : select(recv(other, &value), recv(own, &value), after(kLong));
        CHECK_EQ(choice.index, 1);
        CHECK(!choice.ok);
        CHECK_EQ(choice.status, WaitStatus::kAbandoned);
        CHECK_EQ(value, 7);
        CHECK_EQ(waits_at(other.core()), 0u);
        // Now nobody but this one has it.
        CHECK_EQ(select(recv(other, &value), recv(own, &value)).status, WaitStatus::kAbandoned);
        CHECK_EQ(waits_at(other.core()), 0u);
      });
      await_waits(watched, 1);
      lonely.reset();
      crew.join();
    }
    finish(scheduler);
  }
}

TEST_CASE("a select that names a tracked channel twice lends one handle") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    auto channel = Channel<int>::tracked();
    auto second_handle = std::make_unique<Channel<int>>(channel);
    Crew crew(scheduler);
    crew.add(kind, [own = std::move(channel)]() mutable {
      int value = 0;
      Choice choice = select(recv(own, &value), send(own, 1), recv(own, &value));
      CHECK_EQ(choice.index % 2, 0);
      CHECK(choice.ok);
      CHECK_EQ(value, 5);
      choice = select(recv(own, &value), send(own, 1), recv(own, &value));
      CHECK_EQ(choice.status, WaitStatus::kAbandoned);
    });
    await_waits(second_handle->core(), 1);
    CHECK_EQ(second_handle->try_send(5), Readiness::kDone);
    second_handle.reset();  // before or after the second wait begins
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("an abandoned channel is as good as new when others get it") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    run_as(scheduler, kind, [&scheduler] {
      auto channel = Channel<int>::tracked();
      int value = 0;
      CHECK_EQ(channel.recv(&value), WaitStatus::kAbandoned);
      spawn(scheduler, [own = channel]() mutable { own.send(3); });
      CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
      CHECK_EQ(value, 3);
    });
    finish(scheduler);
  }
}

TEST_CASE("a wait that has timed out lends its handle no longer") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    auto channel = std::make_unique<Channel<int>>(Channel<int>::tracked());
    Waitable* const watched = channel->core();
    Countdown timed_out(1);
    Countdown may_send(1);
    Crew crew(scheduler);
    crew.add(kind, [own = *channel]() mutable {
      int value = 0;
      CHECK_EQ(own.recv(&value), WaitStatus::kDone);
      CHECK_EQ(value, 8);
      CHECK_EQ(own.recv(&value), WaitStatus::kAbandoned);
    });
    await_waits(watched, 1);
    std::thread sender([own = *channel, &timed_out, &may_send]() mutable {
      int value = 0;
      CHECK_EQ(own.recv(&value, os::now_ns() + kMs), WaitStatus::kTimedOut);
      timed_out.arrive();
      may_send.wait();
      CHECK_EQ(own.try_send(8), Readiness::kDone);
    });
    timed_out.wait();
    channel.reset();  // as many handles as have waited, but one has given up
    may_send.arrive();
    sender.join();
    crew.join();
    finish(scheduler);
  }
}

// Whose wait has ended can still do something, also before it has gone on.
TEST_CASE("a wait that was served elsewhere lends its handle no longer") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    auto channel = std::make_unique<Channel<int>>(Channel<int>::tracked());
    Waitable* const watched = channel->core();
    Channel<int> elsewhere;
    Crew crew(scheduler);
    crew.add(kind, [own = *channel]() mutable {
      int value = 0;
      CHECK_EQ(own.recv(&value), WaitStatus::kDone);
      CHECK_EQ(value, 6);
    });
    await_waits(watched, 1);
    crew.add(kind, [own = *channel, elsewhere]() mutable {
      int value = 0;
      CHECK_EQ(select(recv(own, &value), recv(elsewhere, &value)).index, 1);
      CHECK_EQ(own.send(6), WaitStatus::kDone);
    });
    await_waits(watched, 2);
    crew.add(Kind::kStandard, [&channel, elsewhere]() mutable {
      CHECK_EQ(elsewhere.try_send(1), Readiness::kDone);
      channel.reset();  // the winner of the select has not gone on yet
    });
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("locks that are tracked are abandoned in the same way") {
  Scheduler scheduler(with_processors(1));
  for (Kind kind : kKinds) {
    Ref<MutexCore> mutex(new MutexCore(true));
    Ref<SemaphoreCore> semaphore(new SemaphoreCore(0, true));
    Ref<RwMutexCore> rw_mutex(new RwMutexCore(true));
    CHECK(mutex->try_lock());
    CHECK(rw_mutex->try_lock_write());
    run_as(scheduler, kind, [&] {
      CHECK_EQ(mutex->lock_for(), WaitStatus::kAbandoned);
      CHECK_EQ(semaphore->acquire(), WaitStatus::kAbandoned);
      CHECK_EQ(rw_mutex->lock_read(), WaitStatus::kAbandoned);
      CHECK_EQ(rw_mutex->lock_write(), WaitStatus::kAbandoned);
    });
    CHECK(mutex->is_locked());
  }
  finish(scheduler);
}

TEST_CASE("an abandoned meeting is none for those who have just given up") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    Ref<BarrierCore> barrier(new BarrierCore(3, true));
    Waitable* const watched = barrier.get();
    Target target;
    Atomic<bool> was_cancelled{false};
    Crew crew(scheduler);
    for (bool is_victim : {false, true}) {
      crew.add(kind, [&, own = barrier, is_victim] {
        if (is_victim) target.set();
        bool is_last = false;
        WaitStatus status = WaitStatus::kDone;
        const bool ended = throws_cancelled([&] { status = own->arrive(&is_last); });
        CHECK_EQ(ended, is_victim);
        if (!is_victim) CHECK_EQ(status, WaitStatus::kAbandoned);
        while (!was_cancelled.load_acquire()) os::yield_thread();
      });
    }
    await_waits(watched, 2);
    crew.add(Kind::kStandard, [&] {
      scheduler.cancel(target.await());  // it has not gone on yet when the last other one leaves
      barrier = Ref<BarrierCore>();
      was_cancelled.store_release(true);
    });
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("handles that come and go from many sides abandon a channel once") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(200, 40);
    for (uint32_t round = 0; round < rounds; ++round) {
      auto channel = Channel<Counted>::tracked();
      Crew crew(scheduler);
      Atomic<uint32_t> sent{0};
      Atomic<uint32_t> received{0};
      const uint32_t receivers = 1 + round % 3;
      for (uint32_t i = 0; i < receivers; ++i) {
        crew.add(kFiberKinds[(round + i) % 2], [own = channel, &received]() mutable {
          Counted value;
          WaitStatus status;
          while ((status = own.recv(&value)) == WaitStatus::kDone) received.fetch_add_acq_rel(1);
          CHECK_EQ(status, WaitStatus::kAbandoned);
        });
      }
      for (uint32_t i = 0; i < 2; ++i) {
        crew.add(kFiberKinds[i], [own = channel, &sent]() mutable {
          for (int n = 0; n < 5; ++n) {
            Channel<Counted> copy = own;
            if (copy.send(Counted(n)) == WaitStatus::kDone) sent.fetch_add_acq_rel(1);
          }
        });
      }
      channel = Channel<Counted>();
      crew.join();
      CHECK_EQ(sent.load_acquire(), 10u);
      CHECK_EQ(received.load_acquire(), 10u);
    }
    finish(scheduler);
  }
  CHECK_EQ(Counted::live().load_acquire(), 0);
}

}  // namespace heddle::test
