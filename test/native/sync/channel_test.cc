// Channels, as each kind of caller sees them: order, capacity, close, and the values on their way.
#include "heddle/channel.h"

#include <malloc.h>

#include <memory>
#include <string>

#include "test/native/sync/sync_support.h"

namespace heddle::test {
namespace {

struct Sixteen {
  uint64_t low;
  uint64_t high;
};
struct Forty {
  uint64_t words[5];
};
static_assert(detail::kFitsCell<Sixteen> && !detail::kFitsCell<Forty>);
static_assert(!detail::kFitsCell<std::string> && !detail::kFitsCell<Counted>);

}  // namespace

// Row 1.
TEST_CASE("a receive on a closed and drained channel returns at once, without a value") {
  in_every_kind([] {
    for (uint32_t capacity : {0u, 1u, 5u}) {
      Channel<int> channel(capacity);
      channel.close();
      int value = 7;
      CHECK_EQ(channel.recv(&value), WaitStatus::kClosed);
      CHECK_EQ(channel.recv(&value, 0), WaitStatus::kClosed);
      CHECK_EQ(channel.try_recv(&value), Readiness::kClosed);
      CHECK_EQ(value, 7);
      CHECK(channel.closed());
    }
  });
}

TEST_CASE("a close ends the receives and the sends that wait") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    for (bool sends : {false, true}) {
      Channel<int> channel;
      Crew crew(scheduler);
      for (int i = 0; i < 3; ++i) {
        crew.add(kind, [channel, sends]() mutable {
          int value = 7;
          CHECK_EQ(sends ? channel.send(1) : channel.recv(&value), WaitStatus::kClosed);
          CHECK_EQ(value, 7);
        });
      }
      await_waits(channel.core(), 3);
      channel.close();
      CHECK_EQ(waits_at(channel.core()), 0u);
    }
    finish(scheduler);
  }
}

// Row 2.
TEST_CASE("buffered values survive a close") {
  in_every_kind([] {
    Channel<int> channel(4);
    for (int i = 0; i < 4; ++i) CHECK_EQ(channel.send(i), WaitStatus::kDone);
    channel.close();
    CHECK_EQ(channel.size(), 4u);
    for (int i = 0; i < 4; ++i) {
      int value = -1;
      CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
      CHECK_EQ(value, i);
    }
    int value = 7;
    CHECK_EQ(channel.recv(&value), WaitStatus::kClosed);
    CHECK_EQ(value, 7);
  });
}

// Row 3; in a select: select_test.cc.
TEST_CASE("a send on a closed channel fails, and so does closing it twice") {
  in_every_kind([] {
    for (uint32_t capacity : {0u, 1u, 5u}) {
      Channel<int> channel(capacity);
      channel.close();
      CHECK_EQ(channel.send(1), WaitStatus::kClosed);
      CHECK_EQ(channel.try_send(1), Readiness::kClosed);
      CHECK_EQ(channel.size(), 0u);
      CHECK_EQ(error_code([&] { channel.close(); }), "ERR_HEDDLE_CLOSED");
    }
  });
}

// Row 4.
TEST_CASE("values arrive in the order in which they were sent") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    for (uint32_t capacity : {0u, 1u, 7u}) {
      for (uint32_t mix = 0; mix < 3; ++mix) {
        const uint32_t count = scaled(3'000, 300);
        Channel<uint32_t> channel(capacity);
        Crew crew(scheduler);
        crew.add(kind_of(mix), [channel, count]() mutable {
          for (uint32_t i = 0; i < count; ++i) CHECK_EQ(channel.send(i), WaitStatus::kDone);
          channel.close();
        });
        crew.add(kind_of(mix + processors), [channel, count]() mutable {
          uint32_t value = 0;
          uint32_t next = 0;
          while (channel.recv(&value) == WaitStatus::kDone) CHECK_EQ(value, next++);
          CHECK_EQ(next, count);
        });
      }
    }
    finish(scheduler);
  }
}

