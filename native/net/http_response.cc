#include "net/http_response.h"

#include <algorithm>

#include "net/http_chars.h"

namespace heddle {

namespace {

// Counts on when the buffer is full, so that one refusal tells how large it must be.
class Writer {
 public:
  Writer(char* buffer, size_t capacity) noexcept : buffer_(buffer), capacity_(capacity) {}

  void put(std::string_view text) noexcept {
    if (length_ + text.size() <= capacity_) std::copy(text.begin(), text.end(), buffer_ + length_);
    length_ += text.size();
  }
  void put_header(std::string_view name, std::string_view value) noexcept {
    put(name);
    put(": ");
    put(value);
    put("\r\n");
  }
  size_t length() const noexcept { return length_; }
  bool fits() const noexcept { return length_ <= capacity_; }

 private:
  char* const buffer_;
  const size_t capacity_;
  size_t length_ = 0;
};

struct Digits {
  char bytes[20];
  size_t begin = sizeof bytes;

  Digits(uint64_t value, uint64_t base) noexcept {
    do {
      bytes[--begin] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value > 0);
  }
  std::string_view text() const noexcept { return {bytes + begin, sizeof bytes - begin}; }
};

bool is_reserved(std::string_view name) noexcept {
  return equals_ignoring_case(name, "connection") || equals_ignoring_case(name, "keep-alive") ||
         equals_ignoring_case(name, "content-length") ||
         equals_ignoring_case(name, "transfer-encoding");
}

HttpWriteStatus check_header(const HttpResponseHeader& header) noexcept {
  if (!is_token(header.name)) return HttpWriteStatus::kBadName;
  if (!are_field_chars(header.value)) return HttpWriteStatus::kBadValue;
  return is_reserved(header.name) ? HttpWriteStatus::kReservedName : HttpWriteStatus::kWritten;
}

HttpWritten check(const HttpResponseHead& head) noexcept {
  HttpWritten result;
  if (head.status < 100 || head.status > 599) {
    result.status = HttpWriteStatus::kBadStatus;
  } else if (!are_http_chars(kFieldChar, head.reason)) {
    result.status = HttpWriteStatus::kBadReason;
  }
  while (result.status == HttpWriteStatus::kWritten && result.header_index < head.header_count) {
    result.status = check_header(head.headers[result.header_index]);
    if (result.status == HttpWriteStatus::kWritten) ++result.header_index;
  }
  return result;
}

bool may_have_body(uint16_t status) noexcept {
  return status >= 200 && status != 204 && status != 304;
}

// RFC 9112 6.1 and RFC 9110 8.6: neither line with 1xx and 204. With 304 a length would be that of
// another response, which the caller does not have.
void choose_framing(const HttpResponseHead& head, HttpWritten* result) noexcept {
  const bool may = may_have_body(head.status);
  const bool is_too_old = head.framing == HttpFraming::kChunked && head.minor_version == 0;
  const bool ends_with_connection = may && (head.framing == HttpFraming::kNone || is_too_old);
  result->framing = !may || is_too_old ? HttpFraming::kNone : head.framing;
  result->has_body = may && !head.answers_head &&
                     (head.framing != HttpFraming::kLength || head.content_length > 0);
  // The head that answers HEAD has no body that could end with the connection.
  result->keep_alive = head.keep_alive && (!ends_with_connection || head.answers_head);
}

void put_framing(const HttpResponseHead& head, const HttpWritten& result, Writer* out) noexcept {
  if (result.framing == HttpFraming::kChunked) out->put_header("transfer-encoding", "chunked");
  if (result.framing != HttpFraming::kLength) return;
  out->put_header("content-length", Digits(head.content_length, 10).text());
}

// An interim response says nothing of the connection, but for the one that changes its protocol.
void put_connection(const HttpResponseHead& head, const HttpWritten& result, Writer* out) noexcept {
  if (head.status == 101) return out->put_header("connection", "upgrade");
  if (head.status < 200) return;
  if (!result.keep_alive) return out->put_header("connection", "close");
  if (head.minor_version == 0) out->put_header("connection", "keep-alive");
}

struct Reason {
  uint16_t status;
  std::string_view phrase;
};

constexpr Reason kReasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {511, "Network Authentication Required"},
};

}  // namespace

std::string_view reason_phrase(uint16_t status) noexcept {
  const auto* found = std::lower_bound(
      std::begin(kReasons), std::end(kReasons), status,
      [](const Reason& reason, uint16_t wanted) { return reason.status < wanted; });
  return found != std::end(kReasons) && found->status == status ? found->phrase : "";
}

// The version is always 1.1: it says what the server can do (RFC 9110 2.5), not what the client
// asked with.
HttpWritten write_response_head(const HttpResponseHead& head, char* buffer,
                                size_t capacity) noexcept {
  HttpWritten result = check(head);
  if (result.status != HttpWriteStatus::kWritten) return result;
  choose_framing(head, &result);
  Writer out(buffer, capacity);
  out.put("HTTP/1.1 ");
  out.put(Digits(head.status, 10).text());
  out.put(" ");
  out.put(head.reason.empty() ? reason_phrase(head.status) : head.reason);
  out.put("\r\n");
  if (!head.date.empty()) out.put_header("date", head.date);
  put_framing(head, result, &out);
  put_connection(head, result, &out);
  for (size_t i = 0; i < head.header_count; ++i) {
    out.put_header(head.headers[i].name, head.headers[i].value);
  }
  out.put("\r\n");
  result.length = out.length();
  if (!out.fits()) result.status = HttpWriteStatus::kTooSmall;
  return result;
}

size_t write_chunk_header(uint64_t size, char* out) noexcept {
  const Digits digits(size, 16);
  const std::string_view text = digits.text();
  char* end = std::copy(text.begin(), text.end(), out);
  *end++ = '\r';
  *end++ = '\n';
  return static_cast<size_t>(end - out);
}

}  // namespace heddle
