// spin(ms, checkpoints = false): computes for a time and returns how many turns of its loop it
// made. Without checkpoints it is a hog: it never lets others run, and nothing but its end can stop
// it.
#include "core/park.h"
#include "kernels/kernel.h"
#include "os/os.h"

namespace heddle {

namespace {

constexpr double kHourMs = 3'600'000;
constexpr int kTurnsPerLook = 256;  // at the clock: well below 1 ms

void run(KernelCall& call) {
  const bool checkpoints = call.has(1) && call.at(1).boolean();
  const uint64_t until = os::now_ns() + nanoseconds_from_ms(call.number(0));
  uint64_t turns = 0;
  do {
    for (int i = 0; i < kTurnsPerLook; ++i) spin_hint();
    turns += kTurnsPerLook;
    if (checkpoints) checkpoint();
  } while (os::now_ns() < until);
  call.result().set_number(static_cast<double>(turns));
}

}  // namespace

const Kernel kSpinKernel = {"spin",
                            run,
                            StackClass::kStandard,
                            2,
                            {{"ms", ArgumentKind::kNumber, 0, kHourMs},
                             {"checkpoints", ArgumentKind::kBoolean, 0, 0, true}}};

}  // namespace heddle
