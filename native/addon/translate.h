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

// nullptr if JavaScript refuses the memory; an exception is then pending.
napi_value decode(napi_env env, const Value& value);

std::string string_from_js(napi_env env, napi_value value);
napi_value string_to_js(napi_env env, const std::string& text);
void set_number(napi_env env, napi_value object, const char* key, double number);

}  // namespace heddle
