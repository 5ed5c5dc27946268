// "moodycamel queue" in `heddle bench`: C. Desrochers's lock-free queue between OS threads, the way
// `pthread queue` is measured. Never part of the addon: built from the header that the system has.
//
//   moodycamel-peer channel n=500000 senders=4 receivers=4 capacity=128 processors=2
//
// Always true here: one process measures one thing once and prints one JSON object.
//
// Its best known setting: a token per producer and per consumer. One producer takes try_enqueue,
// which keeps to about the capacity (blocks of 32 items). Several take enqueue, which has no limit:
// with try_enqueue some starve for ever, since a producer keeps the blocks that it once got, and
// without tokens, or stopping at size_approx(), they were slower.
#if __has_include(<concurrentqueue/concurrentqueue.h>)
#include <concurrentqueue/concurrentqueue.h>
#elif __has_include(<concurrentqueue/moodycamel/concurrentqueue.h>)
#include <concurrentqueue/moodycamel/concurrentqueue.h>
#else
#error "no concurrentqueue.h (Debian: libconcurrentqueue-dev)"
#endif

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

using Items = moodycamel::ConcurrentQueue<uint64_t>;
using Params = std::map<std::string, uint64_t>;

// The calling thread, and those that it starts from now on, run on so many CPUs at most.
void use_cpus(uint64_t count) {
  cpu_set_t usable;
  cpu_set_t chosen;
  if (sched_getaffinity(0, sizeof usable, &usable) != 0) return;
  CPU_ZERO(&chosen);
  for (int cpu = 0; cpu < CPU_SETSIZE && count > 0; ++cpu) {
    if (!CPU_ISSET(cpu, &usable)) continue;
    CPU_SET(cpu, &chosen);
    --count;
  }
  sched_setaffinity(0, sizeof chosen, &chosen);
}

class Transfer {
 public:
  Transfer(uint64_t each, uint64_t senders, uint64_t capacity)
      : each_(each), is_bounded_(senders == 1), items_(capacity, senders, 0) {}

  void send() {
    wait_at_gate();
    const moodycamel::ProducerToken token(items_);
    for (uint64_t item = 1; item <= each_; ++item) {
      put(token, item);
    }
  }

  void receive() {
    wait_at_gate();
    moodycamel::ConsumerToken token(items_);
    uint64_t sum = 0;
    for (bool last = false;;) {
      for (uint64_t item; items_.try_dequeue(token, item);) sum += item;
      if (last) break;
      last = ended_.load(std::memory_order_acquire);
      if (!last) std::this_thread::yield();
    }
    sum_.fetch_add(sum, std::memory_order_relaxed);
  }

  // Returns ns from the opening of the gate until all items have arrived, or -1 if some have not.
  double run(uint64_t senders, uint64_t receivers) {
    std::vector<std::thread> sending;
    std::vector<std::thread> receiving;
    for (uint64_t i = 0; i < senders; ++i) sending.emplace_back([this] { send(); });
    for (uint64_t i = 0; i < receivers; ++i) receiving.emplace_back([this] { receive(); });
    while (waiting_.load(std::memory_order_acquire) != senders + receivers) {
      std::this_thread::yield();
    }
    const auto began = std::chrono::steady_clock::now();
    open_.store(true, std::memory_order_release);
    for (std::thread& each : sending) each.join();
    ended_.store(true, std::memory_order_release);
    for (std::thread& each : receiving) each.join();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
    return sum_.load() == senders * (each_ * (each_ + 1) / 2) ? took.count() : -1;
  }

 private:
  void put(const moodycamel::ProducerToken& token, uint64_t item) {
    if (is_bounded_) {
      while (!items_.try_enqueue(token, item)) std::this_thread::yield();
    } else if (!items_.enqueue(token, item)) {
      std::abort();  // the system refuses memory
    }
  }

  void wait_at_gate() {
    waiting_.fetch_add(1, std::memory_order_acq_rel);
    while (!open_.load(std::memory_order_acquire)) std::this_thread::yield();
  }

  const uint64_t each_;
  const bool is_bounded_;
  Items items_;
  std::atomic<uint64_t> sum_{0};
  std::atomic<uint64_t> waiting_{0};
  std::atomic<bool> open_{false};
  std::atomic<bool> ended_{false};
};

int channel(Params params) {
  const uint64_t senders = params["senders"];
  const uint64_t each = std::max<uint64_t>(params["n"] / senders, 1);
  use_cpus(params["processors"]);
  Transfer transfer(each, senders, params["capacity"]);
  const double ns = transfer.run(senders, params["receivers"]);
  if (ns < 0) {
    std::fprintf(stderr, "items were lost or came twice on their way\n");
    return 1;
  }
  std::printf("{\"nsPerItem\":%.3f}\n", ns / static_cast<double>(each * senders));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Params params{{"n", 0}, {"senders", 1}, {"receivers", 1}, {"capacity", 128}, {"processors", 1}};
  bool is_usable = argc > 1 && std::strcmp(argv[1], "channel") == 0;
  for (int i = 2; i < argc; ++i) {
    const std::string argument(argv[i]);
    const size_t equals = argument.find('=');
    if (equals == std::string::npos) {
      is_usable = false;
      continue;
    }
    params[argument.substr(0, equals)] = std::strtoull(argv[i] + equals + 1, nullptr, 10);
  }
  if (!is_usable || params["senders"] == 0) {
    std::fprintf(stderr, "expected: channel n=<items> senders= receivers= capacity= processors=\n");
    return 2;
  }
  return channel(params);
}
