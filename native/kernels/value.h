// A value on its way between JavaScript and a kernel: a native copy, free of any V8 handle, that
// may be read and destroyed on any thread. Only native/addon/translate.cc makes one from
// JavaScript.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/block.h"
#include "sync/waitable.h"

namespace heddle {

enum class ValueKind : uint8_t {
  kUndefined,
  kNull,
  kBoolean,
  kNumber,
  // From here on a value owns memory.
  kBigint,
  kString,
  kBytes,
  kHandle,   // of something that can be waited for
  kMessage,  // an object as lib/encode.ts writes it, with the handles in it
  kBlock,    // bytes that were moved
};

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

// What a handle leads to.
enum class HandleKind : uint8_t {
  kChannel,
  kMutex,
  kRwMutex,
  kSemaphore,
  kWaitGroup,
  kOnce,
  kBarrier,
  kContext,
  kSocket,
};

struct ByteSpan {
  const unsigned char* data = nullptr;
  size_t length = 0;
};

// A handle on its way; whoever has the value has the reference.
struct HandleRef {
  Waitable* target = nullptr;
  HandleKind kind = HandleKind::kChannel;
};

// Always true: `memory_` is owned exactly when the kind says so. Strings are UTF-16, so that a lone
// surrogate survives; bigints are a sign and 64-bit words, lowest first. 16 bytes, which may be
// moved as they are: a channel's cell holds one.
class Value {
 public:
  Value() noexcept : kind_(0), flag_(0), length_(0), bits_(0) {}
  ~Value() { clear(); }
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  Value(Value&& other) noexcept : Value() { take(other); }
  Value& operator=(Value&& other) noexcept {
    if (this != &other) {
      clear();
      take(other);
    }
    return *this;
  }

  ValueKind kind() const noexcept { return static_cast<ValueKind>(kind_); }
  bool boolean() const noexcept { return flag_ != 0; }
  double number() const noexcept { return number_; }
  bool is_negative() const noexcept { return flag_ != 0; }  // of a bigint
  BytesShape shape() const noexcept { return static_cast<BytesShape>(flag_); }
  bool is_bytes() const noexcept {
    return kind() == ValueKind::kBytes || kind() == ValueKind::kBlock;
  }
  // Of a bigint, a string (2 bytes per unit), bytes, moved or not, or a message (without handles).
  ByteSpan bytes() const noexcept;
  Block* block() const noexcept { return block_; }
  HandleRef handle() const noexcept { return {target_, static_cast<HandleKind>(flag_)}; }
  // The handles in a message, which stay its own.
  const HandleRef* handles(uint32_t* count) const noexcept;
  std::string utf8() const;  // of a string; a lone surrogate becomes U+FFFD

  void clear() noexcept {
    if (kind() >= ValueKind::kBigint) release();
    kind_ = 0;
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
  // Takes over the caller's reference; the first `length` bytes are the value.
  void set_block(Block* block, size_t length, BytesShape shape) noexcept;
  // Retains the target.
  void set_handle(HandleRef handle) noexcept;
  // Retains the targets of the handles; room for `length` bytes, to be written by the caller.
  unsigned char* set_message(size_t length, const HandleRef* handles, uint32_t count) noexcept;

  // As the cell of a channel, and back: the value lives in one of the two.
  void move_to(Cell* cell) noexcept;
  void move_from(const Cell& cell) noexcept;

 private:
  struct Message;  // what `memory_` points to: a header, handles, bytes

  void become(ValueKind kind, uint8_t flag) noexcept {
    clear();
    kind_ = static_cast<uint8_t>(kind);
    flag_ = flag;
  }
  unsigned char* allocate(ValueKind kind, uint8_t flag, size_t length) noexcept;
  void take(Value& other) noexcept;
  void release() noexcept;

  uint64_t kind_ : 8;  // ValueKind
  uint64_t flag_ : 8;
  uint64_t length_ : 48;
  union {
    double number_;
    unsigned char* memory_;
    Waitable* target_;
    Block* block_;
    uint64_t bits_;
  };
};
static_assert(sizeof(Value) == sizeof(Cell), "a value fits in the cell of a channel");

}  // namespace heddle
