// Waits until n things are done. One fiber waits, anyone counts down.
//
// `left_` starts at n + 1: the waiter itself is the last part. Whoever brings it to zero finds the
// wait published, because the waiter counts down only after it has published it.
#pragma once

#include "core/waiter.h"

namespace heddle {

class Scheduler;

class Latch {
 public:
  explicit Latch(uint64_t count) noexcept : left_(count + 1) {}

  // Once for each of the n. The latch may be gone when it returns.
  void count_down(Scheduler& scheduler) noexcept;

  // Once, on a fiber. Compact fibers too, if the latch does not lie on their stack.
  void wait();

 private:
  Atomic<uint64_t> left_;
  Waiter* waiter_ = nullptr;
  uint64_t epoch_ = 0;
};

}  // namespace heddle
