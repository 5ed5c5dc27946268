// Which bytes may stand where in an HTTP/1.1 message: one table, one bit for each class.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace heddle {

enum HttpCharClass : uint8_t {
  kTokenChar = 1 << 0,   // tchar of RFC 9110 5.6.2: names of headers, methods, codings
  kFieldChar = 1 << 1,   // RFC 9110 5.5: visible, space, tab, and bytes from 0x80 as they are
  kTargetChar = 1 << 2,  // visible ASCII except "#", which begins a fragment
  kHostChar = 1 << 3,    // reg-name of RFC 3986 3.2.2, but for its escapes
  kDigitChar = 1 << 4,
  kHexChar = 1 << 5,
  kQuotedChar = 1 << 6,  // qdtext of RFC 9110 5.6.4
};

namespace http_chars {

constexpr bool is_in(std::string_view set, char c) noexcept {
  for (const char each : set) {
    if (each == c) return true;
  }
  return false;
}

constexpr uint8_t classes_of(unsigned byte) noexcept {
  const char c = static_cast<char>(byte);
  const bool digit = byte >= '0' && byte <= '9';
  const bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
  const bool visible = byte > 0x20 && byte < 0x7f;
  const bool field = visible || c == ' ' || c == '\t' || byte >= 0x80;
  unsigned classes = 0;
  if (digit || letter || is_in("!#$%&'*+-.^_`|~", c)) classes |= kTokenChar;
  if (field) classes |= kFieldChar;
  if (visible && c != '#') classes |= kTargetChar;
  if (digit || letter || is_in("-._~!$&'()*+,;=", c)) classes |= kHostChar;
  if (digit) classes |= kDigitChar;
  if (digit || (letter && (byte | 0x20) <= 'f')) classes |= kHexChar;
  if (field && c != '"' && c != '\\') classes |= kQuotedChar;
  return static_cast<uint8_t>(classes);
}

constexpr std::array<uint8_t, 256> make_table() noexcept {
  std::array<uint8_t, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) table[byte] = classes_of(byte);
  return table;
}

inline constexpr std::array<uint8_t, 256> kTable = make_table();

}  // namespace http_chars

constexpr bool is_http_char(HttpCharClass wanted, char c) noexcept {
  return (http_chars::kTable[static_cast<uint8_t>(c)] & wanted) != 0;
}

constexpr bool are_http_chars(HttpCharClass wanted, std::string_view text) noexcept {
  for (const char c : text) {
    if (!is_http_char(wanted, c)) return false;
  }
  return true;
}

constexpr bool is_token(std::string_view text) noexcept {
  return !text.empty() && are_http_chars(kTokenChar, text);
}

// The first byte that is not of the class, or `end`.
inline const char* skip_http_chars(HttpCharClass wanted, const char* at, const char* end) noexcept {
  while (at < end && is_http_char(wanted, *at)) ++at;
  return at;
}

// The same for kFieldChar, eight bytes at once: values are most of a head. The tests for "a byte
// below n" and "a byte of zero" are from Anderson, Bit Twiddling Hacks; what they flag falsely lies
// above a byte that they flag rightly, and the lowest flag is what counts.
inline const char* skip_field_chars(const char* at, const char* end) noexcept {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");
  constexpr uint64_t kOnes = ~uint64_t{0} / 255;
  while (end - at >= 8) {
    uint64_t word;
    std::memcpy(&word, at, sizeof word);
    const uint64_t deletes = word ^ (kOnes * 0x7f);
    const uint64_t below_space = (word - kOnes * 0x20) & ~word;
    const uint64_t is_delete = (deletes - kOnes) & ~deletes;
    const uint64_t flags = (below_space | is_delete) & (kOnes * 0x80);
    if (flags == 0) {
      at += 8;
      continue;
    }
    at += __builtin_ctzll(flags) / 8;
    if (*at != '\t') return at;
    ++at;
  }
  return skip_http_chars(kFieldChar, at, end);
}

inline bool are_field_chars(std::string_view text) noexcept {
  const char* begin = text.data();
  return skip_field_chars(begin, begin + text.size()) == begin + text.size();
}

// `lower` is in small letters.
inline bool equals_ignoring_case(std::string_view text, std::string_view lower) noexcept {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != lower[i] && (c < 'A' || c > 'Z' || (c | 0x20) != lower[i])) return false;
  }
  return true;
}

constexpr std::string_view trim_whitespace(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// A comma-separated list, member by member, empty ones included: `while (list.next())`.
class HttpList {
 public:
  explicit HttpList(std::string_view text) noexcept : rest_(text) {}

  bool next() noexcept {
    if (at_end_) return false;
    const size_t comma = rest_.find(',');
    at_end_ = comma == std::string_view::npos;
    member_ = trim_whitespace(rest_.substr(0, comma));
    if (!at_end_) rest_.remove_prefix(comma + 1);
    return true;
  }
  std::string_view member() const noexcept { return member_; }
  bool is_last() const noexcept { return at_end_; }

 private:
  std::string_view rest_;
  std::string_view member_;
  bool at_end_ = false;
};

}  // namespace heddle
