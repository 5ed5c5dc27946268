// Listening and dialling, over TCP and Unix sockets.
//
//   host:port, [::1]:port, :port (all addresses)    TCP
//   /a/path, ./a/path, @name                        a Unix socket; @: the abstract namespace
#pragma once

#include <string>

#include "net/socket.h"

namespace heddle::net {

// Where to, as a user writes it.
struct Endpoint {
  std::string host;  // of TCP; empty: all addresses
  std::string path;  // of a Unix socket; else empty
  uint16_t port = 0;
};
// False if it is none of the forms above.
bool parse_endpoint(const std::string& text, Endpoint* endpoint);
// As it was parsed.
std::string endpoint_of(const os::SocketAddress& address);

struct ListenOptions {
  int backlog = 511;  // Node's default; the system's limit may be lower
  bool reuse_port = false;
};

// A socket with one handle, the caller's; nullptr and *error: an errno value, kTimedOut, or one of
// getaddrinfo's, `kResolveError` lower.
inline constexpr int kResolveError = -1000;
SocketCore* listen(const Endpoint& endpoint, const ListenOptions& options, int* error);
// Tries the addresses of a name one after the other. Throws Cancelled.
SocketCore* dial(const Endpoint& endpoint, uint64_t deadline_ns, int* error);
// A socket that somebody else has opened, and that listens; else EINVAL, and it stays theirs.
SocketCore* adopt(int file, int* error) noexcept;

}  // namespace heddle::net
