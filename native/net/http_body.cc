#include "net/http_body.h"

#include <algorithm>

#include "net/http_chars.h"

namespace heddle {

namespace {

// RFC 9110 6.5.1 in words, golang.org/x/net/http/httpguts in names: framing, routing, requests'
// conditions, authentication, and how content is read. Those that begin with "if-" as well.
constexpr std::string_view kForbiddenTrailers[] = {
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "realm",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
};

bool is_forbidden_trailer(std::string_view name) noexcept {
  if (name.substr(0, 3) == "if-") return true;
  return std::find(std::begin(kForbiddenTrailers), std::end(kForbiddenTrailers), name) !=
         std::end(kForbiddenTrailers);
}

uint64_t hex_value(char c) noexcept {
  return static_cast<uint64_t>(is_http_char(kDigitChar, c) ? c - '0' : (c | 0x20) - 'a' + 10);
}

}  // namespace

HttpBodyPart ChunkedDecoder::decode(const char* data, size_t length) noexcept {
  const auto end = static_cast<uint32_t>(std::min<size_t>(length, UINT32_MAX));
  uint32_t at = 0;
  while (at < end && state_ < State::kComplete) {
    if (state_ == State::kData) {
      const auto taken = static_cast<uint32_t>(std::min<uint64_t>(chunk_left_, end - at));
      chunk_left_ -= taken;
      if (chunk_left_ == 0) state_ = State::kDataCr;
      extension_excess_ -= std::min<uint64_t>(extension_excess_, taken);
      return {HttpBodyState::kData, {at, taken}, size_t{at} + taken};
    }
    step(data[at]);
    if (state_ != State::kFailed) ++at;
  }
  if (state_ == State::kFailed) return {HttpBodyState::kError, {at, 0}, at};
  const bool is_complete = state_ == State::kComplete;
  return {is_complete ? HttpBodyState::kComplete : HttpBodyState::kNeedMore, {at, 0}, at};
}

void ChunkedDecoder::step(char c) noexcept {
  if (state_ <= State::kSizeLf) return step_size(c);
  if (state_ <= State::kExtensionEnd) return step_extension(c);
  if (state_ == State::kDataCr) return expect(c, '\r', State::kDataLf);
  if (state_ == State::kDataLf) return expect(c, '\n', State::kSizeStart);
  if (++trailer_bytes_ > limits_.trailer_bytes_max) return refuse(431, "trailers too long");
  step_trailer(c);
}

// White space around a size and in extensions, which RFC 9112 lets recipients accept, is what they
// have disagreed on: it is refused, as by llhttp.
void ChunkedDecoder::step_size(char c) noexcept {
  if (state_ == State::kSizeLf) {
    expect(c, '\n', State::kData);
    if (state_ == State::kData) finish_size();
    return;
  }
  const bool is_first = state_ == State::kSizeStart;
  if (is_http_char(kHexChar, c)) {
    token_bytes_ = is_first ? 1 : token_bytes_ + 1;
    chunk_left_ = is_first ? hex_value(c) : chunk_left_ << 4 | hex_value(c);
    state_ = State::kSize;
    // As many digits as the largest size has, leading zeros included.
    if (token_bytes_ > 16) refuse(400, "chunk size too large");
    return;
  }
  if (!is_first && c == ';') {
    token_bytes_ = 0;
    state_ = State::kExtensionName;
    return;
  }
  if (is_first) return refuse(400, "chunk size");
  expect(c, '\r', State::kSizeLf);
}

void ChunkedDecoder::finish_size() noexcept {
  if (chunk_left_ == 0) {
    state_ = State::kTrailerStart;
    return;
  }
  if (chunk_left_ > limits_.body_bytes_max - body_bytes_) return refuse(413, "body too large");
  body_bytes_ += chunk_left_;
}

// chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] )
void ChunkedDecoder::step_extension(char c) noexcept {
  // Clients that sign each chunk put about a hundred bytes here, so that a sum over the whole body
  // would bound its length; hence the excess over the data, as in Go's net/http/internal.
  if (++extension_excess_ > limits_.extension_bytes_max) {
    return refuse(413, "chunk extensions too long");
  }
  const bool in_token = state_ == State::kExtensionName || state_ == State::kExtensionToken;
  if (state_ == State::kExtensionEscape) {
    if (!is_http_char(kFieldChar, c)) return refuse(400, "chunk extension");
    state_ = State::kExtensionQuoted;
  } else if (state_ == State::kExtensionQuoted) {
    if (c == '"') {
      state_ = State::kExtensionEnd;
    } else if (c == '\\') {
      state_ = State::kExtensionEscape;
    } else if (!is_http_char(kQuotedChar, c)) {
      refuse(400, "chunk extension");
    }
  } else if (state_ == State::kExtensionValue && c == '"') {
    state_ = State::kExtensionQuoted;
  } else if (state_ != State::kExtensionEnd && is_http_char(kTokenChar, c)) {
    ++token_bytes_;
    if (!in_token) state_ = State::kExtensionToken;
  } else if (state_ != State::kExtensionEnd && token_bytes_ == 0) {
    refuse(400, "chunk extension");
  } else if (c == ';' || (c == '=' && state_ == State::kExtensionName)) {
    token_bytes_ = 0;
    state_ = c == ';' ? State::kExtensionName : State::kExtensionValue;
  } else {
    if (c != '\r') return refuse(400, "chunk extension");
    state_ = State::kSizeLf;
  }
}

void ChunkedDecoder::step_trailer(char c) noexcept {
  switch (state_) {
    case State::kTrailerStart:
      if (c == '\r') {
        state_ = State::kLastLf;
        return;
      }
      token_bytes_ = 0;
      state_ = State::kTrailerName;
      [[fallthrough]];
    case State::kTrailerName:
      if (c == ':') return finish_trailer_name();
      if (!is_http_char(kTokenChar, c)) return refuse(400, "trailer name");
      if (token_bytes_ < kNameBytesKept) {
        name_[token_bytes_] = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
      }
      ++token_bytes_;
      return;
    case State::kTrailerValue:
      if (is_http_char(kFieldChar, c)) return;
      return expect(c, '\r', State::kTrailerLf);
    case State::kTrailerLf:
      return expect(c, '\n', State::kTrailerStart);
    default:
      return expect(c, '\n', State::kComplete);
  }
}

void ChunkedDecoder::finish_trailer_name() noexcept {
  if (token_bytes_ == 0) return refuse(400, "trailer name");
  const std::string_view name(name_, std::min<size_t>(token_bytes_, kNameBytesKept));
  if (is_forbidden_trailer(name)) return refuse(400, "forbidden trailer");
  state_ = State::kTrailerValue;
}

void ChunkedDecoder::expect(char c, char wanted, State next) noexcept {
  if (c != wanted) return refuse(400, "line end in a chunked body");
  state_ = next;
}

void ChunkedDecoder::refuse(uint16_t status, const char* reason) noexcept {
  state_ = State::kFailed;
  error_ = {status, reason};
}

}  // namespace heddle
