// Response heads of HTTP/1.0 and 1.1, written into a buffer of the caller's.
//
// What is always true:
// - Nothing that the application gives can end a line: a header with a byte that may not stand
//   there is refused and named, and nothing is sent. Values are not repaired, since what was cut
//   out of one would go unnoticed.
// - What says where the body ends, and whether the connection lives on, is written here alone;
//   headers of the application by these names are refused.
// - Small letters in names, as in HTTP/2.
#pragma once

#include "net/http_message.h"

namespace heddle {

struct HttpResponseHeader {
  std::string_view name;
  std::string_view value;  // bytes from 0x80 pass as they are
};

struct HttpResponseHead {
  uint16_t status = 200;
  uint8_t minor_version = 1;  // the request's
  HttpFraming framing = HttpFraming::kLength;
  bool keep_alive = true;
  bool answers_head = false;    // the request was HEAD: the same head as for GET, and no body
  uint64_t content_length = 0;  // with kLength
  std::string_view reason;      // empty: the usual one
  std::string_view date;        // an IMF-fixdate (RFC 9110 5.6.7); empty: no such line
  const HttpResponseHeader* headers = nullptr;
  size_t header_count = 0;
};

enum class HttpWriteStatus : uint8_t {
  kWritten,
  kTooSmall,      // `length` bytes are needed; what the buffer holds is of no use
  kBadStatus,     // expected 100 to 599
  kBadReason,     // a byte that may not stand there
  kBadName,       // expected a token; of the header `header_index`, as the following
  kBadValue,      // a control byte
  kReservedName,  // framing or connection: not the application's
};

struct HttpWritten {
  HttpWriteStatus status = HttpWriteStatus::kWritten;
  size_t length = 0;
  size_t header_index = 0;
  // How the caller goes on: with a body at all, in which framing, and whether it closes afterwards.
  // Chunks for HTTP/1.0 become kNone, and kNone with a body ends with the connection.
  bool has_body = false;
  HttpFraming framing = HttpFraming::kNone;
  bool keep_alive = false;
};

HttpWritten write_response_head(const HttpResponseHead& head, char* buffer,
                                size_t capacity) noexcept;

// The usual reason phrase (RFC 9110 15), or an empty one.
std::string_view reason_phrase(uint16_t status) noexcept;

// A chunk is this line, its data, CRLF. A chunk of no data would end the body: kLastChunk does.
inline constexpr size_t kChunkHeaderBytesMax = 18;
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
// Writes at most kChunkHeaderBytesMax bytes; how many.
size_t write_chunk_header(uint64_t size, char* out) noexcept;

}  // namespace heddle
