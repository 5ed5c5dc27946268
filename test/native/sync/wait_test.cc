// What holds for every wait, whatever it waits for and whoever waits: deadlines, cancellation, and
// that the claim is the delivery.
#include "sync/wait.h"

#include <csignal>
#include <functional>
#include <random>

#include <sys/time.h>

#include "heddle/heddle.h"
#include "test/native/sync/sync_support.h"

namespace heddle::test {
namespace {

// One way to wait for something that does not come by itself.
struct Way {
  Waitable* at;
  WaitReason reason;
  std::function<WaitStatus(uint64_t deadline_ns)> wait;
};

template <typename Core, typename... Args>
Ref<Core> made_of(Args... args) {
  return Ref<Core>(new Core(args...));
}

WaitStatus wait_for_either(ChannelCore* empty, ChannelCore* full, uint64_t deadline_ns) {
  SelectCase cases[3];
  cases[1].target = empty;
  cases[1].queue = ChannelCore::kReceivers;
  cases[2].target = full;
  cases[2].queue = ChannelCore::kSenders;
  const Selected selected = select_cases(cases, 3, deadline_ns);
  CHECK_EQ(selected.index == Selected::kNothing, selected.status == WaitStatus::kTimedOut);
  return selected.status;
}

// All of them, where nothing else is going on.
class EveryWay {
 public:
  EveryWay() {
    CHECK_EQ(full_.try_send(1), Readiness::kDone);
    CHECK(mutex_->try_lock());
    CHECK(written_->try_lock_write());
    CHECK(read_->try_lock_read());
    CHECK(group_->add(1));
    bool is_first = false;
    CHECK_EQ(once_->begin(&is_first), WaitStatus::kDone);
    CHECK(is_first);
    add_channels();
    add_locks();
    add_meetings();
  }
  const std::vector<Way>& ways() const noexcept { return ways_; }

 private:
  void add(Waitable* at, WaitReason reason, std::function<WaitStatus(uint64_t)> wait) {
    ways_.push_back(Way{at, reason, std::move(wait)});
  }
  void add_channels() {
    add(empty_.core(), WaitReason::kReceive, [this](uint64_t deadline_ns) {
      int value = 0;
      return empty_.recv(&value, deadline_ns);
    });
    add(full_.core(), WaitReason::kSend,
        [this](uint64_t deadline_ns) { return full_.send(2, deadline_ns); });
    for (Waitable* at : {empty_.core(), full_.core()}) {
      add(at, WaitReason::kSelect, [this](uint64_t deadline_ns) {
        return wait_for_either(empty_.core(), full_.core(), deadline_ns);
      });
    }
  }
  void add_locks() {
    add(mutex_.get(), WaitReason::kMutex,
        [this](uint64_t deadline_ns) { return mutex_->lock_for(deadline_ns); });
    add(written_.get(), WaitReason::kMutex,
        [this](uint64_t deadline_ns) { return written_->lock_read(deadline_ns); });
    add(written_.get(), WaitReason::kMutex,
        [this](uint64_t deadline_ns) { return written_->lock_write(deadline_ns); });
    add(read_.get(), WaitReason::kMutex,
        [this](uint64_t deadline_ns) { return read_->lock_write(deadline_ns); });
    add(semaphore_.get(), WaitReason::kSemaphore,
        [this](uint64_t deadline_ns) { return semaphore_->acquire(3, deadline_ns); });
  }
  void add_meetings() {
    add(group_.get(), WaitReason::kWaitGroup,
        [this](uint64_t deadline_ns) { return group_->wait(deadline_ns); });
    add(once_.get(), WaitReason::kOnce, [this](uint64_t deadline_ns) {
      bool is_first = true;
      const WaitStatus status = once_->begin(&is_first, deadline_ns);
      CHECK(!is_first);
      return status;
    });
    add(barrier_.get(), WaitReason::kBarrier, [this](uint64_t deadline_ns) {
      bool is_last = true;
      const WaitStatus status = barrier_->arrive(&is_last, deadline_ns);
      CHECK(!is_last);
      return status;
    });
  }

