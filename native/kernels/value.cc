#include "kernels/value.h"

#include <cstdlib>
#include <cstring>

namespace heddle {

struct Value::Message {
  uint64_t handle_count;
  HandleRef* handles() noexcept { return reinterpret_cast<HandleRef*>(this + 1); }
  unsigned char* bytes() noexcept {
    return reinterpret_cast<unsigned char*>(handles() + handle_count);
  }
};

void Value::take(Value& other) noexcept {
  kind_ = other.kind_;
  flag_ = other.flag_;
  length_ = other.length_;
  bits_ = other.bits_;
  other.kind_ = 0;
}

void Value::release() noexcept {
  if (kind() == ValueKind::kHandle) {
    target_->release();
    return;
  }
  if (kind() == ValueKind::kBlock) {
    block_->release();
    return;
  }
  if (kind() == ValueKind::kMessage) {
    auto* message = reinterpret_cast<Message*>(memory_);
    for (uint64_t i = 0; i < message->handle_count; ++i) message->handles()[i].target->release();
  }
  std::free(memory_);
}

ByteSpan Value::bytes() const noexcept {
  if (kind() == ValueKind::kBlock) return {block_->data(), length_};
  if (kind() != ValueKind::kMessage) return {memory_, length_};
  return {reinterpret_cast<Message*>(memory_)->bytes(), length_};
}

const HandleRef* Value::handles(uint32_t* count) const noexcept {
  auto* message = reinterpret_cast<Message*>(memory_);
  *count = static_cast<uint32_t>(message->handle_count);
  return message->handles();
}

unsigned char* Value::allocate(ValueKind kind, uint8_t flag, size_t length) noexcept {
  clear();
  auto* memory = static_cast<unsigned char*>(std::malloc(length != 0 ? length : 1));
  if (memory == nullptr) return nullptr;
  kind_ = static_cast<uint8_t>(kind);
  flag_ = flag;
  memory_ = memory;
  length_ = length;
  return memory;
}

void Value::set_block(Block* block, size_t length, BytesShape shape) noexcept {
  become(ValueKind::kBlock, static_cast<uint8_t>(shape));
  block_ = block;
  length_ = length;
}

void Value::set_handle(HandleRef handle) noexcept {
  handle.target->retain();
  become(ValueKind::kHandle, static_cast<uint8_t>(handle.kind));
  target_ = handle.target;
}

unsigned char* Value::set_message(size_t length, const HandleRef* handles,
                                  uint32_t count) noexcept {
  const size_t whole = sizeof(Message) + count * sizeof(HandleRef) + length;
  unsigned char* memory = allocate(ValueKind::kMessage, 0, whole);
  if (memory == nullptr) return nullptr;
  auto* message = reinterpret_cast<Message*>(memory);
  message->handle_count = count;
  for (uint32_t i = 0; i < count; ++i) {
    handles[i].target->retain();
    message->handles()[i] = handles[i];
  }
  length_ = length;
  return message->bytes();
}

void Value::move_to(Cell* cell) noexcept {
  std::memcpy(static_cast<void*>(cell), this, sizeof *cell);
  kind_ = 0;
}

void Value::move_from(const Cell& cell) noexcept {
  clear();
  std::memcpy(static_cast<void*>(this), &cell, sizeof cell);
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
  const size_t units = static_cast<size_t>(length_) / 2;
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
