// The only code that turns JavaScript values into native ones and back. Always copies: no handle of
// V8 outlives the call, and none is touched off the isolate's thread.
#pragma once

#include <string>

#include <node_api.h>

#include "kernels/kernel.h"

namespace heddle {

// Why a value was refused: an error code, and the words of its message.
struct Refusal {
  const char* code = nullptr;
  std::string expected;
  std::string got;
};

// False, with the reason, when the value is not what `spec` describes.
bool encode(napi_env env, napi_value value, const ArgumentSpec& spec, Value* out, Refusal* refusal);

// Whether a value that did not come through encode is what `spec` describes, and the words if not.
bool fits(const ArgumentSpec& spec, const Value& value);
void describe_refusal(napi_env env, napi_value value, const ArgumentSpec& spec, Refusal* refusal);

// Bytes that are given away: as a block of ours, if the view begins where one does, else copied
// into one. What the buffer knew of the block is in *leaving, until the caller has said whether it
// leaves. nullptr, or the code of an error.
const char* encode_moved(napi_env env, napi_value value, bool is_block, Value* out,
                         Block::Exposure** leaving);

// nullptr if JavaScript refuses the memory; an exception is then pending.
napi_value decode(napi_env env, const Value& value);

// The time that is so many milliseconds from now.
uint64_t deadline_after(double ms) noexcept;

napi_value number_to_js(napi_env env, double number);
napi_value boolean_to_js(napi_env env, bool truth);
std::string string_from_js(napi_env env, napi_value value);
napi_value string_to_js(napi_env env, const std::string& text);
void set_number(napi_env env, napi_value object, const char* key, double number);

}  // namespace heddle