  std::vector<Way> ways_;
  Channel<int> empty_;
  Channel<int> full_{1};
  Ref<MutexCore> mutex_ = made_of<MutexCore>();
  Ref<RwMutexCore> written_ = made_of<RwMutexCore>();
  Ref<RwMutexCore> read_ = made_of<RwMutexCore>();
  Ref<SemaphoreCore> semaphore_ = made_of<SemaphoreCore>(2u);
  Ref<WaitGroupCore> group_ = made_of<WaitGroupCore>();
  Ref<OnceCore> once_ = made_of<OnceCore>();
  Ref<BarrierCore> barrier_ = made_of<BarrierCore>(2u);
};

}  // namespace

// Row 41, and 35.
TEST_CASE("a wait that times out is never early, and leaves nothing queued") {
  EveryWay every;
  in_every_kind([&every] {
    for (const Way& way : every.ways()) {
      for (uint64_t duration_ns : {uint64_t{1}, uint64_t{10'000}, 2 * kMs}) {
        const uint64_t deadline_ns = os::now_ns() + duration_ns;
        CHECK_EQ(way.wait(deadline_ns), WaitStatus::kTimedOut);
        CHECK(os::now_ns() >= deadline_ns);
        CHECK_EQ(waits_at(way.at), 0u);
      }
    }
  });
}

TEST_CASE("a deadline in the past ends a wait at once, and does not end what need not wait") {
  EveryWay every;
  in_every_kind([&every] {
    for (const Way& way : every.ways()) {
      CHECK_EQ(way.wait(0), WaitStatus::kTimedOut);
      CHECK_EQ(way.wait(os::now_ns()), WaitStatus::kTimedOut);
    }
    Channel<int> channel(1);
    CHECK_EQ(channel.send(1, 0), WaitStatus::kDone);
    int value = 0;
    CHECK_EQ(channel.recv(&value, 0), WaitStatus::kDone);
    const auto mutex = made_of<MutexCore>();
    CHECK_EQ(mutex->lock_for(0), WaitStatus::kDone);
  });
}

// Row 41.
TEST_CASE("signals do not shorten a wait of a thread") {
  static Atomic<uint32_t> signals{0};
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = [](int) { signals.fetch_add_relaxed(1); };
  REQUIRE(sigaction(SIGALRM, &action, &before) == 0);
  const itimerval every_ms{{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &every_ms, nullptr);
  Channel<int> channel;
  int value = 0;
  const uint64_t deadline_ns = os::now_ns() + 20 * kMs;
  CHECK_EQ(channel.recv(&value, deadline_ns), WaitStatus::kTimedOut);
  CHECK(os::now_ns() >= deadline_ns);
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  CHECK(signals.load_relaxed() > 0);
}

TEST_CASE("the deadline of a wait that was served does not end the next one") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(1));
    Channel<int> channel;
    Crew crew(scheduler);
    Countdown late(1);
    crew.add(kind, [&] {
      int value = 0;
      const uint64_t soon_ns = os::now_ns() + 5 * kMs;
      const WaitStatus first = channel.recv(&value, soon_ns);
      // A slow machine may have let it pass.
      CHECK(first == WaitStatus::kDone || os::now_ns() >= soon_ns);
      CHECK_EQ(channel.recv(&value, os::now_ns() + 3'600'000 * kMs), WaitStatus::kDone);
    });
    await_waits(channel.core(), 1);
    channel.try_send(1);
    os::sleep_until(os::now_ns() + 8 * kMs);
    await_waits(channel.core(), 1);
    CHECK_EQ(channel.try_send(2), Readiness::kDone);
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("a waiting fiber says what it waits for") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    EveryWay every;
    for (const Way& way : every.ways()) {
      Target target;
      Crew crew(scheduler);
      crew.add(kind, [&] {
        target.set();
        CHECK(throws_cancelled([&] { way.wait(os::kNever); }));
      });
      await_waits(way.at, 1);
      Fiber* const fiber = target.await();
      CHECK_EQ(wait_reason_name(fiber->wait_reason), wait_reason_name(way.reason));
      scheduler.cancel(fiber);
    }
    finish(scheduler);
  }
}

// Row 35.
TEST_CASE("a cancelled fiber leaves the queue, at any number of processors") {
  for (uint32_t processors : kProcessorCounts) {
    for (Kind kind : kFiberKinds) {
      Scheduler scheduler(with_processors(processors));
      EveryWay every;
      for (const Way& way : every.ways()) {
        for (uint64_t deadline_ns : {os::kNever, os::now_ns() + 3'600'000 * kMs}) {
          Target target;
          Crew crew(scheduler);
          crew.add(kind, [&, deadline_ns] {
            target.set();
            CHECK(throws_cancelled([&] { way.wait(deadline_ns); }));
            CHECK_EQ(waits_at(way.at), 0u);
            // So does every later wait, before it is in any queue.
            CHECK(throws_cancelled([&] { way.wait(deadline_ns); }));
            CHECK_EQ(waits_at(way.at), 0u);
          });
          scheduler.cancel(target.await());  // before, during or after it is queued
        }
      }
      finish(scheduler);
    }
  }
}

TEST_CASE("a task that runs on a thread of its own is cancelled in every wait") {
  EveryWay every;
  for (const Way& way : every.ways()) {
    Atomic<uint8_t> flag{0};
    Countdown timed_out(1);
    std::thread thread([&] {
      os::thread_slot().cancel_flag = &flag;
      CHECK_EQ(way.wait(os::now_ns() + kMs), WaitStatus::kTimedOut);
      timed_out.arrive();
      CHECK(throws_cancelled([&] { way.wait(os::kNever); }));
      CHECK_EQ(waits_at(way.at), 0u);
      CHECK(throws_cancelled([&] { way.wait(os::now_ns() + 3'600'000 * kMs); }));
      os::thread_slot().cancel_flag = nullptr;
    });
    timed_out.wait();
    await_waits(way.at, 1);
    flag.store_release(1);
    thread.join();
  }
}

TEST_CASE("a fiber that was served and then cancelled has what it waited for") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    Channel<int> channel;
    const auto mutex = made_of<MutexCore>();
    CHECK(mutex->try_lock());
    Target target;
    Atomic<bool> was_cancelled{false};
    Crew crew(scheduler);
    crew.add(kind, [&] {
      target.set();
      int value = 0;
      CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
      CHECK_EQ(value, 5);
      while (!was_cancelled.load_acquire()) os::yield_thread();
      CHECK(throws_cancelled([&] { channel.recv(&value); }));
    });
    Target second;
    crew.add(kind, [&] {
      second.set();
      CHECK_EQ(mutex->lock_for(), WaitStatus::kDone);
      while (!was_cancelled.load_acquire()) os::yield_thread();
      CHECK(throws_cancelled([] { checkpoint(); }));
      CHECK(mutex->unlock_one());
    });
    // On the only processor: neither can go on before both were cancelled.
    crew.add(Kind::kStandard, [&] {
      yield_until([&] { return waits_at(channel.core()) + waits_at(mutex.get()) == 2; });
      CHECK_EQ(channel.try_send(5), Readiness::kDone);
      CHECK(mutex->unlock_one());
      scheduler.cancel(target.await());
      scheduler.cancel(second.await());
      was_cancelled.store_release(true);
      CHECK(mutex->is_locked());
    });
    crew.join();
    CHECK(!mutex->is_locked());
    finish(scheduler);
  }
}

