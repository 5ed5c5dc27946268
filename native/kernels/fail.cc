// fail(message): throws std::runtime_error; with a number, throws that number, which is no
// std::exception. Shows what becomes of a kernel's exceptions.
#include <stdexcept>

#include "kernels/kernel.h"

namespace heddle {

namespace {
void run(KernelCall& call) {
  if (call.at(0).kind() == ValueKind::kString) throw std::runtime_error(call.at(0).utf8());
  throw static_cast<int>(call.at(0).kind() == ValueKind::kNumber ? call.number(0) : 0);
}
}  // namespace

const Kernel kFailKernel = {
    "fail", run, StackClass::kStandard, 1, {{"message", ArgumentKind::kAny}}};

}  // namespace heddle
