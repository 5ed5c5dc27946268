// What JavaScript does with sockets, as kernels: each call is a task on a fiber. Endpoints are text
// (net/tcp.h). lib/net.ts knows their names.
#include <cerrno>
#include <cstring>
#include <new>

#include "kernels/kernel.h"
#include "net/services.h"

namespace heddle {

namespace {

using net::Endpoint;
using net::SocketCore;

constexpr uint64_t kNever = os::kNever;
constexpr double kMostBacklog = 65'535;
constexpr double kMostDescriptor = 2'147'483'647;
constexpr double kReusePort = 1;

// getaddrinfo's answers under libuv's numbers, which is how they become codes.
int number_of_resolve_error(int error) noexcept {
  constexpr int kFirst = 3000;
  switch (error - net::kResolveError) {
    case -2:  // EAI_NONAME
      return kFirst + 8;
    case -3:  // EAI_AGAIN
      return kFirst + 1;
    case -4:  // EAI_FAIL
      return kFirst + 4;
    case -6:  // EAI_FAMILY
      return kFirst + 5;
    case -10:  // EAI_MEMORY
      return kFirst + 6;
    default:
      return kFirst + 7;  // EAI_NODATA
  }
}

[[noreturn]] void fail(int error, const char* syscall, const std::string& what) {
  if (error == net::kClosedHere) {
    throw SyncFailure("ERR_HEDDLE_CLOSED", "a connection or listener was used after its close()");
  }
  if (error == EBUSY) {
    throw SyncFailure("ERR_HEDDLE_BUSY", "two operations of one direction at once");
  }
  if (error == ENOMEM) throw std::bad_alloc();
  if (error <= net::kResolveError) {
    throw SystemFailure(number_of_resolve_error(error), "getaddrinfo", what);
  }
  throw SystemFailure(error, syscall, what);
}

Endpoint endpoint_at(const KernelCall& call, uint32_t index) {
  Endpoint endpoint;
  const std::string text = call.at(index).utf8();
  if (!net::parse_endpoint(text, &endpoint)) fail(EINVAL, "endpoint", text);
  return endpoint;
}

SocketCore* socket_at(const KernelCall& call, uint32_t index) noexcept {
  return static_cast<SocketCore*>(call.at(index).handle().target);
}

void give(KernelCall& call, SocketCore* socket) {
  const Ref<SocketCore> own(socket);
  call.result().set_handle({socket, HandleKind::kSocket});
}

void run_listen(KernelCall& call) {
  net::ListenOptions options;
  options.backlog = static_cast<int>(call.number(1));
  options.reuse_port = call.number(2) == kReusePort;
  int error = 0;
  SocketCore* const socket = net::listen(endpoint_at(call, 0), options, &error);
  if (socket == nullptr) fail(error, "listen", call.at(0).utf8());
  give(call, socket);
}

void run_adopt(KernelCall& call) {
  const int file = static_cast<int>(call.number(0));
  int error = 0;
  SocketCore* const socket = net::adopt(file, &error);
  if (socket == nullptr) fail(error, "listen", "fd " + std::to_string(file));
  give(call, socket);
}

void run_dial(KernelCall& call) {
  int error = 0;
  SocketCore* const socket = net::dial(endpoint_at(call, 0), kNever, &error);
  if (socket == nullptr) fail(error, "connect", call.at(0).utf8());
  give(call, socket);
}

void run_accept(KernelCall& call) {
  int error = 0;
  SocketCore* const socket = socket_at(call, 0)->accept(kNever, &error);
  if (socket == nullptr) fail(error, "accept", "");
  socket->set_option(os::SocketOption::kNoDelay, true);
  give(call, socket);
}

// At most so many bytes, at least one; none at the end of the stream.
void run_read(KernelCall& call) {
  net::Reader reader(socket_at(call, 0));
  const auto most = static_cast<size_t>(call.number(1));
  for (;;) {
    size_t length = 0;
    unsigned char* const buffer = net::thread_buffer(&length);
    const net::IoResult read = reader.try_read(buffer, most < length ? most : length);
    if (read.error == EAGAIN) {
      if (const int error = reader.wait(kNever)) fail(error, "read", "");
      continue;
    }
    if (read.error != 0) fail(read.error, "read", "");
    unsigned char* const bytes = call.result().set_bytes(read.count);
    if (bytes == nullptr) throw std::bad_alloc();
    if (read.count != 0) std::memcpy(bytes, buffer, read.count);
    return;
  }
}

void run_write(KernelCall& call) {
  const ByteSpan bytes = call.bytes(1);
  const net::IoResult written = socket_at(call, 0)->write(bytes.data, bytes.length, kNever);
  if (written.error != 0) fail(written.error, "write", "");
}

void run_end(KernelCall& call) {
  const int error = socket_at(call, 0)->end_writing();
  // The other end has gone, as the next read says: there is nobody to tell.
  if (error != 0 && error != ENOTCONN) fail(error, "shutdown", "");
}

void run_echo_server(KernelCall& call) {
  int error = 0;
  const uint64_t count = net::serve_echo(socket_at(call, 0), &error);
  if (error != 0) fail(error, "accept", "");
  call.result().set_number(static_cast<double>(count));
}

void run_proxy_server(KernelCall& call) {
  const Endpoint to = endpoint_at(call, 1);
  int error = 0;
  const uint64_t count = net::serve_proxy(socket_at(call, 0), to, &error);
  if (error != 0) fail(error, "accept", "");
  call.result().set_number(static_cast<double>(count));
}

constexpr ArgumentSpec kListener = {"listener", ArgumentKind::kSocket};
constexpr ArgumentSpec kConnection = {"connection", ArgumentKind::kSocket};

}  // namespace

const Kernel kListenKernel = {"listen",
                              run_listen,
                              StackClass::kCompact,
                              3,
                              {{"endpoint", ArgumentKind::kText},
                               {"backlog", ArgumentKind::kInteger, 1, kMostBacklog},
                               {"flags", ArgumentKind::kInteger, 0, kReusePort}}};
const Kernel kAdoptKernel = {"adopt",
                             run_adopt,
                             StackClass::kCompact,
                             1,
                             {{"descriptor", ArgumentKind::kInteger, 0, kMostDescriptor}}};
const Kernel kDialKernel = {
    "dial", run_dial, StackClass::kCompact, 1, {{"endpoint", ArgumentKind::kText}}};
const Kernel kAcceptKernel = {"accept", run_accept, StackClass::kCompact, 1, {kListener}};
const Kernel kReadKernel = {"read",
                            run_read,
                            StackClass::kCompact,
                            2,
                            {kConnection, {"most", ArgumentKind::kInteger, 1, 4294967296.0}}};
const Kernel kWriteKernel = {
    "write", run_write, StackClass::kCompact, 2, {kConnection, {"bytes", ArgumentKind::kBytes}}};
const Kernel kEndKernel = {"end", run_end, StackClass::kCompact, 1, {kConnection}};
const Kernel kEchoServerKernel = {
    "echoServer", run_echo_server, StackClass::kCompact, 1, {kListener}};
const Kernel kProxyServerKernel = {"proxyServer",
                                   run_proxy_server,
                                   StackClass::kCompact,
                                   2,
                                   {kListener, {"endpoint", ArgumentKind::kText}}};

}  // namespace heddle
