#include "net/tcp.h"

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "core/blocking.h"

namespace heddle::net {

namespace {

constexpr uint32_t kMostAddresses = 16;

// On the heap: the stack of a compact fiber moves while the resolver works.
struct Addresses {
  os::SocketAddress list[kMostAddresses];
  uint32_t count = 0;
};

std::unique_ptr<Addresses> look_up(const std::string& host, uint16_t port, int* error) {
  auto found = std::make_unique<Addresses>();
  *error = os::resolve(host.c_str(), port, found->list, kMostAddresses, &found->count);
  if (*error < 0) *error += kResolveError;
  return found;
}

std::unique_ptr<Addresses> addresses_of(const Endpoint& endpoint, int* error) {
  auto found = std::make_unique<Addresses>();
  *error = 0;
  found->count = 1;
  if (!endpoint.path.empty()) {
    if (!os::address_from_path(endpoint.path, &found->list[0])) *error = ENAMETOOLONG;
    return found;
  }
  const std::string host = endpoint.host.empty() ? "::" : endpoint.host;
  if (os::address_from_figures(host.c_str(), endpoint.port, &found->list[0])) return found;
  // The error travels with the addresses, since the call is made on another stack.
  struct Found {
    std::unique_ptr<Addresses> addresses;
    int error;
  };
  auto result = std::make_shared<Found>();
  const uint16_t port = endpoint.port;
  blocking([result, host, port] { result->addresses = look_up(host, port, &result->error); });
  *error = result->error;
  return std::move(result->addresses);
}

bool parse_port(const std::string& text, uint16_t* port) {
  if (text.empty() || text.size() > 5) return false;
  uint32_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return false;
    value = value * 10 + static_cast<uint32_t>(digit - '0');
  }
  *port = static_cast<uint16_t>(value);
  return value <= UINT16_MAX;
}

int prepare_to_listen(int file, const Endpoint& endpoint, const os::SocketAddress& address,
                      const ListenOptions& options) noexcept {
  int error = 0;
  if (endpoint.path.empty()) {
    error = os::set_option(file, os::SocketOption::kReuseAddress, true);
    // IPv4 clients come over the same socket.
    if (endpoint.host.empty()) os::set_option(file, os::SocketOption::kOnlyIpv6, false);
  }
  if (error == 0 && options.reuse_port) {
    error = os::set_option(file, os::SocketOption::kReusePort, true);
  }
  if (error == 0) error = os::bind_to(file, address);
  return error != 0 ? error : os::listen_on(file, options.backlog);
}

SocketCore* listen_at(const Endpoint& endpoint, const os::SocketAddress& address,
                      const ListenOptions& options, int* error) noexcept {
  int file = -1;
  *error = os::open_stream(address, &file);
  if (*error != 0) return nullptr;
  *error = prepare_to_listen(file, endpoint, address, options);
  if (*error == 0) return SocketCore::make(file, error);
  os::close_file(file);
  return nullptr;
}

SocketCore* dial_address(const os::SocketAddress& address, bool is_tcp, uint64_t deadline_ns,
                         int* error) {
  int file = -1;
  *error = os::open_stream(address, &file);
  if (*error != 0) return nullptr;
  if (is_tcp) os::set_option(file, os::SocketOption::kNoDelay, true);
  *error = os::connect_to(file, address);
  if (*error != 0 && *error != EINPROGRESS) {
    os::close_file(file);
    return nullptr;
  }
  const bool is_on_its_way = *error != 0;
  Ref<SocketCore> socket(SocketCore::make(file, error));
  if (!socket) return nullptr;
  if (is_on_its_way) *error = socket->finish_connect(deadline_ns);
  return *error == 0 ? socket.detach() : nullptr;
}

}  // namespace

bool parse_endpoint(const std::string& text, Endpoint* endpoint) {
  *endpoint = Endpoint{};
  if (text.empty()) return false;
  if (text[0] == '/' || text.compare(0, 2, "./") == 0) {
    endpoint->path = text;
    return true;
  }
  if (text[0] == '@') {
    endpoint->path = std::string(1, '\0') + text.substr(1);
    return text.size() > 1;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || !parse_port(text.substr(colon + 1), &endpoint->port)) {
    return false;
  }
  endpoint->host = text.substr(0, colon);
  const bool is_bracketed = colon >= 2 && text[0] == '[' && text[colon - 1] == ']';
  if (is_bracketed) endpoint->host = text.substr(1, colon - 2);
  return is_bracketed || endpoint->host.find(':') == std::string::npos;
}

std::string endpoint_of(const os::SocketAddress& address) {
  uint16_t port = 0;
  std::string host = os::host_of(address, &port);
  if (!host.empty() && host[0] == '\0') return "@" + host.substr(1);
  if (host.empty() || host[0] == '/' || host[0] == '.') return host;
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

SocketCore* listen(const Endpoint& endpoint, const ListenOptions& options, int* error) {
  const auto addresses = addresses_of(endpoint, error);
  if (*error != 0) return nullptr;
  SocketCore* socket = listen_at(endpoint, addresses->list[0], options, error);
  if (*error == EAFNOSUPPORT && endpoint.host.empty()) {  // a machine without IPv6
    Endpoint v4 = endpoint;
    v4.host = "0.0.0.0";
    os::SocketAddress address;
    os::address_from_figures("0.0.0.0", endpoint.port, &address);
    socket = listen_at(v4, address, options, error);
  }
  return socket;
}

SocketCore* dial(const Endpoint& endpoint, uint64_t deadline_ns, int* error) {
  Endpoint to = endpoint;
  if (to.host.empty() && to.path.empty()) to.host = "localhost";
  const auto addresses = addresses_of(to, error);
  if (*error != 0) return nullptr;
  for (uint32_t i = 0; i < addresses->count; ++i) {
    SocketCore* const socket =
        dial_address(addresses->list[i], to.path.empty(), deadline_ns, error);
    if (socket != nullptr || *error == kTimedOut) return socket;
  }
  if (*error == 0) *error = ENOTCONN;  // a name without addresses
  return nullptr;
}

SocketCore* adopt(int file, int* error) noexcept {
  *error = os::adopt_listener(file);
  return *error == 0 ? SocketCore::make(file, error) : nullptr;
}

}  // namespace heddle::net
