#include "addon/translate.h"

#include <cmath>
#include <cstdio>
#include <cstring>

#include "os/os.h"

namespace heddle {

namespace {

constexpr const char* kBytesWords =
    "a Uint8Array, another typed array, a DataView or an ArrayBuffer";
constexpr const char* kAnyWords =
    "a number, boolean, null, undefined, bigint, string or bytes (typed array, ArrayBuffer)";

struct Element {
  napi_typedarray_type type;
  BytesShape shape;
  size_t bytes;
};
constexpr Element kElements[] = {
    {napi_uint8_array, BytesShape::kUint8Array, 1},
    {napi_uint8_clamped_array, BytesShape::kUint8ClampedArray, 1},
    {napi_int8_array, BytesShape::kInt8Array, 1},
    {napi_uint16_array, BytesShape::kUint16Array, 2},
    {napi_int16_array, BytesShape::kInt16Array, 2},
    {napi_uint32_array, BytesShape::kUint32Array, 4},
    {napi_int32_array, BytesShape::kInt32Array, 4},
    {napi_float32_array, BytesShape::kFloat32Array, 4},
    {napi_float64_array, BytesShape::kFloat64Array, 8},
    {napi_bigint64_array, BytesShape::kBigInt64Array, 8},
    {napi_biguint64_array, BytesShape::kBigUint64Array, 8},
};

std::string number_words(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  char words[32];
  std::snprintf(words, sizeof words, "%.15g", number);
  return words;
}

std::string range_words(const ArgumentSpec& spec) {
  std::string words = spec.kind == ArgumentKind::kInteger ? "an integer" : "a number";
  if (std::isinf(spec.most)) return words + " that is not NaN";
  return words + " from " + number_words(spec.least) + " to " + number_words(spec.most);
}

std::string expectation(const ArgumentSpec& spec) {
  switch (spec.kind) {
    case ArgumentKind::kNumber:
    case ArgumentKind::kInteger:
      return range_words(spec);
    case ArgumentKind::kBoolean:
      return "a boolean";
    case ArgumentKind::kText:
      return "a string without null characters";
    case ArgumentKind::kBytes:
      return kBytesWords;
    case ArgumentKind::kChannel:
      return "a Channel";
    case ArgumentKind::kSocket:
      return "a Conn or Listener";
    case ArgumentKind::kAny:
      break;
  }
  return kAnyWords;
}

const char* object_words(napi_env env, napi_value value) {
  bool yes = false;
  if (napi_is_array(env, value, &yes) == napi_ok && yes) return "an array";
  if (napi_is_promise(env, value, &yes) == napi_ok && yes) return "a promise (await it first)";
  if (napi_is_date(env, value, &yes) == napi_ok && yes) return "a Date";
  if (napi_is_error(env, value, &yes) == napi_ok && yes) return "an Error";
  if (napi_is_typedarray(env, value, &yes) == napi_ok && yes) return "a typed array";
  if (napi_is_arraybuffer(env, value, &yes) == napi_ok && yes) return "an ArrayBuffer";
  return "an object";
}

std::string description(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  switch (type) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return "a boolean";
    case napi_number: {
      double number = 0;
      napi_get_value_double(env, value, &number);
      return number_words(number);
    }
    case napi_string:
      return "a string";
    case napi_symbol:
      return "a symbol";
    case napi_function:
      return "a function";
    case napi_bigint:
      return "a bigint";
    case napi_object:
    case napi_external:
      break;
  }
  return object_words(env, value);
}

// How one attempt to encode ended.
enum class Encoding : uint8_t { kDone, kMismatch, kDetached, kIsShared, kNoMemory };

Encoding copy_bytes(ByteSpan from, BytesShape shape, Value* out) {
  unsigned char* to = out->set_bytes(from.length, shape);
  if (to == nullptr) return Encoding::kNoMemory;
  if (from.length != 0) std::memcpy(to, from.data, from.length);
  return Encoding::kDone;
}

// A view of a detached buffer looks empty; taking it for empty bytes would hide a mistake.
bool is_detached(napi_env env, napi_value buffer) {
  bool detached = false;
  return napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok && detached;
}

// What a view shows of which buffer.
struct View {
  napi_value buffer;
  unsigned char* data;
  size_t length;
  BytesShape shape;
};

Encoding look_at_bytes(napi_env env, napi_value value, View* view) {
  bool matches = false;
  void* data = nullptr;
  napi_value buffer = value;
  size_t length = 0, offset = 0;
  BytesShape shape = BytesShape::kArrayBuffer;
  if (napi_is_typedarray(env, value, &matches) == napi_ok && matches) {
    napi_typedarray_type type = napi_uint8_array;
    if (napi_get_typedarray_info(env, value, &type, &length, &data, &buffer, &offset) != napi_ok) {
      return Encoding::kMismatch;
    }
    const Element* element = nullptr;
    for (const Element& each : kElements) {
      if (each.type == type) element = &each;
    }
    if (element == nullptr) return Encoding::kMismatch;
    length *= element->bytes;
    shape = element->shape;
  } else if (napi_is_dataview(env, value, &matches) == napi_ok && matches) {
    shape = BytesShape::kDataView;
    if (napi_get_dataview_info(env, value, &length, &data, &buffer, &offset) != napi_ok) {
      return Encoding::kMismatch;
    }
  } else if (napi_is_arraybuffer(env, value, &matches) != napi_ok || !matches ||
             napi_get_arraybuffer_info(env, value, &data, &length) != napi_ok) {
    return Encoding::kMismatch;
  }
  if (length == 0 && is_detached(env, buffer)) return Encoding::kDetached;
  *view = View{buffer, static_cast<unsigned char*>(data), length, shape};
  return Encoding::kDone;
}

// Who gives memory that is shared expects it to be shared, which Node-API cannot do; a kernel reads
// any bytes.
Encoding encode_bytes(napi_env env, napi_value value, const ArgumentSpec& spec, Value* out) {
  View view;
  const Encoding encoding = look_at_bytes(env, value, &view);
  if (encoding != Encoding::kDone) return encoding;
  bool is_own = false;
  if (spec.kind == ArgumentKind::kAny &&
      (napi_is_arraybuffer(env, view.buffer, &is_own) != napi_ok || !is_own)) {
    return Encoding::kIsShared;
  }
  return copy_bytes({view.data, view.length}, view.shape, out);
}

Encoding encode_string(napi_env env, napi_value value, Value* out) {
  size_t units = 0;
  napi_get_value_string_utf16(env, value, nullptr, 0, &units);
  // Node-API ends the string with a zero unit, which is then not counted.
  unsigned char* memory = out->set_string((units + 1) * sizeof(char16_t));
  if (memory == nullptr) return Encoding::kNoMemory;
  napi_get_value_string_utf16(env, value, reinterpret_cast<char16_t*>(memory), units + 1, &units);
  out->shorten(units * sizeof(char16_t));
  return Encoding::kDone;
}

Encoding encode_bigint(napi_env env, napi_value value, Value* out) {
  size_t words = 0;
  int sign = 0;
  napi_get_value_bigint_words(env, value, nullptr, &words, nullptr);
  unsigned char* memory = out->set_bigint((words != 0 ? words : 1) * sizeof(uint64_t), false);
  if (memory == nullptr) return Encoding::kNoMemory;
  napi_get_value_bigint_words(env, value, &sign, &words, reinterpret_cast<uint64_t*>(memory));
  out->shorten(words * sizeof(uint64_t));
  if (sign != 0) out->negate();
  return Encoding::kDone;
}

Encoding encode_any(napi_env env, napi_value value, napi_valuetype type, const ArgumentSpec& spec,
                    Value* out) {
  switch (type) {
    case napi_undefined:
      out->clear();
      return Encoding::kDone;
    case napi_null:
      out->set_null();
      return Encoding::kDone;
    case napi_boolean: {
      bool truth = false;
      napi_get_value_bool(env, value, &truth);
      out->set_boolean(truth);
      return Encoding::kDone;
    }
    case napi_number: {
      double number = 0;
      napi_get_value_double(env, value, &number);
      out->set_number(number);
      return Encoding::kDone;
    }
    case napi_string:
      return encode_string(env, value, out);
    case napi_bigint:
      return encode_bigint(env, value, out);
    case napi_object:
      return encode_bytes(env, value, spec, out);
    default:
      return Encoding::kMismatch;
  }
}

bool has_null(const Value& text) {
  const ByteSpan units = text.bytes();
  for (size_t i = 0; i + 1 < units.length; i += 2) {
    if (units.data[i] == 0 && units.data[i + 1] == 0) return true;
  }
  return false;
}

}  // namespace

