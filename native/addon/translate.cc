#include "addon/translate.h"

#include <cmath>
#include <cstdio>
#include <cstring>

namespace heddle {

namespace {

napi_valuetype type_of(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  return type;
}

std::string number_text(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15g", number);
  return text;
}

bool copy_bytes(const void* data, size_t length, BytesShape shape, Value* out) {
  unsigned char* memory = out->set_bytes(length, shape);
  if (memory == nullptr && length != 0) return false;
  if (length != 0) std::memcpy(memory, data, length);
  return true;
}

// In the order of napi_typedarray_type.
constexpr struct {
  size_t element_bytes;
  BytesShape shape;
} kTypedArrays[] = {
    {1, BytesShape::kInt8Array},         {1, BytesShape::kUint8Array},
    {1, BytesShape::kUint8ClampedArray}, {2, BytesShape::kInt16Array},
    {2, BytesShape::kUint16Array},       {4, BytesShape::kInt32Array},
    {4, BytesShape::kUint32Array},       {4, BytesShape::kFloat32Array},
    {8, BytesShape::kFloat64Array},      {8, BytesShape::kBigInt64Array},
    {8, BytesShape::kBigUint64Array},
};

napi_typedarray_type array_type(BytesShape shape) {
  for (size_t i = 0; i < sizeof kTypedArrays / sizeof *kTypedArrays; ++i) {
    if (kTypedArrays[i].shape == shape) return static_cast<napi_typedarray_type>(i);
  }
  return napi_uint8_array;
}

// Any view, or a whole ArrayBuffer. A view of a detached buffer has length 0.
bool bytes_from_js(napi_env env, napi_value value, Value* out) {
  bool matches = false;
  void* data = nullptr;
  size_t length = 0;
  size_t offset = 0;
  napi_value buffer;
  if (napi_is_typedarray(env, value, &matches) == napi_ok && matches) {
    napi_typedarray_type type;
    if (napi_get_typedarray_info(env, value, &type, &length, &data, &buffer, &offset) != napi_ok) {
      return false;
    }
    const auto& kind = kTypedArrays[type];
    return copy_bytes(data, length * kind.element_bytes, kind.shape, out);
  }
  if (napi_is_dataview(env, value, &matches) == napi_ok && matches) {
    return napi_get_dataview_info(env, value, &length, &data, &buffer, &offset) == napi_ok &&
           copy_bytes(data, length, BytesShape::kDataView, out);
  }
  if (napi_is_arraybuffer(env, value, &matches) == napi_ok && matches) {
    return napi_get_arraybuffer_info(env, value, &data, &length) == napi_ok &&
           copy_bytes(data, length, BytesShape::kArrayBuffer, out);
  }
  return false;
}

bool string_value(napi_env env, napi_value value, Value* out) {
  size_t units = 0;
  if (napi_get_value_string_utf16(env, value, nullptr, 0, &units) != napi_ok) return false;
  std::u16string text(units, u'\0');
  napi_get_value_string_utf16(env, value, text.data(), units + 1, &units);
  unsigned char* memory = out->set_string(units * 2);
  if (memory == nullptr && units != 0) return false;
  if (units != 0) std::memcpy(memory, text.data(), units * 2);
  return true;
}

bool bigint_value(napi_env env, napi_value value, Value* out) {
  size_t words = 0;
  int sign = 0;
  if (napi_get_value_bigint_words(env, value, nullptr, &words, nullptr) != napi_ok) return false;
  std::string storage(words * 8, '\0');
  auto* data = reinterpret_cast<uint64_t*>(storage.data());
  napi_get_value_bigint_words(env, value, &sign, &words, data);
  unsigned char* memory = out->set_bigint(words * 8, sign != 0);
  if (memory == nullptr && words != 0) return false;
  if (words != 0) std::memcpy(memory, storage.data(), words * 8);
  return true;
}

bool any_from_js(napi_env env, napi_value value, Value* out) {
  switch (type_of(env, value)) {
    case napi_undefined:
      return true;
    case napi_null:
      out->set_null();
      return true;
    case napi_boolean: {
      bool boolean = false;
      napi_get_value_bool(env, value, &boolean);
      out->set_boolean(boolean);
      return true;
    }
    case napi_number: {
      double number = 0;
      napi_get_value_double(env, value, &number);
      out->set_number(number);
      return true;
    }
    case napi_bigint:
      return bigint_value(env, value, out);
    case napi_string:
      return string_value(env, value, out);
    case napi_object:
      return bytes_from_js(env, value, out);
    default:
      return false;
  }
}

bool fits_range(const ArgumentSpec& spec, double number) {
  if (std::isnan(number)) return false;
  if (spec.kind == ArgumentKind::kInteger && number != std::floor(number)) return false;
  return (spec.least == 0 && spec.most == 0) || (number >= spec.least && number <= spec.most);
}

std::string expected_text(const ArgumentSpec& spec) {
  switch (spec.kind) {
    case ArgumentKind::kAny:
      return "undefined, null, a boolean, number, bigint or string, or bytes";
    case ArgumentKind::kBoolean:
      return "a boolean";
    case ArgumentKind::kText:
      return "a string";
    case ArgumentKind::kBytes:
      return "bytes (a typed array, a DataView or an ArrayBuffer)";
    default:
      break;
  }
  std::string words = spec.kind == ArgumentKind::kInteger ? "an integer" : "a number";
  if (spec.least == 0 && spec.most == 0) return words + " that is not NaN";
  return words + " from " + number_text(spec.least) + " to " + number_text(spec.most);
}

}  // namespace

std::string describe(napi_env env, napi_value value) {
  double number = 0;
  switch (type_of(env, value)) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return "a boolean";
    case napi_number:
      napi_get_value_double(env, value, &number);
      return number_text(number);
    case napi_string:
      return "a string";
    case napi_symbol:
      return "a symbol";
    case napi_object:
      return "an object";
    case napi_function:
      return "a function";
    case napi_external:
      return "an external";
    case napi_bigint:
      return "a bigint";
  }
  return "something unknown";
}

