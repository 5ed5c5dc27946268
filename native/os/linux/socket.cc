#include "os/socket.h"

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/os.h"

namespace heddle::os {

namespace {

template <typename T>
const T* as(const SocketAddress& address) noexcept {
  return reinterpret_cast<const T*>(address.bytes);
}
template <typename T>
void assign(SocketAddress* address, const T& system, size_t length = sizeof(T)) noexcept {
  static_assert(sizeof(T) <= SocketAddress::kMostBytes, "an address fits");
  std::memcpy(address->bytes, &system, sizeof system);
  address->length = static_cast<uint32_t>(length);
}

template <typename Call>
auto retry(Call call) noexcept {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

IoResult result_of(ssize_t count) noexcept {
  if (count >= 0) return {static_cast<size_t>(count), 0};
  return {0, errno};
}

}  // namespace

bool address_from_figures(const char* host, uint16_t port, SocketAddress* address) noexcept {
  sockaddr_in v4{};
  if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    assign(address, v4);
    return true;
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1) return false;
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  assign(address, v6);
  return true;
}

bool address_from_path(const std::string& path, SocketAddress* address) noexcept {
  sockaddr_un system{};
  const bool is_abstract = !path.empty() && path[0] == '\0';
  if (path.empty() || path.size() + (is_abstract ? 0 : 1) > sizeof system.sun_path) return false;
  system.sun_family = AF_UNIX;
  std::memcpy(system.sun_path, path.data(), path.size());
  const size_t end = offsetof(sockaddr_un, sun_path) + path.size() + (is_abstract ? 0 : 1);
  assign(address, system, end);
  return true;
}

std::string host_of(const SocketAddress& address, uint16_t* port) {
  char text[INET6_ADDRSTRLEN] = "";
  *port = 0;
  switch (as<sockaddr>(address)->sa_family) {
    case AF_INET:
      *port = ntohs(as<sockaddr_in>(address)->sin_port);
      inet_ntop(AF_INET, &as<sockaddr_in>(address)->sin_addr, text, sizeof text);
      return text;
    case AF_INET6:
      *port = ntohs(as<sockaddr_in6>(address)->sin6_port);
      inet_ntop(AF_INET6, &as<sockaddr_in6>(address)->sin6_addr, text, sizeof text);
      return text;
    case AF_UNIX: {
      const size_t start = offsetof(sockaddr_un, sun_path);
      if (address.length <= start) return "";
      std::string path(as<sockaddr_un>(address)->sun_path, address.length - start);
      if (path[0] == '\0') return path;
      path.resize(std::strlen(path.c_str()));
      const bool is_plain = path[0] == '/' || path.compare(0, 2, "./") == 0;
      return is_plain ? path : "./" + path;
    }
    default:
      return "";
  }
}

int resolve(const char* host, uint16_t port, SocketAddress* addresses, uint32_t most,
            uint32_t* count) noexcept {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host, nullptr, &hints, &found);
  if (error == EAI_SYSTEM) return errno;
  if (error != 0) return error;
  *count = 0;
  for (const addrinfo* each = found; each != nullptr && *count < most; each = each->ai_next) {
    SocketAddress& address = addresses[(*count)++];
    std::memcpy(address.bytes, each->ai_addr, each->ai_addrlen);
    address.length = each->ai_addrlen;
    if (each->ai_family == AF_INET) {
      reinterpret_cast<sockaddr_in*>(address.bytes)->sin_port = htons(port);
    } else {
      reinterpret_cast<sockaddr_in6*>(address.bytes)->sin6_port = htons(port);
    }
  }
  freeaddrinfo(found);
  return 0;
}

int open_stream(const SocketAddress& like, int* file) noexcept {
  constexpr int kType = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  *file = socket(as<sockaddr>(like)->sa_family, kType, 0);
  return *file >= 0 ? 0 : errno;
}

int set_option(int file, SocketOption option, bool on) noexcept {
  struct Name {
    int level, name;
  };
  static const Name kNames[] = {{IPPROTO_TCP, TCP_NODELAY},
                                {SOL_SOCKET, SO_KEEPALIVE},
                                {SOL_SOCKET, SO_REUSEADDR},
                                {SOL_SOCKET, SO_REUSEPORT},
                                {IPPROTO_IPV6, IPV6_V6ONLY}};
  const Name& which = kNames[static_cast<size_t>(option)];
  const int value = on ? 1 : 0;
  return setsockopt(file, which.level, which.name, &value, sizeof value) == 0 ? 0 : errno;
}

