// Chunked bodies (RFC 9112 7.1), decoded where they lie in the receive buffer.
//
//   ChunkedDecoder decoder;
//   for (;;) {
//     const HttpBodyPart part = decoder.decode(data, length);  // what has been received, unread
//     consume(part.data.in(data));                             // may be empty
//     data += part.used, length -= part.used;
//     if (part.state == HttpBodyState::kData) continue;
//     break;                            // kNeedMore: receive; kComplete: the next head is at data
//   }
//
// What is always true:
// - The decoder keeps nothing of the buffer: used bytes may be overwritten. Its own state is a few
//   words, the start of a trailer's name included.
// - The bytes alone decide the result, not how they arrive.
// - Besides data, a sender can make us read only so much: digits of a size, extensions that data
//   does not outweigh, trailers.
//
// Extensions and trailers are checked and dropped. A trailer that a recipient could mistake for a
// header of the request is refused.
#pragma once

#include "net/http_message.h"

namespace heddle {

struct HttpBodyLimits {
  uint64_t body_bytes_max = UINT64_MAX;      // of data: beyond: 413
  uint32_t extension_bytes_max = 16 * 1024;  // not counting one for each byte of data: 413
  uint32_t trailer_bytes_max = 8 * 1024;     // all lines together: 431
};

enum class HttpBodyState : uint8_t {
  kData,      // there may be more to be had from what has been received
  kNeedMore,  // all of it is used
  kComplete,  // what is not used belongs to the next message
  kError,
};

struct HttpBodyPart {
  HttpBodyState state;
  HttpSpan data;  // of the body, within what decode() was given
  size_t used;    // bytes from its beginning, the data included
};

class ChunkedDecoder {
 public:
  explicit ChunkedDecoder(const HttpBodyLimits& limits = {}) noexcept : limits_(limits) {}

  // Reads up to and including one piece of data. At most UINT32_MAX bytes are looked at.
  HttpBodyPart decode(const char* data, size_t length) noexcept;
  const HttpError& error() const noexcept { return error_; }    // after kError
  uint64_t body_bytes() const noexcept { return body_bytes_; }  // of the chunks begun so far

 private:
  enum class State : uint8_t {
    kSizeStart,
    kSize,
    kSizeLf,
    kExtensionName,
    kExtensionValue,
    kExtensionToken,
    kExtensionQuoted,
    kExtensionEscape,
    kExtensionEnd,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kLastLf,
    kComplete,
    kFailed,
  };
  // One byte more than the longest name that is refused.
  static constexpr size_t kNameBytesKept = 20;

  void step(char c) noexcept;
  void step_size(char c) noexcept;
  void step_extension(char c) noexcept;
  void step_trailer(char c) noexcept;
  void finish_size() noexcept;
  void finish_trailer_name() noexcept;
  void expect(char c, char wanted, State next) noexcept;
  void refuse(uint16_t status, const char* reason) noexcept;

  const HttpBodyLimits limits_;
  HttpError error_;
  uint64_t chunk_left_ = 0;  // while a size is read: what its digits say
  uint64_t body_bytes_ = 0;
  uint64_t extension_excess_ = 0;  // bytes that data has not outweighed
  uint32_t trailer_bytes_ = 0;
  uint32_t token_bytes_ = 0;  // of the name or the token that is being read
  State state_ = State::kSizeStart;
  char name_[kNameBytesKept];  // of a trailer, in small letters; cut
};

}  // namespace heddle