TEST_CASE("a fiber that was cancelled, but has not yet gone on, is passed over") {
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(1));
    Channel<int> channel;
    Channel<int> answers(1);
    Target target;
    Crew crew(scheduler);
    crew.add(kind, [&] {
      target.set();
      int value = 0;
      CHECK(throws_cancelled([&] { channel.recv(&value); }));
      CHECK_EQ(value, 0);
    });
    await_waits(channel.core(), 1);
    crew.add(kind, [&] {
      int value = 0;
      CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
      CHECK_EQ(value, 1);
      answers.send(value);
    });
    await_waits(channel.core(), 2);
    crew.add(Kind::kStandard, [&] {
      scheduler.cancel(target.await());
      CHECK_EQ(channel.try_send(1), Readiness::kDone);
      CHECK_EQ(channel.try_send(2), Readiness::kNotReady);
      int value = 0;
      CHECK_EQ(answers.recv(&value), WaitStatus::kDone);
    });
    crew.join();
    CHECK_EQ(waits_at(channel.core()), 0u);
    finish(scheduler);
  }
}

TEST_CASE("a send that races a cancellation has happened exactly if it was received") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(400, 60);
    uint32_t received_rounds = 0;
    for (uint32_t round = 0; round < rounds; ++round) {
      Channel<uint32_t> channel;
      Target target;
      Atomic<bool> received{false};
      Countdown cancelled(1);
      Crew crew(scheduler);
      crew.add(kFiberKinds[round % 2], [&] {
        target.set();
        uint32_t value = 0;
        if (!throws_cancelled([&] { channel.recv(&value); })) {
          CHECK_EQ(value, 9u);
          received.store_release(true);
        }
        while (cancelled.left() != 0)
          os::yield_thread();  // nobody may cancel a fiber that has ended
      });
      await_waits(channel.core(), 1);
      Fiber* const fiber = target.await();
      std::thread canceller([&] {
        for (uint32_t n = 0; n < round % 40 * 20; ++n) spin_hint();
        scheduler.cancel(fiber);
        cancelled.arrive();
      });
      while (cancelled.left() != 0 && round % 3 != 0) os::yield_thread();
      const Readiness readiness = channel.try_send(9);
      canceller.join();
      crew.join();
      CHECK_EQ(readiness == Readiness::kDone, received.load_acquire());
      received_rounds += received.load_acquire();
    }
    CHECK(received_rounds > 0 && received_rounds < rounds);
    finish(scheduler);
  }
}