int bind_to(int file, const SocketAddress& address) noexcept {
  return bind(file, as<sockaddr>(address), address.length) == 0 ? 0 : errno;
}

int listen_on(int file, int backlog) noexcept { return listen(file, backlog) == 0 ? 0 : errno; }

int accept_one(int file, int* accepted) noexcept {
  *accepted = retry([&] { return accept4(file, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); });
  return *accepted >= 0 ? 0 : errno;
}

int connect_to(int file, const SocketAddress& address) noexcept {
  // An interrupted call goes on by itself, as one in progress does.
  if (connect(file, as<sockaddr>(address), address.length) == 0) return 0;
  return errno == EINTR ? EINPROGRESS : errno;
}

int connect_error(int file) noexcept {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

int local_address(int file, SocketAddress* address) noexcept {
  socklen_t length = SocketAddress::kMostBytes;
  if (getsockname(file, reinterpret_cast<sockaddr*>(address->bytes), &length) != 0) return errno;
  address->length = length;
  return 0;
}

int peer_address(int file, SocketAddress* address) noexcept {
  socklen_t length = SocketAddress::kMostBytes;
  if (getpeername(file, reinterpret_cast<sockaddr*>(address->bytes), &length) != 0) return errno;
  address->length = length;
  return 0;
}

int adopt_listener(int file) noexcept {
  int type = 0, accepts = 0;
  socklen_t length = sizeof type;
  if (getsockopt(file, SOL_SOCKET, SO_TYPE, &type, &length) != 0) return errno;
  if (type != SOCK_STREAM) return EPROTOTYPE;
  if (getsockopt(file, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &length) != 0) return errno;
  if (accepts == 0) return EINVAL;
  const int flags = fcntl(file, F_GETFL);
  if (flags < 0 || fcntl(file, F_SETFL, flags | O_NONBLOCK) != 0) return errno;
  return fcntl(file, F_SETFD, FD_CLOEXEC) == 0 ? 0 : errno;
}

// The library's own calls are places where a thread may be cancelled, which costs 2 % of a small
// echo.
IoResult read_some(int file, void* data, size_t length) noexcept {
  return result_of(retry([&] { return syscall(SYS_recvfrom, file, data, length, 0, 0, 0); }));
}

IoResult write_some(int file, const void* data, size_t length) noexcept {
  return result_of(
      retry([&] { return syscall(SYS_sendto, file, data, length, MSG_NOSIGNAL, 0, 0); }));
}

IoResult write_spans(int file, const IoSpan* spans, size_t count) noexcept {
  static_assert(sizeof(IoSpan) == sizeof(iovec) && offsetof(IoSpan, length) == sizeof(void*),
                "a span is what the system takes");
  msghdr message{};
  message.msg_iov = reinterpret_cast<iovec*>(const_cast<IoSpan*>(spans));
  message.msg_iovlen = count < kMostSpans ? count : kMostSpans;
  return result_of(retry([&] { return sendmsg(file, &message, MSG_NOSIGNAL); }));
}

bool wait_for_file(int file, bool to_write, uint64_t deadline_ns) noexcept {
  const uint64_t now = now_ns();
  const uint64_t left_ns = deadline_ns > now ? deadline_ns - now : 0;
  timespec timeout{};
  timeout.tv_sec = static_cast<time_t>(left_ns / 1'000'000'000);
  timeout.tv_nsec = static_cast<long>(left_ns % 1'000'000'000);
  pollfd wanted{file, static_cast<short>(to_write ? POLLOUT : POLLIN | POLLRDHUP), 0};
  return ppoll(&wanted, 1, &timeout, nullptr) > 0;
}

int end_writing(int file) noexcept { return shutdown(file, SHUT_WR) == 0 ? 0 : errno; }

void reset_at_close(int file) noexcept {
  const linger now{1, 0};
  setsockopt(file, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

// On Linux the descriptor is free even if close() was interrupted.
void close_file(int file) noexcept { close(file); }

}  // namespace heddle::os
