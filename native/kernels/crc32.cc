// crc32(bytes): the checksum of gzip and PNG (RFC 1952), as an unsigned number. zlib is the one
// that Node contains.
#include <zlib.h>

#include "core/park.h"
#include "kernels/kernel.h"

namespace heddle {

namespace {

constexpr size_t kStepBytes = 256 * 1024;

void run(KernelCall& call) {
  const ByteSpan bytes = call.bytes(0);
  uLong crc = crc32(0, nullptr, 0);
  for (size_t done = 0; done < bytes.length; done += kStepBytes) {
    const size_t left = bytes.length - done;
    const size_t step = left < kStepBytes ? left : kStepBytes;
    crc = crc32(crc, bytes.data + done, static_cast<uInt>(step));
    checkpoint();
  }
  call.result().set_number(static_cast<double>(crc));
}

}  // namespace

const Kernel kCrc32Kernel = {
    "crc32", run, StackClass::kStandard, 1, {{"bytes", ArgumentKind::kBytes}}};

}  // namespace heddle
