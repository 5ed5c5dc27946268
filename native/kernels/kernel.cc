#include "kernels/kernel.h"

#include <cmath>

#include "os/os.h"

namespace heddle {

namespace {
const Kernel* const kKernels[] = {
    &kNoopKernel,    &kSleepKernel,      &kSpinKernel,       &kFibKernel,      &kSha256Kernel,
    &kCrc32Kernel,   &kReadFileKernel,   &kEchoKernel,       &kFailKernel,     &kProduceKernel,
    &kConsumeKernel, &kRelayKernel,      &kPingPongKernel,   &kMapBytesKernel, &kListenKernel,
    &kAdoptKernel,   &kDialKernel,       &kAcceptKernel,     &kReadKernel,     &kWriteKernel,
    &kEndKernel,     &kEchoServerKernel, &kProxyServerKernel};
}  // namespace

const Kernel& kernel_at(uint32_t id) noexcept { return *kKernels[id]; }
uint32_t kernel_count() noexcept { return sizeof kKernels / sizeof *kKernels; }

uint64_t nanoseconds_from_ms(double ms) noexcept {
  constexpr double kHuge = 9.2e18;  // ns, 292 years: below it the conversion is exact enough
  const double ns = std::ceil(ms * 1e6);
  if (!(ns > 0)) return 0;
  return ns >= kHuge ? os::kNever : static_cast<uint64_t>(ns);
}

}  // namespace heddle
