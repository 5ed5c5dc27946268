// Request heads of HTTP/1.0 and 1.1 (RFC 9112), read where they lie in the receive buffer.
//
//   HttpHeader headers[100];
//   HttpParser parser(headers);
//   switch (parser.parse(buffer, received)) {
//     case HttpProgress::kNeedMore: ...  // receive behind what is there, and call again
//     case HttpProgress::kError: ...     // answer parser.error().status, and close
//     case HttpProgress::kComplete: ...  // the body is at buffer + parser.head().length
//   }
//
// What is always true:
// - Every byte is looked at once, in order, however the bytes arrive; the result depends on them
//   alone, and an error is reported with the first byte that cannot be part of a valid head. Only
//   what a header means is judged at the end of its line, and what they mean together at the end.
// - Nothing is copied or allocated; all spans lie within the head.
// - What recipients read differently is refused, since two of them in a row are how requests are
//   smuggled: line ends that are not CRLF, folded lines, space before a colon, more than one
//   length, a length together with chunks.
//
// A table of states for each byte, as llhttp generates it, and a line-wise parser that searches for
// CRLF first were the alternatives: one pays a jump for each byte, the other reads each byte twice.
#pragma once

#include "net/http_message.h"
#include "net/http_target.h"

namespace heddle {

struct HttpHeader {
  HttpSpan name;
  HttpSpan value;  // without the white space around it
};

// RFC 9112 3 asks for at least 8,000 bytes of request line.
struct HttpLimits {
  uint32_t head_bytes_max = 16 * 1024;   // beyond: 431
  uint32_t target_bytes_max = 8 * 1024;  // beyond: 414
  uint32_t header_count_max = 100;       // beyond: 431
  uint64_t body_bytes_max = UINT64_MAX;  // a larger content-length: 413
};

struct HttpRequestHead {
  uint32_t length = 0;  // of the head with its last CRLF, and with a CRLF that came before it
  uint32_t header_count = 0;
  const HttpHeader* headers = nullptr;
  HttpSpan method;
  HttpSpan target;
  // The authority in the target if there is one, else the value of Host (RFC 9112 3.2.2). Empty
  // if the client named none.
  HttpSpan host;
  HttpSpan upgrade;  // the value of the first Upgrade; empty with HTTP/1.0, which ignores it
  uint64_t content_length = 0;
  HttpTargetForm target_form = HttpTargetForm::kInvalid;
  HttpFraming framing = HttpFraming::kNone;
  uint8_t minor_version = 1;
  bool keep_alive = false;
  bool expects_continue = false;    // the body comes after a "100 Continue", or after a while
  bool connection_upgrade = false;  // "upgrade" is an option of Connection

  // What a switch of protocols needs: both headers.
  bool upgrade_requested() const noexcept { return connection_upgrade && upgrade.length > 0; }
};

class HttpParser {
 public:
  // `storage` has room for limits.header_count_max headers, and outlives the parser.
  explicit HttpParser(HttpHeader* storage, const HttpLimits& limits = {}) noexcept;

  // `data` holds all bytes since the head began: those of the call before, at the same place or
  // another, and what has come since. After kComplete or kError the answer stays the same.
  HttpProgress parse(const char* data, size_t length) noexcept;
  // Makes it ready for the head that follows.
  void reset() noexcept;

  const HttpRequestHead& head() const noexcept { return head_; }  // after kComplete
  const HttpError& error() const noexcept { return error_; }      // after kError

 private:
  enum class State : uint8_t {
    kStart,
    kStartLf,
    kMethod,
    kTarget,
    kVersion,
    kRequestLineCr,
    kRequestLineLf,
    kLineStart,
    kName,
    kBeforeValue,
    kValue,
    kValueLf,
    kEndLf,
    kComplete,
    kFailed,
  };
  struct Window {
    const char* data;
    const char* end;
  };

  const char* step(const char* at, const Window& in) noexcept;
  const char* scan_start(const char* at) noexcept;
  const char* scan_method(const char* at, const Window& in) noexcept;
  const char* scan_target(const char* at, const Window& in) noexcept;
  const char* scan_version(const char* at, const Window& in) noexcept;
  const char* scan_line_start(const char* at, const Window& in) noexcept;
  const char* scan_name(const char* at, const Window& in) noexcept;
  const char* scan_before_value(const char* at, const Window& in) noexcept;
  const char* scan_value(const char* at, const Window& in) noexcept;
  const char* scan_value_lf(const char* at, const Window& in) noexcept;
  const char* expect(const char* at, char wanted, State next) noexcept;
  const char* fail(const char* at, uint16_t status, const char* reason) noexcept;
  void begin_token(const char* at, const Window& in, State next) noexcept;
  HttpSpan token_until(const char* at, const Window& in) const noexcept;

  void refuse(uint16_t status, const char* reason) noexcept;
  void finish_version(std::string_view version) noexcept;
  void check_target(const char* data) noexcept;
  void take_header(const char* data) noexcept;
  void take_host(const HttpHeader& header, std::string_view value) noexcept;
  void take_connection(std::string_view value) noexcept;
  void take_content_length(std::string_view value) noexcept;
  void take_transfer_encoding(std::string_view value) noexcept;
  void take_expect(std::string_view value) noexcept;
  void finish() noexcept;

  HttpHeader* const storage_;
  const HttpLimits limits_;
  HttpRequestHead head_;
  HttpError error_;
  uint32_t position_ = 0;     // bytes before it have been scanned
  uint32_t token_start_ = 0;  // of what is being scanned
  State state_ = State::kStart;
  bool has_host_ = false;
  bool has_close_ = false;
  bool has_keep_alive_ = false;
};

}  // namespace heddle
