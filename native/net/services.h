// Servers that never leave the fibers: no JavaScript runs for their connections.
#pragma once

#include "net/tcp.h"

namespace heddle::net {

// Both serve one fiber per connection until the listener is closed, which is 0 in *error, or fails,
// or the calling fiber is cancelled; then they close their connections. They answer how many
// connections there were.

// Sends back what comes, RFC 862.
uint64_t serve_echo(SocketCore* listener, int* error);
// Passes bytes to and from one connection to `to` for each that it accepts, each way until its end.
uint64_t serve_proxy(SocketCore* listener, const Endpoint& to, int* error);

}  // namespace heddle::net