std::string string_from_js(napi_env env, napi_value value) {
  size_t length = 0;
  napi_get_value_string_utf8(env, value, nullptr, 0, &length);
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
  return text;
}

void throw_coded(napi_env env, const std::string& code, const std::string& message) {
  napi_throw_error(env, code.c_str(), message.c_str());
}

bool value_from_js(napi_env env, napi_value value, const ArgumentSpec& spec, Value* out,
                   std::string* expected) {
  const napi_valuetype type = type_of(env, value);
  if (type == napi_undefined && spec.is_optional) return true;
  bool fits = false;
  switch (spec.kind) {
    case ArgumentKind::kAny:
      fits = true;
      break;
    case ArgumentKind::kNumber:
    case ArgumentKind::kInteger: {
      double number = 0;
      fits = type == napi_number && napi_get_value_double(env, value, &number) == napi_ok &&
             fits_range(spec, number);
      break;
    }
    case ArgumentKind::kBoolean:
      fits = type == napi_boolean;
      break;
    case ArgumentKind::kText:
      fits = type == napi_string;
      break;
    case ArgumentKind::kBytes:
      fits = type == napi_object;
      break;
  }
  if (fits && any_from_js(env, value, out)) return true;
  *expected = expected_text(spec);
  return false;
}

namespace {

napi_value bytes_to_js(napi_env env, const Value& value) {
  const ByteSpan bytes = value.bytes();
  void* data = nullptr;
  napi_value buffer, result;
  if (napi_create_arraybuffer(env, bytes.length, &data, &buffer) != napi_ok) return nullptr;
  if (bytes.length != 0) std::memcpy(data, bytes.data, bytes.length);
  if (value.shape() == BytesShape::kArrayBuffer) return buffer;
  if (value.shape() == BytesShape::kDataView) {
    napi_create_dataview(env, bytes.length, buffer, 0, &result);
    return result;
  }
  const napi_typedarray_type type = array_type(value.shape());
  const size_t count = bytes.length / kTypedArrays[type].element_bytes;
  napi_create_typedarray(env, type, count, buffer, 0, &result);
  return result;
}

void set_string(napi_env env, napi_value object, const char* key, const std::string& text) {
  napi_value value;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  napi_set_named_property(env, object, key, value);
}

}  // namespace

napi_value value_to_js(napi_env env, const Value& value) {
  napi_value result = nullptr;
  const ByteSpan bytes = value.bytes();
  switch (value.kind()) {
    case ValueKind::kUndefined:
      napi_get_undefined(env, &result);
      break;
    case ValueKind::kNull:
      napi_get_null(env, &result);
      break;
    case ValueKind::kBoolean:
      napi_get_boolean(env, value.boolean(), &result);
      break;
    case ValueKind::kNumber:
      napi_create_double(env, value.number(), &result);
      break;
    case ValueKind::kBigint:
      napi_create_bigint_words(env, value.is_negative() ? 1 : 0, bytes.length / 8,
                               reinterpret_cast<const uint64_t*>(bytes.data), &result);
      break;
    case ValueKind::kString:
      napi_create_string_utf16(env, reinterpret_cast<const char16_t*>(bytes.data), bytes.length / 2,
                               &result);
      break;
    case ValueKind::kBytes:
      result = bytes_to_js(env, value);
      break;
  }
  return result;
}

napi_value failure_to_js(napi_env env, const TaskRecord& record) {
  napi_value failure, number;
  napi_create_object(env, &failure);
  set_string(env, failure, "code", record.error_code);
  set_string(env, failure, "message", record.error_message);
  if (record.error_number != 0) {
    napi_create_int32(env, -record.error_number, &number);  // negative, as in Node's errors
    napi_set_named_property(env, failure, "errno", number);
    set_string(env, failure, "syscall", record.error_system_call);
    set_string(env, failure, "path", record.error_path);
  }
  return failure;
}

}  // namespace heddle
