// What the initial size of a stack costs: time to create a unit that has one, how deep a recursion
// fits into it, and what it holds.
#include <algorithm>

#include "bench.h"
#include "threads.h"

namespace heddle::bench {

namespace {

// A frame of a usual size, that the compiler can neither remove nor turn into a loop.
__attribute__((noinline)) uint64_t descend(uint64_t depth, const char* floor) {
  volatile char local[64];
  local[0] = static_cast<char>(depth);
  if (const_cast<const char*>(local) <= floor) return depth;
  const uint64_t reached = descend(depth + 1, floor);
  local[1] = static_cast<char>(reached);
  return reached;
}

// How deep `descend` gets until it is one kilobyte above the lowest address of the stack.
uint64_t depth_above(const void* bottom) {
  constexpr size_t kReserve = 1024;
  return descend(0, static_cast<const char*>(bottom) + kReserve);
}

Result thread_stacks(size_t bytes, uint64_t n) {
  Result result;
  const os::MemoryUse before = os::memory_use();
  const uint64_t began = os::now_ns();
  ParkedThreads threads(n, bytes);
  const uint64_t created = os::now_ns();
  const os::MemoryUse during = os::memory_use();
  const double count = static_cast<double>(std::max<uint64_t>(threads.started(), 1));
  if (threads.error() != 0) {
    note_failure(result, FailedAt{threads.started(), refusal(threads.error())});
  }
  threads.release();
  result["nsPerCreate"] = static_cast<double>(created - began) / count;
  result["bytesPerUnit"] =
      static_cast<double>(during.resident_bytes - before.resident_bytes) / count;
  uint64_t depth = 0;
  os::Thread thread;
  const int error = os::start_thread(
      &thread, "heddle-bench", bytes,
      [](void* reached) {
        *static_cast<uint64_t*>(reached) = depth_above(os::thread_stack_bounds().bottom);
      },
      &depth);
  if (error == 0) os::join_thread(thread);
  result["recursionDepth"] = static_cast<double>(depth);
  return result;
}

}  // namespace

Result stack(Scheduler& scheduler, const Params& params) {
  const auto bytes = static_cast<size_t>(number(params, "stackSize"));
  const auto n = static_cast<uint64_t>(number(params, "n"));
  if (text(params, "impl", "fiber") == "pthread") return thread_stacks(bytes, n);
  Result result;
  run_on_fiber(scheduler, [&] {
    SpawnOptions options;
    options.stack_bytes = bytes;
    const os::MemoryUse before = os::memory_use();
    // All are alive at once, parked, so each has a stack of its own.
    Latch parked(n);
    Latch done(n);
    Atomic<uint32_t> open{0};
    const uint64_t began = os::now_ns();
    for (uint64_t i = 0; i < n; ++i) {
      scheduler.go(
          [&scheduler, &parked, &done, &open] {
            parked.count_down(scheduler);
            while (open.load_acquire() == 0) sleep_for(1'000'000);
            done.count_down(scheduler);
          },
          options);
    }
    parked.wait();
    const uint64_t created = os::now_ns();
    const os::MemoryUse during = os::memory_use();
    open.store_release(1);
    done.wait();
    result["nsPerCreate"] = static_cast<double>(created - began) / static_cast<double>(n);
    result["bytesPerUnit"] =
        static_cast<double>(during.resident_bytes - before.resident_bytes) / static_cast<double>(n);
    Latch measured(1);
    double depth = 0;
    scheduler.go(
        [&scheduler, &measured, &depth] {
          depth = static_cast<double>(depth_above(Machine::current()->stack->bottom));
          measured.count_down(scheduler);
        },
        options);
    measured.wait();
    result["recursionDepth"] = depth;
  });
  return result;
}

}  // namespace heddle::bench