TEST_CASE("a send that races a deadline has happened exactly if it was received") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    const uint32_t rounds = scaled(1'500, 250);
    Channel<uint32_t> channel;
    Channel<uint32_t> received;
    Atomic<uint64_t> deadline_ns{0};
    Crew crew(scheduler);
    crew.add(kind, [&] {
      std::minstd_rand random(7);
      for (uint32_t i = 0; i < rounds; ++i) {
        const uint64_t until_ns = os::now_ns() + 10'000 + random() % 60'000;
        deadline_ns.store_release(until_ns);
        uint32_t value = UINT32_MAX;
        const WaitStatus status = channel.recv(&value, until_ns);
        CHECK_EQ(status == WaitStatus::kDone, value != UINT32_MAX);
        CHECK_EQ(received.send(value), WaitStatus::kDone);
      }
    });
    for (uint32_t i = 0; i < rounds; ++i) {
      uint64_t until_ns;
      while ((until_ns = deadline_ns.exchange_acq_rel(0)) == 0) spin_hint();
      const uint64_t send_at_ns = until_ns - 5'000 + i % 64 * 1'000;
      while (os::now_ns() < send_at_ns) spin_hint();
      const bool sent = channel.try_send(i) == Readiness::kDone;
      uint32_t value = 0;
      CHECK_EQ(received.recv(&value), WaitStatus::kDone);
      CHECK_EQ(value, sent ? i : UINT32_MAX);
    }
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("fibers and threads that wait in turns for deadlines on one channel are all served") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    constexpr uint32_t kWaiters = 30;
    EveryWay every;
    Crew crew(scheduler);
    Atomic<uint32_t> timed_out{0};
    for (uint32_t i = 0; i < kWaiters; ++i) {
      crew.add(kind_of(i), [&, i] {
        for (const Way& way : every.ways()) {
          const uint64_t deadline_ns = os::now_ns() + (i * 37 % 20) * 50'000;
          // Two at a barrier of two meet.
          const bool meets = way.reason == WaitReason::kBarrier;
          if (meets) continue;
          CHECK_EQ(way.wait(deadline_ns), WaitStatus::kTimedOut);
          CHECK(os::now_ns() >= deadline_ns);
          timed_out.fetch_add_relaxed(1);
        }
      });
    }
    crew.join();
    CHECK_EQ(timed_out.load_acquire(), kWaiters * (every.ways().size() - 1));
    for (const Way& way : every.ways()) CHECK_EQ(waits_at(way.at), 0u);
    finish(scheduler);
  }
}

}  // namespace heddle::test
