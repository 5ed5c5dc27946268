// How the tests of the HTTP layer, its fuzzer and its oracle feed bytes in pieces, and what came of
// them as text, so that two results are equal exactly if their texts are.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_body.h"
#include "net/http_parser.h"

namespace heddle::test {

// A parser with its headers.
struct ParsedHead {
  explicit ParsedHead(const HttpLimits& limits = {})
      : storage(limits.header_count_max), parser(storage.data(), limits) {}
  ParsedHead(const ParsedHead&) = delete;

  std::vector<HttpHeader> storage;
  HttpParser parser;
  HttpProgress progress = HttpProgress::kNeedMore;
};

// Each call sees the bytes so far in a block of their own that ends where they end, and that the
// next call does not find again: what is read beyond, or kept, shows under AddressSanitizer.
inline HttpProgress parse_block(HttpParser& parser, std::string_view bytes) {
  const std::unique_ptr<char[]> block(new char[bytes.size()]);
  if (!bytes.empty()) std::memcpy(block.get(), bytes.data(), bytes.size());
  return parser.parse(block.get(), bytes.size());
}

// `next(left)` says how many bytes come next, 1 to left.
template <typename Next>
void parse_pieces(ParsedHead& into, std::string_view bytes, Next next) {
  size_t received = 0;
  while (into.progress == HttpProgress::kNeedMore && received < bytes.size()) {
    received += next(bytes.size() - received);
    into.progress = parse_block(into.parser, bytes.substr(0, received));
  }
}

inline void append_flag(std::string& text, const char* name, bool holds) {
  if (holds) text.append(" ").append(name);
}

inline std::string describe_head(const ParsedHead& parsed, const char* data) {
  if (parsed.progress == HttpProgress::kNeedMore) return "needs more";
  if (parsed.progress == HttpProgress::kError) {
    const HttpError& error = parsed.parser.error();
    return std::to_string(error.status) + " " + error.reason;
  }
  const HttpRequestHead& head = parsed.parser.head();
  std::string text;
  for (const HttpSpan part : {head.method, head.target, head.host, head.upgrade}) {
    text.append(part.in(data)).append("|");
  }
  for (const uint64_t number :
       {uint64_t{head.minor_version}, static_cast<uint64_t>(head.target_form),
        static_cast<uint64_t>(head.framing), head.content_length}) {
    text.append(std::to_string(number)).append("|");
  }
  append_flag(text, "keep-alive", head.keep_alive);
  append_flag(text, "expects-continue", head.expects_continue);
  append_flag(text, "connection-upgrade", head.connection_upgrade);
  for (uint32_t i = 0; i < head.header_count; ++i) {
    const HttpHeader& header = head.headers[i];
    text.append("\n").append(header.name.in(data)).append("=").append(header.value.in(data));
  }
  return text;
}

inline std::string describe_head(std::string_view bytes, const HttpLimits& limits = {}) {
  ParsedHead parsed(limits);
  parse_pieces(parsed, bytes, [](size_t left) { return left; });
  return describe_head(parsed, bytes.data());
}

// The views lie within the head, in order, and are of the bytes they may be of.
inline bool is_valid_head(const HttpRequestHead& head, std::string_view bytes) {
  const auto within = [&](HttpSpan span) { return span.offset + span.length <= head.length; };
  bool valid = head.length <= bytes.size() && within(head.method) && within(head.target) &&
               within(head.host) && within(head.upgrade) && head.method.length > 0 &&
               head.target.length > 0 && head.target_form != HttpTargetForm::kInvalid;
  uint32_t end = head.target.offset + head.target.length;
  for (uint32_t i = 0; valid && i < head.header_count; ++i) {
    const HttpHeader& header = head.headers[i];
    const std::string_view value = header.value.in(bytes.data());
    valid = header.name.offset > end && header.name.length > 0 &&
            header.value.offset > header.name.offset + header.name.length && within(header.value) &&
            value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
    end = header.value.offset + header.value.length;
  }
  return valid && bytes.substr(0, head.length).substr(head.length - 4) == "\r\n\r\n";
}

// The head as another sender would write it.
inline std::string write_request(const HttpRequestHead& head, const char* data) {
  std::string text;
  text.append(head.method.in(data)).append(" ").append(head.target.in(data));
  text.append(" HTTP/1.").append(std::to_string(head.minor_version)).append("\r\n");
  for (uint32_t i = 0; i < head.header_count; ++i) {
    const HttpHeader& header = head.headers[i];
    text.append(header.name.in(data)).append(": ").append(header.value.in(data)).append("\r\n");
  }
  return text.append("\r\n");
}

struct DecodedBody {
  HttpBodyState state = HttpBodyState::kNeedMore;
  std::string data;
  size_t used = 0;
  HttpError error;
};

template <typename Next>
DecodedBody decode_pieces(std::string_view bytes, Next next, const HttpBodyLimits& limits = {}) {
  ChunkedDecoder decoder(limits);
  DecodedBody result;
  while (result.state == HttpBodyState::kNeedMore && result.used < bytes.size()) {
    const size_t length = next(bytes.size() - result.used);
    const std::unique_ptr<char[]> block(new char[length]);
    std::memcpy(block.get(), bytes.data() + result.used, length);
    size_t at = 0;
    do {
      const HttpBodyPart part = decoder.decode(block.get() + at, length - at);
      if (part.used > length - at || part.data.offset + part.data.length > part.used) std::abort();
      result.data.append(part.data.in(block.get() + at));
      result.state = part.state;
      at += part.used;
    } while (result.state == HttpBodyState::kData);
    result.used += at;
  }
  result.error = decoder.error();
  return result;
}

inline std::string describe_body(const DecodedBody& body) {
  if (body.state == HttpBodyState::kError) {
    return std::to_string(body.error.status) + " " + body.error.reason + " after " + body.data;
  }
  const char* state = body.state == HttpBodyState::kComplete ? "complete " : "needs more ";
  return state + std::to_string(body.used) + " " + body.data;
}

inline std::string describe_body(std::string_view bytes, const HttpBodyLimits& limits = {}) {
  return describe_body(decode_pieces(bytes, [](size_t left) { return left; }, limits));
}

}  // namespace heddle::test
