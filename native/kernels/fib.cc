// fib(n): the n-th Fibonacci number by naive recursion, n stack frames deep; it shows what deep
// recursion does to a fiber's stack. The time grows as 1.6 to the n.
#include "core/park.h"
#include "kernels/kernel.h"

namespace heddle {

namespace {

constexpr uint32_t kCheckpointAt = 20;  // a subtree of some 20,000 calls, about 50 µs

__attribute__((noinline, noclone)) double fib(uint32_t n) {
  if (n < 2) return n;
  if (n == kCheckpointAt) checkpoint();
  return fib(n - 1) + fib(n - 2);
}

void run(KernelCall& call) { call.result().set_number(fib(static_cast<uint32_t>(call.number(0)))); }

}  // namespace

const Kernel kFibKernel = {
    "fib", run, StackClass::kStandard, 1, {{"n", ArgumentKind::kInteger, 0, 4e9}}};

}  // namespace heddle
