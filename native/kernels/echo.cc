// echo(value): gives its argument back, after a copy in each direction.
#include <cstring>
#include <new>

#include "kernels/kernel.h"

namespace heddle {

namespace {

void copy_memory(unsigned char* to, ByteSpan from) {
  if (to == nullptr) throw std::bad_alloc();
  std::memcpy(to, from.data, from.length);
}

void run(KernelCall& call) {
  if (!call.has(0)) return;
  const Value& value = call.at(0);
  Value& result = call.result();
  const ByteSpan bytes = value.bytes();
  switch (value.kind()) {
    case ValueKind::kUndefined:
      break;
    case ValueKind::kNull:
      result.set_null();
      break;
    case ValueKind::kBoolean:
      result.set_boolean(value.boolean());
      break;
    case ValueKind::kNumber:
      result.set_number(value.number());
      break;
    case ValueKind::kBigint:
      copy_memory(result.set_bigint(bytes.length, value.is_negative()), bytes);
      break;
    case ValueKind::kString:
      copy_memory(result.set_string(bytes.length), bytes);
      break;
    case ValueKind::kBytes:
      copy_memory(result.set_bytes(bytes.length, value.shape()), bytes);
      break;
    case ValueKind::kBlock:
      value.block()->retain();
      result.set_block(value.block(), bytes.length, value.shape());
      break;
    case ValueKind::kHandle:
      result.set_handle(value.handle());
      break;
    case ValueKind::kMessage: {
      uint32_t count = 0;
      const HandleRef* handles = value.handles(&count);
      copy_memory(result.set_message(bytes.length, handles, count), bytes);
      break;
    }
  }
}

}  // namespace

const Kernel kEchoKernel = {
    "echo", run, StackClass::kStandard, 1, {{"value", ArgumentKind::kAny, 0, 0, true}}};

}  // namespace heddle
