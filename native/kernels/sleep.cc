// sleep(ms): parks; never early, negative is 0, a duration beyond 292 years never ends.
#include <limits>

#include "core/park.h"
#include "kernels/kernel.h"

namespace heddle {

namespace {
constexpr double kInfinity = std::numeric_limits<double>::infinity();
void run(KernelCall& call) { sleep_for(nanoseconds_from_ms(call.number(0))); }
}  // namespace

const Kernel kSleepKernel = {
    "sleep", run, StackClass::kCompact, 1, {{"ms", ArgumentKind::kNumber, -kInfinity, kInfinity}}};

}  // namespace heddle
