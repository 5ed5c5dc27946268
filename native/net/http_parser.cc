#include "net/http_parser.h"

#include <algorithm>

#include "net/http_chars.h"

namespace heddle {

namespace {

constexpr std::string_view kVersionPattern = "HTTP/d.d";
// Longer than any that is registered; a server answers 501 to those (RFC 9112 3).
constexpr uint32_t kMethodBytesMax = 32;

HttpSpan span_of(std::string_view part, const char* data) noexcept {
  return {static_cast<uint32_t>(part.data() - data), static_cast<uint32_t>(part.size())};
}

// A coding other than chunked. If chunked is the last one, the length is known and only the coding
// is not: 501 (RFC 9112 6.1). Otherwise nobody can tell where the body ends: 400 (6.3). What is no
// list of tokens, or applies chunked twice, is malformed: 400.
uint16_t status_of_codings(std::string_view value) noexcept {
  HttpList codings(value);
  while (codings.next()) {
    const bool is_chunked = equals_ignoring_case(codings.member(), "chunked");
    if (is_chunked != codings.is_last() || !is_token(codings.member())) return 400;
  }
  return 501;
}

}  // namespace

HttpParser::HttpParser(HttpHeader* storage, const HttpLimits& limits) noexcept
    : storage_(storage), limits_(limits) {
  reset();
}

void HttpParser::reset() noexcept {
  head_ = {};
  head_.headers = storage_;
  error_ = {};
  position_ = 0;
  token_start_ = 0;
  state_ = State::kStart;
  has_host_ = false;
  has_close_ = false;
  has_keep_alive_ = false;
}

// Bytes beyond the limit are not looked at, so that a head that is too long is refused alike
// whether it comes at once or in pieces.
HttpProgress HttpParser::parse(const char* data, size_t length) noexcept {
  const size_t visible = std::min<size_t>(length, limits_.head_bytes_max);
  const Window in{data, data + visible};
  const char* at = data + position_;
  while (at < in.end && state_ < State::kComplete) at = step(at, in);
  position_ = static_cast<uint32_t>(at - data);
  if (state_ == State::kComplete) return HttpProgress::kComplete;
  if (state_ != State::kFailed && position_ >= limits_.head_bytes_max) refuse(431, "head too long");
  return state_ == State::kFailed ? HttpProgress::kError : HttpProgress::kNeedMore;
}

const char* HttpParser::step(const char* at, const Window& in) noexcept {
  switch (state_) {
    case State::kStart:
      return scan_start(at);
    case State::kStartLf:
      if (*at != '\n') return fail(at, 400, "bare CR before the request");
      begin_token(at + 1, in, State::kMethod);
      return at + 1;
    case State::kMethod:
      return scan_method(at, in);
    case State::kTarget:
      return scan_target(at, in);
    case State::kVersion:
      return scan_version(at, in);
    case State::kRequestLineCr:
      if (*at == '\n') return fail(at, 400, "bare LF");
      return expect(at, '\r', State::kRequestLineLf);
    case State::kRequestLineLf:
      check_target(in.data);
      return state_ == State::kFailed ? at : expect(at, '\n', State::kLineStart);
    case State::kLineStart:
      return scan_line_start(at, in);
    case State::kName:
      return scan_name(at, in);
    case State::kBeforeValue:
      return scan_before_value(at, in);
    case State::kValue:
      return scan_value(at, in);
    case State::kValueLf:
      return scan_value_lf(at, in);
    case State::kEndLf:
      at = expect(at, '\n', State::kComplete);
      head_.length = static_cast<uint32_t>(at - in.data);
      if (state_ == State::kComplete) finish();
      return at;
    case State::kComplete:
    case State::kFailed:
      break;
  }
  return in.end;
}

// RFC 9112 2.2: a client of old sends a CRLF after a body, so one before a head is let pass.
const char* HttpParser::scan_start(const char* at) noexcept {
  if (*at == '\r') return expect(at, '\r', State::kStartLf);
  state_ = State::kMethod;
  return at;
}

const char* HttpParser::scan_method(const char* at, const Window& in) noexcept {
  const char* start = in.data + token_start_;
  at = skip_http_chars(kTokenChar, at, in.end);
  if (at - start > kMethodBytesMax) return fail(at, 501, "method too long");
  if (at == in.end) return at;
  if (at == start && (*at == '\r' || *at == '\n')) {
    return fail(at, 400, "empty line before the request");
  }
  if (*at != ' ' || at == start) return fail(at, 400, "method");
  head_.method = token_until(at, in);
  begin_token(at + 1, in, State::kTarget);
  return at + 1;
}

const char* HttpParser::scan_target(const char* at, const Window& in) noexcept {
  const char* start = in.data + token_start_;
  at = skip_http_chars(kTargetChar, at, in.end);
  if (static_cast<size_t>(at - start) > limits_.target_bytes_max) {
    return fail(at, 414, "target too long");
  }
  if (at == in.end) return at;
  if (*at == '#') return fail(at, 400, "fragment");
  if (*at == '\r' || *at == '\n') return fail(at, 400, "no version");
  if (*at != ' ') return fail(at, 400, "byte in the target");
  if (at == start) return fail(at, 400, "space before the target");
  head_.target = token_until(at, in);
  begin_token(at + 1, in, State::kVersion);
  return at + 1;
}

const char* HttpParser::scan_version(const char* at, const Window& in) noexcept {
  const char* start = in.data + token_start_;
  for (; at < in.end; ++at) {
    const char wanted = kVersionPattern[static_cast<size_t>(at - start)];
    const bool matches = wanted == 'd' ? is_http_char(kDigitChar, *at) : *at == wanted;
    if (!matches) return fail(at, 400, *at == ' ' ? "space before the version" : "version");
    if (at - start + 1 < static_cast<ptrdiff_t>(kVersionPattern.size())) continue;
    finish_version({start, kVersionPattern.size()});
    return at + 1;
  }
  return at;
}

void HttpParser::finish_version(std::string_view version) noexcept {
  const char major = version[5];
  const char minor = version[7];
  if (major != '1' || minor > '1') return refuse(505, "version not supported");
  head_.minor_version = static_cast<uint8_t>(minor - '0');
  state_ = State::kRequestLineCr;
}

// After the version, so that another version is answered as such: HTTP/2 begins with "PRI *".
void HttpParser::check_target(const char* data) noexcept {
  const HttpTarget target = classify_target(head_.method.in(data), head_.target.in(data));
  head_.target_form = target.form;
  if (target.form == HttpTargetForm::kInvalid) return refuse(400, "target form");
  if (!target.authority.empty()) head_.host = span_of(target.authority, data);
}

// From here on a state goes on with the next one itself if there are bytes for it: a line that has
// come whole is one step.
const char* HttpParser::scan_line_start(const char* at, const Window& in) noexcept {
  if (*at == '\r') return expect(at, '\r', State::kEndLf);
  if (*at == '\n') return fail(at, 400, "bare LF");
  if (*at == ' ' || *at == '\t') return fail(at, 400, "folded line");
  if (head_.header_count == limits_.header_count_max) return fail(at, 431, "too many headers");
  begin_token(at, in, State::kName);
  return scan_name(at, in);
}

const char* HttpParser::scan_name(const char* at, const Window& in) noexcept {
  at = skip_http_chars(kTokenChar, at, in.end);
  if (at == in.end) return at;
  const HttpSpan name = token_until(at, in);
  if (*at == ' ' || *at == '\t') return fail(at, 400, "space in a header name");
  if (*at != ':' || name.length == 0) return fail(at, 400, "header name");
  storage_[head_.header_count].name = name;
  state_ = State::kBeforeValue;
  return scan_before_value(at + 1, in);
}

const char* HttpParser::scan_before_value(const char* at, const Window& in) noexcept {
  while (at < in.end && (*at == ' ' || *at == '\t')) ++at;
  if (at == in.end) return at;
  begin_token(at, in, State::kValue);
  return scan_value(at, in);
}

const char* HttpParser::scan_value(const char* at, const Window& in) noexcept {
  at = skip_field_chars(at, in.end);
  if (at == in.end) return at;
  if (*at == '\n') return fail(at, 400, "bare LF");
  if (*at != '\r') return fail(at, 400, "control byte in a header value");
  HttpSpan value = token_until(at, in);
  const char* last = at - 1;
  for (; value.length > 0 && (*last == ' ' || *last == '\t'); --last) --value.length;
  storage_[head_.header_count].value = value;
  state_ = State::kValueLf;
  return at + 1 < in.end ? scan_value_lf(at + 1, in) : at + 1;
}

const char* HttpParser::scan_value_lf(const char* at, const Window& in) noexcept {
  at = expect(at, '\n', State::kLineStart);
  if (state_ == State::kLineStart) take_header(in.data);
  return at;
}

// The states that stand for one certain byte wait for what ends a line.
const char* HttpParser::expect(const char* at, char wanted, State next) noexcept {
  if (*at != wanted) return fail(at, 400, wanted == '\n' ? "bare CR" : "end of the request line");
  state_ = next;
  return at + 1;
}

void HttpParser::begin_token(const char* at, const Window& in, State next) noexcept {
  token_start_ = static_cast<uint32_t>(at - in.data);
  state_ = next;
}

HttpSpan HttpParser::token_until(const char* at, const Window& in) const noexcept {
  return {token_start_, static_cast<uint32_t>(at - in.data) - token_start_};
}

const char* HttpParser::fail(const char* at, uint16_t status, const char* reason) noexcept {
  refuse(status, reason);
  return at;
}

void HttpParser::refuse(uint16_t status, const char* reason) noexcept {
  state_ = State::kFailed;
  error_ = {status, reason};
}

// Headers that say something about the message itself; the length of its name tells most from them.
void HttpParser::take_header(const char* data) noexcept {
  const HttpHeader& header = storage_[head_.header_count];
  ++head_.header_count;
  const std::string_view name = header.name.in(data);
  const std::string_view value = header.value.in(data);
  const auto is = [name](std::string_view lower) { return equals_ignoring_case(name, lower); };
  switch (name.size()) {
    case 4:
      if (is("host")) take_host(header, value);
      break;
    case 6:
      if (is("expect")) take_expect(value);
      break;
    case 7:
      if (is("upgrade") && head_.upgrade.length == 0) head_.upgrade = header.value;
      break;
    case 10:
      if (is("connection")) take_connection(value);
      break;
    case 14:
      if (is("content-length")) take_content_length(value);
      break;
    case 17:
      if (is("transfer-encoding")) take_transfer_encoding(value);
      break;
    default:
      break;
  }
}

void HttpParser::take_host(const HttpHeader& header, std::string_view value) noexcept {
  if (has_host_) return refuse(400, "more than one host");
  if (!is_host_value(value)) return refuse(400, "host");
  has_host_ = true;
  const bool from_target = head_.target_form == HttpTargetForm::kAbsolute ||
                           head_.target_form == HttpTargetForm::kAuthority;
  if (!from_target) head_.host = header.value;
}

// Options that we do not know ask nothing of us.
void HttpParser::take_connection(std::string_view value) noexcept {
  HttpList options(value);
  while (options.next()) {
    const std::string_view option = options.member();
    if (equals_ignoring_case(option, "close")) has_close_ = true;
    if (equals_ignoring_case(option, "keep-alive")) has_keep_alive_ = true;
    if (equals_ignoring_case(option, "upgrade")) head_.connection_upgrade = true;
  }
}

// RFC 9112 6.3 would let equal lengths pass as one; who sends two is broken or means harm.
void HttpParser::take_content_length(std::string_view value) noexcept {
  if (head_.framing == HttpFraming::kChunked) return refuse(400, "both length and chunked");
  if (head_.framing == HttpFraming::kLength) return refuse(400, "more than one content-length");
  if (value.empty() || !are_http_chars(kDigitChar, value)) return refuse(400, "content-length");
  uint64_t total = 0;
  bool overflows = false;
  for (const char c : value) {
    overflows |= __builtin_mul_overflow(total, uint64_t{10}, &total);
    overflows |= __builtin_add_overflow(total, static_cast<uint64_t>(c - '0'), &total);
  }
  if (overflows || total > limits_.body_bytes_max) return refuse(413, "content-length too large");
  head_.framing = HttpFraming::kLength;
  head_.content_length = total;
}

void HttpParser::take_transfer_encoding(std::string_view value) noexcept {
  if (head_.framing == HttpFraming::kLength) return refuse(400, "both length and chunked");
  if (head_.framing == HttpFraming::kChunked) {
    return refuse(400, "more than one transfer-encoding");
  }
  // RFC 9112 6.1: the framing of such a message is faulty, even if it looks right.
  if (head_.minor_version == 0) return refuse(400, "transfer-encoding with HTTP/1.0");
  if (!equals_ignoring_case(value, "chunked")) {
    return refuse(status_of_codings(value), "transfer-encoding");
  }
  head_.framing = HttpFraming::kChunked;
}

// RFC 9110 10.1.1 has HTTP/1.0 ignore the one expectation that there is.
void HttpParser::take_expect(std::string_view value) noexcept {
  if (!equals_ignoring_case(value, "100-continue")) return refuse(417, "expect");
  head_.expects_continue = head_.minor_version == 1;
}

void HttpParser::finish() noexcept {
  const bool has_body = head_.framing == HttpFraming::kChunked || head_.content_length > 0;
  if (head_.minor_version == 1 && !has_host_) return refuse(400, "no host");
  // What follows CONNECT belongs to the tunnel (RFC 9110 9.3.6); a length would say otherwise.
  if (head_.target_form == HttpTargetForm::kAuthority && head_.framing != HttpFraming::kNone) {
    return refuse(400, "body with CONNECT");
  }
  if (head_.minor_version == 0) head_.upgrade = {};
  head_.expects_continue = head_.expects_continue && has_body;
  head_.keep_alive = !has_close_ && (head_.minor_version == 1 || has_keep_alive_);
}

}  // namespace heddle
