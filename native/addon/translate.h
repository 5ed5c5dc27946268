// The only code that turns JavaScript values into kernel values and back. Always copies: no handle
// of V8 outlives the call, and none is touched off the isolate's thread.
#pragma once

#include <string>

#include <node_api.h>

#include "addon/task_record.h"

namespace heddle {

// False, and what was expected in words, when the value does not fit the specification.
bool value_from_js(napi_env env, napi_value value, const ArgumentSpec& spec, Value* out,
                   std::string* expected);

napi_value value_to_js(napi_env env, const Value& value);

// How a value reads in "got ...".
std::string describe(napi_env env, napi_value value);

// { code, message, errno, syscall, path } of a failed task; lib/task.ts makes the error of it.
napi_value failure_to_js(napi_env env, const TaskRecord& record);

std::string string_from_js(napi_env env, napi_value value);

// Throws an Error with that code; lib/binding.ts turns it into a HeddleError.
void throw_coded(napi_env env, const std::string& code, const std::string& message);

}  // namespace heddle
