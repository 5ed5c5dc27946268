// A value on its way between JavaScript and a kernel: a native copy, free of any V8 handle, that
// may be read and destroyed on any thread. Only native/addon/translate.cc makes one from
// JavaScript.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace heddle {

enum class ValueKind : uint8_t { kUndefined, kNull, kBoolean, kNumber, kBigint, kString, kBytes };

// What the bytes were to JavaScript, and become again.
enum class BytesShape : uint8_t {
  kUint8Array,
  kUint8ClampedArray,
  kInt8Array,
  kUint16Array,
  kInt16Array,
  kUint32Array,
  kInt32Array,
  kFloat32Array,
  kFloat64Array,
  kBigInt64Array,
  kBigUint64Array,
  kDataView,
  kArrayBuffer,
};

struct ByteSpan {
  const unsigned char* data = nullptr;
  size_t length = 0;
};

// Always true: `memory_` is owned exactly when the kind is bigint, string or bytes. Strings are
// UTF-16, so that a lone surrogate survives; bigints are a sign and 64-bit words, lowest first.
class Value {
 public:
  Value() noexcept = default;
  ~Value() { clear(); }
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  Value(Value&& other) noexcept { take(other); }
  Value& operator=(Value&& other) noexcept {
    if (this != &other) {
      clear();
      take(other);
    }
    return *this;
  }

  ValueKind kind() const noexcept { return kind_; }
  bool boolean() const noexcept { return flag_ != 0; }
  double number() const noexcept { return number_; }
  bool is_negative() const noexcept { return flag_ != 0; }  // of a bigint
  BytesShape shape() const noexcept { return static_cast<BytesShape>(flag_); }
  // Of a bigint, a string (2 bytes per unit) or bytes.
  ByteSpan bytes() const noexcept { return {memory_, length_}; }
  std::string utf8() const;  // of a string; a lone surrogate becomes U+FFFD

  void clear() noexcept {
    if (kind_ >= ValueKind::kBigint) release();
    kind_ = ValueKind::kUndefined;
  }
  void negate() noexcept { flag_ = flag_ != 0 ? 0 : 1; }  // a bigint
  void set_null() noexcept { become(ValueKind::kNull, 0); }
  void set_boolean(bool value) noexcept { become(ValueKind::kBoolean, value ? 1 : 0); }
  void set_number(double value) noexcept {
    become(ValueKind::kNumber, 0);
    number_ = value;
  }
  // Room for `length` bytes, to be written by the caller; nullptr (and undefined) without memory.
  unsigned char* set_bigint(size_t length, bool is_negative) noexcept;
  unsigned char* set_string(size_t length) noexcept;
  unsigned char* set_bytes(size_t length, BytesShape shape = BytesShape::kUint8Array) noexcept;
  // For a result whose length is known only in the end: at most as long as it was made.
  void shorten(size_t length) noexcept { length_ = length; }

 private:
  void become(ValueKind kind, uint8_t flag) noexcept {
    clear();
    kind_ = kind;
    flag_ = flag;
  }
  unsigned char* allocate(ValueKind kind, uint8_t flag, size_t length) noexcept;
  void take(Value& other) noexcept;
  void release() noexcept;

  ValueKind kind_ = ValueKind::kUndefined;
  uint8_t flag_ = 0;
  union {
    double number_ = 0;
    unsigned char* memory_;
  };
  size_t length_ = 0;
};

}  // namespace heddle
