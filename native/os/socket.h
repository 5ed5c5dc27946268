// Sockets, as far as the runtime uses them: streams over TCP and Unix sockets. All of them are
// non-blocking and closed on exec. Functions answer 0 or a positive errno value, as in os.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace heddle::os {

// Of any family, as the system writes it.
struct SocketAddress {
  static constexpr size_t kMostBytes = 112;
  alignas(8) unsigned char bytes[kMostBytes] = {};
  uint32_t length = 0;
};

// An IPv4 or IPv6 address in figures; false if it is a name.
bool address_from_figures(const char* host, uint16_t port, SocketAddress* address) noexcept;
// A leading null character puts it into the abstract namespace. False if it is too long.
bool address_from_path(const std::string& path, SocketAddress* address) noexcept;
// The host in figures, or the path, which begins with / or ./ or a null character; the port is 0
// for a path.
std::string host_of(const SocketAddress& address, uint16_t* port);
// Asks the system's resolver, which blocks. At most `most` addresses; a negative answer is one of
// getaddrinfo's.
int resolve(const char* host, uint16_t port, SocketAddress* addresses, uint32_t most,
            uint32_t* count) noexcept;

struct IoResult {
  size_t count = 0;
  int error = 0;
};
struct IoSpan {
  void* data;
  size_t length;
};
inline constexpr size_t kMostSpans = 64;

enum class SocketOption : uint8_t { kNoDelay, kKeepAlive, kReuseAddress, kReusePort, kOnlyIpv6 };

int open_stream(const SocketAddress& like, int* file) noexcept;
int set_option(int file, SocketOption option, bool on) noexcept;
int bind_to(int file, const SocketAddress& address) noexcept;
int listen_on(int file, int backlog) noexcept;
int accept_one(int file, int* accepted) noexcept;
// EINPROGRESS: connect_error says how it went, when the socket is writable.
int connect_to(int file, const SocketAddress& address) noexcept;
int connect_error(int file) noexcept;
int local_address(int file, SocketAddress* address) noexcept;
int peer_address(int file, SocketAddress* address) noexcept;
// A descriptor of somebody else's, untouched unless it is a stream that listens.
int adopt_listener(int file) noexcept;

IoResult read_some(int file, void* data, size_t length) noexcept;
IoResult write_some(int file, const void* data, size_t length) noexcept;  // raises no SIGPIPE
IoResult write_spans(int file, const IoSpan* spans, size_t count) noexcept;
// The calling thread sleeps until then; true: it would not block now, or has failed.
bool wait_for_file(int file, bool to_write, uint64_t deadline_ns) noexcept;
int end_writing(int file) noexcept;
// Without a word to the other end but a reset.
void reset_at_close(int file) noexcept;
void close_file(int file) noexcept;

}  // namespace heddle::os
