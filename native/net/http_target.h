// The four forms of a request target (RFC 9112 3.2) and the authority within (RFC 3986 3.2).
//
// Which bytes a target may consist of is the parser's: here it is visible ASCII without "#". What
// stands in a path or a query is the application's: escapes are neither checked nor decoded.
#pragma once

#include <cstdint>
#include <string_view>

namespace heddle {

enum class HttpTargetForm : uint8_t {
  kInvalid,
  kOrigin,     // "/path?query"
  kAbsolute,   // "http://host/path", as sent to proxies; every server accepts it
  kAuthority,  // "host:port", with CONNECT alone
  kAsterisk,   // "*", with OPTIONS alone
};

struct HttpTarget {
  HttpTargetForm form;
  std::string_view authority;  // a part of the target; empty for kOrigin and kAsterisk
};

HttpTarget classify_target(std::string_view method, std::string_view target) noexcept;

// host [":" port], where the host may be empty as in RFC 9110 7.2, and so may the port.
bool is_host_value(std::string_view text) noexcept;

}  // namespace heddle
