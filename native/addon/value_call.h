// How calls from JavaScript give values.
#pragma once

#include "addon/environment.h"

namespace heddle {

// lib/waits.ts has them as well.
enum class Mode : uint32_t {
  kNone,
  kNumber,  // a number; also a count of permits, or 1 for a writer
  kAny,     // what translate.cc can copy
  kOutbox,  // a message of so many bytes in the outbox
  kBytes,   // a message in a Uint8Array
  kHandle,  // a handle, by its number
  kMoved,   // a view of a block of ours
  kCopied,  // a view of other memory, which goes into a block
};

// False with an exception pending.
bool read_value(const JsCall& call, Mode mode, napi_value given, Value* out);

}  // namespace heddle
