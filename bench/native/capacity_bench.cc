// What the capacity of a channel does beside its throughput: how long an item is on its way, and
// what a full channel keeps alive. Measured apart from throughput, which has no clock in its loop.
#include <algorithm>
#include <cstring>

#include "bench.h"
#include "crew.h"
#include "heddle/heddle.h"

namespace heddle::bench {

namespace {

// Every so manyth item carries the time of its send. A prime, so that the samples come from all
// places of a buffer whose size is a power of two.
constexpr uint64_t kStride = 61;

constexpr size_t kMessageBytes = 1024;

double percentile(Numbers* sorted, double share) {
  const auto last = static_cast<double>(sorted->size() - 1);
  return (*sorted)[static_cast<size_t>(share * last)];
}

uint64_t resident_bytes() {
  const os::MemoryUse use = os::memory_use();
  return use.resident_bytes + use.page_table_bytes;
}

// Resident bytes that `count` channels keep alive while they are full, each.
template <typename T, typename Make>
double bytes_each(uint64_t count, uint32_t capacity, std::vector<Channel<T>>* channels,
                  const Make& make) {
  channels->reserve(count);
  const uint64_t before = resident_bytes();
  for (uint64_t i = 0; i < count; ++i) {
    Channel<T>& full = channels->emplace_back(capacity);
    for (uint32_t place = 0; place < capacity; ++place) full.send(make());
  }
  return static_cast<double>(resident_bytes() - before) / static_cast<double>(count);
}

}  // namespace

// One unit sends n items to another as fast as the channel takes them; a sample lasts from before
// its send until after its receive.
Result channel_latency(Scheduler& scheduler, const Params& params) {
  const auto n = static_cast<uint64_t>(number(params, "n"));
  const auto capacity = static_cast<uint32_t>(number(params, "capacity"));
  Numbers delays;
  delays.reserve(n / kStride + 1);
  run_with(scheduler, params, [&] {
    Channel<uint64_t> items(capacity);
    Crew both(scheduler, unit_kind(params));
    both.add([items, n]() mutable {
      for (uint64_t i = 0; i < n; ++i) items.send(i % kStride == 0 ? os::now_ns() : 0);
      items.close();
    });
    both.add([items, &delays]() mutable {
      for (uint64_t sent; items.recv(&sent) == WaitStatus::kDone;) {
        if (sent != 0) delays.push_back(static_cast<double>(os::now_ns() - sent));
      }
    });
    both.begin();
    both.join();
  });
  std::sort(delays.begin(), delays.end());
  return Result{{"medianNs", percentile(&delays, 0.5)}, {"p99Ns", percentile(&delays, 0.99)}};
}

// `channels` full of numbers, and then `messageChannels` more full of pointers to messages of 1
// KiB: so many that whole pages tell something about one.
Result channel_memory(Scheduler&, const Params& params) {
  const auto capacity = static_cast<uint32_t>(number(params, "capacity"));
  const auto of_numbers = static_cast<uint64_t>(number(params, "channels"));
  const auto of_messages = static_cast<uint64_t>(number(params, "messageChannels"));
  std::vector<Channel<uint64_t>> numbers;
  std::vector<Channel<unsigned char*>> messages;
  Result result;
  result["numberBytes"] = bytes_each(of_numbers, capacity, &numbers, [] { return uint64_t{1}; });
  result["messageBytes"] = bytes_each(of_messages, capacity, &messages, [] {
    auto* message = new unsigned char[kMessageBytes];
    std::memset(message, 1, kMessageBytes);
    return message;
  });
  for (Channel<unsigned char*>& each : messages) {
    for (unsigned char* message; each.try_recv(&message) == Readiness::kDone;) delete[] message;
  }
  return result;
}

}  // namespace heddle::bench
