// Words that the parts of the HTTP/1.1 message layer share. The layer does no I/O and allocates
// nothing; whoever owns the connection owns every buffer.
//
// A message that is refused ends its connection: the status is answered, then the connection is
// closed, because where the next message begins cannot be known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heddle {

// A part of the receive buffer, by offset: the buffer may move between two calls.
struct HttpSpan {
  uint32_t offset = 0;
  uint32_t length = 0;

  std::string_view in(const char* data) const noexcept { return {data + offset, length}; }
};

enum class HttpProgress : uint8_t { kNeedMore, kComplete, kError };

// How the end of a body is found. For a response kNone means that the close of the connection ends
// it; a request without framing has no body (RFC 9112 6.3), and so 411 is never an answer.
enum class HttpFraming : uint8_t { kNone, kLength, kChunked };

struct HttpError {
  uint16_t status = 0;      // to be answered; 0: no error
  const char* reason = "";  // a few words for the log; a literal

  explicit operator bool() const noexcept { return status != 0; }
};

}  // namespace heddle