bool fits(const ArgumentSpec& spec, const Value& value) {
  switch (spec.kind) {
    case ArgumentKind::kAny:
      return true;
    case ArgumentKind::kBoolean:
      return value.kind() == ValueKind::kBoolean;
    case ArgumentKind::kText:
      return value.kind() == ValueKind::kString && !has_null(value);
    case ArgumentKind::kBytes:
      return value.is_bytes();
    case ArgumentKind::kChannel:
      return value.kind() == ValueKind::kHandle && value.handle().kind == HandleKind::kChannel;
    case ArgumentKind::kSocket:
      return value.kind() == ValueKind::kHandle && value.handle().kind == HandleKind::kSocket;
    case ArgumentKind::kNumber:
    case ArgumentKind::kInteger:
      break;
  }
  if (value.kind() != ValueKind::kNumber) return false;
  const double number = value.number();
  if (spec.kind == ArgumentKind::kInteger && std::trunc(number) != number) return false;
  return number >= spec.least && number <= spec.most;
}

bool encode(napi_env env, napi_value value, const ArgumentSpec& spec, Value* out,
            Refusal* refusal) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  if (type == napi_undefined && spec.is_optional) {
    out->clear();
    return true;
  }
  const Encoding encoding = encode_any(env, value, type, spec, out);
  if (encoding == Encoding::kDone && fits(spec, *out)) return true;
  const bool any = spec.kind == ArgumentKind::kAny;
  refusal->code = encoding == Encoding::kNoMemory ? "ERR_HEDDLE_MEMORY"
                  : any                           ? "ERR_HEDDLE_VALUE"
                                                  : "ERR_HEDDLE_ARGUMENT";
  refusal->expected = expectation(spec);
  refusal->got = description(env, value);
  if (encoding == Encoding::kDetached) refusal->got += " whose memory was transferred away";
  if (encoding == Encoding::kIsShared) refusal->got += " on a SharedArrayBuffer";
  if (spec.kind == ArgumentKind::kText && type == napi_string) refusal->got += " with one";
  return false;
}