// Row 5.
TEST_CASE("a receive waits while it is empty and a send while it is full, at capacities to 199") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    for (uint32_t capacity = 0; capacity < 200; ++capacity) {
      Channel<uint32_t> channel(capacity);
      Crew crew(scheduler);
      crew.add(kind, [&channel] {
        uint32_t value = 0;
        CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
        CHECK_EQ(value, 1'000u);
        for (uint32_t i = 0; i <= channel.capacity(); ++i) channel.send(i);
      });
      await_waits(channel.core(), 1);
      CHECK_EQ(channel.try_send(1'000), Readiness::kDone);
      await_waits(channel.core(), 1);
      CHECK_EQ(channel.size(), capacity);
      CHECK_EQ(channel.try_send(0), Readiness::kNotReady);
      for (uint32_t i = 0; i <= capacity; ++i) {
        uint32_t value = 0;
        CHECK_EQ(channel.try_recv(&value), Readiness::kDone);
        CHECK_EQ(value, i);
      }
    }
    finish(scheduler);
  }
}

TEST_CASE("a full channel stays full while senders wait, and their values come in order") {
  Scheduler scheduler(with_processors(2));
  Channel<int> channel(2);
  CHECK_EQ(channel.try_send(0), Readiness::kDone);
  CHECK_EQ(channel.try_send(1), Readiness::kDone);
  Crew crew(scheduler);
  for (int i = 2; i < 8; ++i) {
    crew.add(kind_of(static_cast<uint32_t>(i)),
             [channel, i]() mutable { CHECK_EQ(channel.send(i), WaitStatus::kDone); });
    await_waits(channel.core(), static_cast<uint32_t>(i) - 1);
  }
  for (int i = 0; i < 8; ++i) {
    CHECK_EQ(channel.size(), i < 7 ? 2u : 1u);
    int value = -1;
    CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
    CHECK_EQ(value, i);
  }
  crew.join();
  finish(scheduler);
}

// Row 6.
TEST_CASE("a try succeeds exactly if a peer waits or the buffer allows it") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    Channel<int> channel;
    int value = 7;
    CHECK_EQ(channel.try_send(1), Readiness::kNotReady);
    CHECK_EQ(channel.try_recv(&value), Readiness::kNotReady);
    CHECK_EQ(value, 7);
    run_as(scheduler, kind, [&channel] {
      // Neither of the tries of the other one was kept.
      int received = 0;
      CHECK_EQ(channel.recv(&received, os::now_ns() + kMs), WaitStatus::kTimedOut);
      CHECK_EQ(channel.send(2, os::now_ns() + kMs), WaitStatus::kTimedOut);
    });
    Crew crew(scheduler);
    crew.add(kind, [&channel] {
      int received = 0;
      CHECK_EQ(channel.recv(&received), WaitStatus::kDone);
      CHECK_EQ(received, 3);
      CHECK_EQ(channel.send(4), WaitStatus::kDone);
    });
    await_waits(channel.core(), 1);
    CHECK_EQ(channel.try_recv(&value), Readiness::kNotReady);  // another receiver is no sender
    CHECK_EQ(channel.try_send(3), Readiness::kDone);
    await_waits(channel.core(), 1);
    CHECK_EQ(channel.try_send(5), Readiness::kNotReady);
    CHECK_EQ(channel.try_recv(&value), Readiness::kDone);
    CHECK_EQ(value, 4);
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("values of every shape pass, in place or through the heap") {
  in_every_kind([] {
    Channel<Sixteen> sixteen(1);
    CHECK_EQ(sixteen.send({3, UINT64_MAX}), WaitStatus::kDone);
    Sixteen pair{};
    CHECK_EQ(sixteen.recv(&pair), WaitStatus::kDone);
    CHECK(pair.low == 3 && pair.high == UINT64_MAX);

    Channel<Forty> forty(1);
    CHECK_EQ(forty.send(Forty{{1, 2, 3, 4, 5}}), WaitStatus::kDone);
    Forty words{};
    CHECK_EQ(forty.recv(&words), WaitStatus::kDone);
    CHECK(words.words[0] == 1 && words.words[4] == 5);

    Channel<std::string> strings(2);
    CHECK_EQ(strings.send("short"), WaitStatus::kDone);
    CHECK_EQ(strings.try_send(std::string(1'000, 'x')), Readiness::kDone);
    std::string text;
    CHECK_EQ(strings.recv(&text), WaitStatus::kDone);
    CHECK_EQ(text, "short");
    CHECK_EQ(strings.try_recv(&text), Readiness::kDone);
    CHECK_EQ(text, std::string(1'000, 'x'));

    Channel<std::unique_ptr<int>> owners(1);
    CHECK_EQ(owners.send(std::make_unique<int>(9)), WaitStatus::kDone);
    std::unique_ptr<int> owner;
    CHECK_EQ(owners.recv(&owner), WaitStatus::kDone);
    CHECK(owner != nullptr && *owner == 9);
  });
}

TEST_CASE("a rendezvous hands boxed values over between callers of any kind") {
  Scheduler scheduler(with_processors(2));
  for (uint32_t mix = 0; mix < 9; ++mix) {
    Channel<std::unique_ptr<uint32_t>> channel;
    Crew crew(scheduler);
    crew.add(kind_of(mix), [channel]() mutable {
      for (uint32_t i = 0; i < 100; ++i) {
        CHECK_EQ(channel.send(std::make_unique<uint32_t>(i)), WaitStatus::kDone);
      }
    });
    crew.add(kind_of(mix / 3), [channel]() mutable {
      for (uint32_t i = 0; i < 100; ++i) {
        std::unique_ptr<uint32_t> value;
        CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
        CHECK(value != nullptr && *value == i);
      }
    });
  }
  finish(scheduler);
}

TEST_CASE("values that nobody receives are destroyed, wherever they were") {
  const int64_t before = Counted::live().load_acquire();
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(2));
    run_as(scheduler, kind, [before] {
      {
        Channel<Counted> channel(3);
        for (int i = 0; i < 3; ++i) CHECK_EQ(channel.send(Counted(i)), WaitStatus::kDone);
        CHECK_EQ(Counted::live().load_acquire(), before + 3);
        CHECK_EQ(channel.try_send(Counted(4)), Readiness::kNotReady);
        CHECK_EQ(channel.send(Counted(5), os::now_ns() + kMs), WaitStatus::kTimedOut);
        channel.close();
        CHECK_EQ(channel.send(Counted(6)), WaitStatus::kClosed);
        CHECK_EQ(channel.try_send(Counted(7)), Readiness::kClosed);
        CHECK_EQ(Counted::live().load_acquire(), before + 3);
      }
      CHECK_EQ(Counted::live().load_acquire(), before);
      Channel<Counted> channel(1);
      CHECK_EQ(channel.send(Counted(8)), WaitStatus::kDone);
      Counted received;
      CHECK_EQ(channel.recv(&received), WaitStatus::kDone);
      CHECK_EQ(received.number(), 8);
      CHECK_EQ(Counted::live().load_acquire(), before + 1);
    });
    Channel<Counted> channel;
    Crew crew(scheduler);
    crew.add(kind, [channel]() mutable {
      CHECK_EQ(channel.send(Counted(1)), WaitStatus::kClosed);  // while it waits
    });
    await_waits(channel.core(), 1);
    channel.close();
    crew.join();
    finish(scheduler);
    CHECK_EQ(Counted::live().load_acquire(), before);
  }
}

TEST_CASE("the value of a cancelled sender is destroyed, and never received") {
  const int64_t before = Counted::live().load_acquire();
  for (Kind kind : kFiberKinds) {
    Scheduler scheduler(with_processors(2));
    Channel<Counted> channel;
    Target target;
    Crew crew(scheduler);
    crew.add(kind, [&] {
      target.set();
      CHECK(throws_cancelled([&] { channel.send(Counted(1)); }));
    });
    await_waits(channel.core(), 1);
    scheduler.cancel(target.await());
    crew.join();
    Counted received(7);
    CHECK_EQ(channel.try_recv(&received), Readiness::kNotReady);
    CHECK_EQ(received.number(), 7);
    finish(scheduler);
  }
  CHECK_EQ(Counted::live().load_acquire(), before);
}

TEST_CASE("copies of a handle are the same channel, which lives as long as one of them") {
  in_every_kind([] {
    std::unique_ptr<Channel<int>> first(new Channel<int>(2));
    Channel<int> second = *first;
    CHECK_EQ(first->send(1), WaitStatus::kDone);
    Channel<int> third = std::move(*first);
    first.reset();
    CHECK_EQ(third.send(2), WaitStatus::kDone);
    int value = 0;
    CHECK_EQ(second.recv(&value), WaitStatus::kDone);
    CHECK_EQ(value, 1);
    CHECK(second.core() == third.core());
    second = Channel<int>(1);
    CHECK(second.core() != third.core());
    CHECK_EQ(third.recv(&value), WaitStatus::kDone);
    CHECK_EQ(value, 2);
  });
}

TEST_CASE("a capacity beyond the limit is refused by name") {
  CHECK_EQ(error_code([] { Channel<int> channel(ChannelCore::kMaxCapacity + 1); }),
           "ERR_HEDDLE_MEMORY");
  CHECK_EQ(Channel<int>(3).capacity(), 3u);
}

TEST_CASE("an idle channel without a buffer takes at most 256 bytes") {
  CHECK(sizeof(ChannelCore) <= 240);
  Channel<int> channel;
#if !defined(HEDDLE_ASAN) && !defined(HEDDLE_TSAN)
  // A word before the block is malloc's own.
  CHECK(malloc_usable_size(channel.core()) + sizeof(size_t) <= 256);
#endif
}

TEST_CASE("a fiber in a blocking call uses channels as its thread does") {
  Scheduler scheduler(with_processors(1));
  Channel<int> channel;
  Crew crew(scheduler);
  crew.add(Kind::kStandard, [&channel] {
    BlockingScope scope;
    int value = 0;
    CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
    CHECK_EQ(value, 1);
    CHECK_EQ(channel.send(2), WaitStatus::kDone);
    CHECK_EQ(channel.recv(&value, os::now_ns() + kMs), WaitStatus::kTimedOut);
  });
  await_waits(channel.core(), 1);
  run_as(scheduler, Kind::kCompact, [&channel] {  // the processor is free meanwhile
    CHECK_EQ(channel.send(1), WaitStatus::kDone);
    int value = 0;
    CHECK_EQ(channel.recv(&value), WaitStatus::kDone);
    CHECK_EQ(value, 2);
  });
  crew.join();
  finish(scheduler);
}

}  // namespace heddle::test
