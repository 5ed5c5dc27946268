#include "addon/value_call.h"

#include <cstring>
#include <vector>

#include "addon/translate.h"

namespace heddle {

namespace {

// A message as lib/encode.ts has written it: bytes, handles, and how many of them; words of 4
// bytes.
bool read_message(const JsCall& call, const unsigned char* data, size_t length, Value* out) {
  uint32_t count = 0;
  length -= sizeof count;
  std::memcpy(&count, data + length, sizeof count);
  length -= count * sizeof count;
  std::vector<HandleRef> handles(count);
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t id = 0;
    std::memcpy(&id, data + length + i * sizeof id, sizeof id);
    handles[i] = call.environment->handle_at(id);
  }
  unsigned char* to = out->set_message(length, handles.data(), count);
  if (to != nullptr) std::memcpy(to, data, length);
  if (count != 0) call.environment->reconsider_waits();
  return to != nullptr;
}

}  // namespace

bool read_value(const JsCall& call, Mode mode, napi_value given, Value* out) {
  bool has_memory = true;
  switch (mode) {
    case Mode::kNone:
      return true;
    case Mode::kNumber: {
      double number = 0;
      napi_get_value_double(call.env, given, &number);
      out->set_number(number);
      return true;
    }
    case Mode::kAny: {
      Refusal refusal;
      const ArgumentSpec spec{"value", ArgumentKind::kAny};
      if (encode(call.env, given, spec, out, &refusal)) return true;
      call.environment->throw_error(
          refusal.code, "expected the value to be " + refusal.expected + ", got " + refusal.got);
      return false;
    }
    case Mode::kHandle: {
      double id = 0;
      napi_get_value_double(call.env, given, &id);
      out->set_handle(call.environment->handle_at(static_cast<uint32_t>(id)));
      call.environment->reconsider_waits();
      return true;
    }
    case Mode::kMoved:
    case Mode::kCopied: {
      Block::Exposure* exposure = nullptr;
      if (const char* code = encode_moved(call.env, given, mode == Mode::kMoved, out, &exposure)) {
        const bool gone = std::strcmp(code, "ERR_HEDDLE_VALUE") == 0;
        call.environment->throw_error(
            code, gone ? "expected bytes to move, got some whose memory was transferred away"
                       : "expected memory for a value, got none");
        return false;
      }
      call.environment->leaving.push_back(exposure);
      return true;
    }
    case Mode::kOutbox: {
      double length = 0;
      napi_get_value_double(call.env, given, &length);
      const unsigned char* const outbox = call.environment->outbox();
      has_memory = read_message(call, outbox, static_cast<size_t>(length), out);
      break;
    }
    case Mode::kBytes: {
      size_t length = 0;
      void* data = nullptr;
      napi_get_typedarray_info(call.env, given, nullptr, &length, &data, nullptr, nullptr);
      has_memory = read_message(call, static_cast<unsigned char*>(data), length, out);
      break;
    }
  }
  if (!has_memory) {
    call.environment->throw_error("ERR_HEDDLE_MEMORY", "expected memory for a value, got none");
  }
  return has_memory;
}

}  // namespace heddle