namespace {

napi_value view_of(napi_env env, napi_value buffer, const Value& value) {
  napi_value view = nullptr;
  const size_t length = value.bytes().length;
  if (value.shape() == BytesShape::kArrayBuffer) return buffer;
  if (value.shape() == BytesShape::kDataView) {
    napi_create_dataview(env, length, buffer, 0, &view);
    return view;
  }
  for (const Element& each : kElements) {
    if (each.shape != value.shape()) continue;
    napi_create_typedarray(env, each.type, length / each.bytes, buffer, 0, &view);
  }
  return view;
}

napi_value decode_bytes(napi_env env, const Value& value) {
  const ByteSpan bytes = value.bytes();
  void* memory = nullptr;
  napi_value buffer = nullptr;
  if (napi_create_arraybuffer(env, bytes.length, &memory, &buffer) != napi_ok) return nullptr;
  if (bytes.length != 0) std::memcpy(memory, bytes.data, bytes.length);
  return view_of(env, buffer, value);
}

// Where external memory is refused (a heap in a cage) it is copied.
napi_value decode_block(napi_env env, const Value& value) {
  Block* const block = value.block();
  napi_value buffer = nullptr;
  auto* exposure = new Block::Exposure{block};
  block->retain();
  const napi_status status = napi_create_external_arraybuffer(
      env, block->data(), value.bytes().length,
      [](napi_env, void*, void* hint) {
        auto* const own = static_cast<Block::Exposure*>(hint);
        if (own->block != nullptr) own->block->release();
        delete own;
      },
      exposure, &buffer);
  if (status == napi_ok) {
    block->exchange_exposure(exposure);
    return view_of(env, buffer, value);
  }
  block->release();
  delete exposure;
  return decode_bytes(env, value);
}

}  // namespace

napi_value decode(napi_env env, const Value& value) {
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
      napi_create_bigint_words(env, value.is_negative() ? 1 : 0, bytes.length / sizeof(uint64_t),
                               reinterpret_cast<const uint64_t*>(bytes.data), &result);
      break;
    case ValueKind::kString:
      napi_create_string_utf16(env, reinterpret_cast<const char16_t*>(bytes.data),
                               bytes.length / sizeof(char16_t), &result);
      break;
    case ValueKind::kBytes:
      result = decode_bytes(env, value);
      break;
    case ValueKind::kBlock:
      result = decode_block(env, value);
      break;
    case ValueKind::kHandle:
    case ValueKind::kMessage:
      break;  // Environment::write_value does these
  }
  return result;
}

void describe_refusal(napi_env env, napi_value value, const ArgumentSpec& spec, Refusal* refusal) {
  refusal->code = "ERR_HEDDLE_ARGUMENT";
  refusal->expected = expectation(spec);
  refusal->got = description(env, value);
}

const char* encode_moved(napi_env env, napi_value value, bool is_block, Value* out,
                         Block::Exposure** leaving) {
  View view;
  const Encoding encoding = look_at_bytes(env, value, &view);
  if (encoding != Encoding::kDone) return "ERR_HEDDLE_VALUE";
  Block* block = nullptr;
  if (is_block && view.length != 0) {  // an empty buffer has no memory that could tell
    block = Block::of(view.data);
    block->retain();
    *leaving = block->exchange_exposure(nullptr);
  } else {
    block = Block::make(view.length, false);
    if (block == nullptr) return "ERR_HEDDLE_MEMORY";
    if (view.length != 0) std::memcpy(block->data(), view.data, view.length);
  }
  out->set_block(block, view.length, view.shape);
  return nullptr;
}

uint64_t deadline_after(double ms) noexcept {
  const uint64_t duration_ns = nanoseconds_from_ms(ms);
  const uint64_t now = os::now_ns();
  return duration_ns > os::kNever - now ? os::kNever : now + duration_ns;
}

napi_value number_to_js(napi_env env, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  return value;
}

napi_value boolean_to_js(napi_env env, bool truth) {
  napi_value value = nullptr;
  napi_get_boolean(env, truth, &value);
  return value;
}

std::string string_from_js(napi_env env, napi_value value) {
  size_t length = 0;
  napi_get_value_string_utf8(env, value, nullptr, 0, &length);
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
  return text;
}

napi_value string_to_js(napi_env env, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return value;
}

void set_number(napi_env env, napi_value object, const char* key, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  napi_set_named_property(env, object, key, value);
}

}  // namespace heddle
