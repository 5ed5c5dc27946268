// A channel that sizes itself: it grows while senders and receivers wait for each other by turns,
// and shrinks when it has long been nearly empty.
#include "heddle/heddle.h"
#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

ChannelCore* make(uint32_t capacity, uint32_t max_capacity) {
  ChannelOptions options;
  options.capacity = capacity;
  options.max_capacity = max_capacity;
  return ChannelCore::create(options);
}

Cell cell_of(uint64_t value) {
  Cell cell{};
  std::memcpy(cell.bytes, &value, sizeof value);
  return cell;
}

uint64_t value_of(const Cell& cell) {
  uint64_t value;
  std::memcpy(&value, cell.bytes, sizeof value);
  return value;
}

// Sends until it is full, then receives until it is empty; values stay in order.
uint32_t fill_and_empty(ChannelCore* channel, uint64_t* next_in, uint64_t* next_out) {
  while (channel->try_send(cell_of(*next_in)) == Readiness::kDone) ++*next_in;
  const uint32_t reached = channel->capacity();
  Cell cell;
  while (channel->try_receive(&cell) == Readiness::kDone) CHECK_EQ(value_of(cell), (*next_out)++);
  return reached;
}

}  // namespace

TEST_CASE("a channel that is full and empty by turns doubles up to its maximum") {
  ChannelCore* channel = make(1, 10);
  uint64_t next_in = 0, next_out = 0;
  const uint32_t expected[] = {1, 2, 4, 8, 10, 10};
  for (const uint32_t capacity : expected) {
    CHECK_EQ(fill_and_empty(channel, &next_in, &next_out), capacity);
  }
  CHECK_EQ(next_out, next_in);
  channel->release();
}

TEST_CASE("a channel whose receiver is slower than its sender stays as it is") {
  ChannelCore* channel = make(4, 64);
  Cell cell;
  for (uint64_t i = 0; i < 1'000; ++i) {
    while (channel->try_send(cell_of(i)) == Readiness::kDone) {
    }
    CHECK_EQ(channel->try_receive(&cell), Readiness::kDone);
  }
  CHECK_EQ(channel->capacity(), 4u);
  channel->release();
}

TEST_CASE("a rendezvous may become a buffer") {
  ChannelCore* channel = make(0, 4);
  uint64_t next_in = 0, next_out = 0;
  CHECK_EQ(fill_and_empty(channel, &next_in, &next_out), 0u);
  CHECK_EQ(fill_and_empty(channel, &next_in, &next_out), 1u);
  channel->release();
}

TEST_CASE("a channel that has long been nearly empty gives its memory back, and keeps the order") {
  ChannelCore* channel = make(2, 64);
  uint64_t next_in = 0, next_out = 0;
  for (int i = 0; i < 6; ++i) fill_and_empty(channel, &next_in, &next_out);
  CHECK_EQ(channel->capacity(), 64u);
  Cell cell;
  for (int i = 0; i < 10'000; ++i) {
    CHECK_EQ(channel->try_send(cell_of(next_in++)), Readiness::kDone);
    CHECK_EQ(channel->try_receive(&cell), Readiness::kDone);
    CHECK_EQ(value_of(cell), next_out++);
  }
  CHECK(channel->capacity() <= 4u);
  CHECK(channel->capacity() >= 2u);
  channel->release();
}

TEST_CASE("a channel without a maximum keeps its capacity") {
  ChannelCore* channel = make(3, 0);
  uint64_t next_in = 0, next_out = 0;
  for (int i = 0; i < 5; ++i) CHECK_EQ(fill_and_empty(channel, &next_in, &next_out), 3u);
  channel->release();
}

}  // namespace heddle::test
