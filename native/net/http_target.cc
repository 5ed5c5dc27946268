#include "net/http_target.h"

#include "net/http_chars.h"

namespace heddle {

namespace {

struct Authority {
  bool is_valid = false;
  std::string_view host;
  std::string_view port;
};

bool is_port(std::string_view text) noexcept {
  uint32_t port = 0;
  for (const char c : text) {
    if (!is_http_char(kDigitChar, c)) return false;
    port = port * 10 + static_cast<uint32_t>(c - '0');
    if (port > 65'535) return false;
  }
  return true;
}

bool is_registered_name(std::string_view text) noexcept {
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_http_char(kHostChar, text[i])) continue;
    if (text[i] != '%' || text.size() - i < 3) return false;
    if (!are_http_chars(kHexChar, text.substr(i + 1, 2))) return false;
    i += 2;
  }
  return true;
}

// What stands between brackets. Only the bytes are checked: to connect is nobody's wish here.
bool is_address(std::string_view text) noexcept {
  bool has_colon = false;
  for (const char c : text) {
    if (c == ':') has_colon = true;
    if (c != ':' && c != '.' && !is_http_char(kHexChar, c)) return false;
  }
  return has_colon;
}

// An "@" is in no class of bytes here: user names in a target or in Host are refused, as RFC 9110
// 4.2.4 advises.
Authority parse_authority(std::string_view text) noexcept {
  Authority result;
  const bool has_brackets = !text.empty() && text.front() == '[';
  const size_t host_end = has_brackets ? text.find(']') : text.find(':');
  if (has_brackets && host_end == std::string_view::npos) return result;
  const std::string_view rest =
      host_end == std::string_view::npos ? "" : text.substr(host_end + (has_brackets ? 1 : 0));
  if (!rest.empty() && rest.front() != ':') return result;
  result.host = text.substr(0, text.size() - rest.size());
  result.port = rest.empty() ? rest : rest.substr(1);
  const bool is_host =
      has_brackets ? is_address(text.substr(1, host_end - 1)) : is_registered_name(result.host);
  result.is_valid = is_host && is_port(result.port);
  return result;
}

constexpr HttpTarget kInvalidTarget{HttpTargetForm::kInvalid, {}};

// An http URI without a host is invalid (RFC 9110 4.2.1). Other schemes are for proxies.
HttpTarget classify_absolute(std::string_view target) noexcept {
  const size_t colon = target.find("://");
  if (colon == std::string_view::npos) return kInvalidTarget;
  const std::string_view scheme = target.substr(0, colon);
  if (!equals_ignoring_case(scheme, "http") && !equals_ignoring_case(scheme, "https")) {
    return kInvalidTarget;
  }
  const std::string_view rest = target.substr(colon + 3);
  const std::string_view text = rest.substr(0, rest.find_first_of("/?"));
  const Authority authority = parse_authority(text);
  if (!authority.is_valid || authority.host.empty()) return kInvalidTarget;
  return {HttpTargetForm::kAbsolute, text};
}

}  // namespace

HttpTarget classify_target(std::string_view method, std::string_view target) noexcept {
  if (method == "CONNECT") {
    const Authority authority = parse_authority(target);
    const bool is_whole = !authority.host.empty() && !authority.port.empty();
    if (!authority.is_valid || !is_whole) return kInvalidTarget;
    return {HttpTargetForm::kAuthority, target};
  }
  if (target.front() == '/') return {HttpTargetForm::kOrigin, {}};
  if (target == "*" && method == "OPTIONS") return {HttpTargetForm::kAsterisk, {}};
  return classify_absolute(target);
}

bool is_host_value(std::string_view text) noexcept { return parse_authority(text).is_valid; }

}  // namespace heddle
