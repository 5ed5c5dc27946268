// The lock-free queue beside channels: bounded, any number of producers and consumers.
#include "sync/queue.h"

#include <memory>
#include <thread>
#include <vector>

#include "test/native/runtime_support.h"

namespace heddle::test {

TEST_CASE("a queue gives back what it was given, in order, round after round") {
  Queue<uint64_t> queue(4);
  uint64_t value = 7;
  CHECK(!queue.try_pop(&value));
  CHECK_EQ(value, 7u);
  uint64_t next_in = 0;
  uint64_t next_out = 0;
  for (uint32_t round = 0; round < 1'000; ++round) {
    for (uint32_t i = 0; i < 1 + round % 4; ++i) CHECK(queue.try_push(next_in++));
    CHECK_EQ(queue.size(), 1 + round % 4);
    while (queue.try_pop(&value)) CHECK_EQ(value, next_out++);
    CHECK_EQ(next_out, next_in);
    CHECK_EQ(queue.size(), 0u);
  }
}

TEST_CASE("a capacity is rounded up to a power of two, and holds exactly that many") {
  struct Rounding {
    int asked;
    int got;
  };
  for (const auto& [asked, got] : {Rounding{0, 2}, {1, 2}, {2, 2}, {3, 4}, {64, 64}, {65, 128}}) {
    Queue<int> queue(static_cast<size_t>(asked));
    CHECK_EQ(queue.capacity(), static_cast<size_t>(got));
    for (int i = 0; i < got; ++i) CHECK(queue.try_push(i));
    CHECK(!queue.try_push(0));
    int value = -1;
    CHECK(queue.try_pop(&value));
    CHECK_EQ(value, 0);
    CHECK(queue.try_push(got));
    CHECK(!queue.try_push(0));
  }
}

TEST_CASE("a queue passes structures as they are") {
  struct Wide {
    uint64_t words[6];
  };
  Queue<Wide> queue(2);
  CHECK(queue.try_push(Wide{{1, 2, 3, 4, 5, 6}}));
  Wide wide{};
  CHECK(queue.try_pop(&wide));
  CHECK(wide.words[0] == 1 && wide.words[5] == 6);
}

TEST_CASE("many producers and consumers lose nothing, see each value once, and each in order") {
  constexpr uint32_t kProducers = 3;
  constexpr uint32_t kConsumers = 3;
  for (size_t capacity : {2u, 1'024u}) {
    const uint32_t each = capacity == 2 ? scaled(2'000, 300) : scaled(40'000, 4'000);
    Queue<uint32_t> queue(capacity);
    const std::unique_ptr<Atomic<uint8_t>[]> seen(new Atomic<uint8_t>[kProducers * each]);
    std::vector<uint32_t> plain(kProducers * each);  // published by the push
    Atomic<uint32_t> left{kProducers * each};
    std::vector<std::thread> threads;
    for (uint32_t p = 0; p < kProducers; ++p) {
      threads.emplace_back([&, p] {
        for (uint32_t i = p * each; i < (p + 1) * each; ++i) {
          plain[i] = i + 1;
          while (!queue.try_push(i)) os::yield_thread();
        }
      });
    }
    for (uint32_t c = 0; c < kConsumers; ++c) {
      threads.emplace_back([&] {
        int64_t latest[kProducers] = {-1, -1, -1};
        while (left.load_acquire() != 0) {
          uint32_t value = 0;
          if (!queue.try_pop(&value)) {
            os::yield_thread();
            continue;
          }
          left.fetch_sub_acq_rel(1);
          CHECK_EQ(plain[value], value + 1);
          CHECK_EQ(seen[value].exchange_acq_rel(1), uint8_t{0});
          CHECK(latest[value / each] < int64_t{value});
          latest[value / each] = value;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (uint32_t i = 0; i < kProducers * each; ++i) CHECK_EQ(seen[i].load_relaxed(), uint8_t{1});
  }
}

}  // namespace heddle::test
