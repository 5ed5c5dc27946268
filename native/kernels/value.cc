#include "kernels/value.h"

#include <cstdlib>
#include <cstring>
#include <utility>

namespace heddle {

void Value::take(Value& other) noexcept {
  kind_ = std::exchange(other.kind_, ValueKind::kUndefined);
  flag_ = other.flag_;
  length_ = other.length_;
  // The union holds what `kind_` says.
  if (kind_ == ValueKind::kNumber) {
    number_ = other.number_;
  } else {
    memory_ = other.memory_;
  }
}

void Value::release() noexcept { std::free(memory_); }

unsigned char* Value::allocate(ValueKind kind, uint8_t flag, size_t length) noexcept {
  clear();
  auto* memory = static_cast<unsigned char*>(std::malloc(length != 0 ? length : 1));
  if (memory == nullptr) return nullptr;
  kind_ = kind;
  flag_ = flag;
  memory_ = memory;
  length_ = length;
  return memory;
}

unsigned char* Value::set_bigint(size_t length, bool is_negative) noexcept {
  return allocate(ValueKind::kBigint, is_negative ? 1 : 0, length);
}

unsigned char* Value::set_string(size_t length) noexcept {
  return allocate(ValueKind::kString, 0, length);
}

unsigned char* Value::set_bytes(size_t length, BytesShape shape) noexcept {
  return allocate(ValueKind::kBytes, static_cast<uint8_t>(shape), length);
}

namespace {

void append_utf8(std::string& text, uint32_t point) {
  const auto put = [&text](uint32_t bits) { text.push_back(static_cast<char>(bits)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | (point >> 6));
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | (point >> 12));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | (point >> 18));
    put(0x80 | ((point >> 12) & 0x3F));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

}  // namespace

std::string Value::utf8() const {
  constexpr uint32_t kReplacement = 0xFFFD;
  const size_t units = length_ / 2;
  const auto unit = [this](size_t index) {
    uint16_t value = 0;
    std::memcpy(&value, memory_ + 2 * index, 2);
    return static_cast<uint32_t>(value);
  };
  std::string text;
  text.reserve(units);
  for (size_t i = 0; i < units; ++i) {
    uint32_t point = unit(i);
    const bool is_high = (point & 0xFC00) == 0xD800;
    if (is_high && i + 1 < units && (unit(i + 1) & 0xFC00) == 0xDC00) {
      point = 0x10000 + ((point & 0x3FF) << 10) + (unit(++i) & 0x3FF);
    } else if ((point & 0xF800) == 0xD800) {
      point = kReplacement;
    }
    append_utf8(text, point);
  }
  return text;
}

}  // namespace heddle
