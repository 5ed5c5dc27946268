// What JavaScript asks of a socket without a task.
#include "addon/addon.h"
#include "addon/environment.h"
#include "addon/translate.h"
#include "net/tcp.h"

namespace heddle {

// socketAddress(id, ofPeer): the endpoint as text (net/tcp.h); undefined if it has none any more.
napi_value js_socket_address(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  auto* socket = static_cast<net::SocketCore*>(call.environment->handle_at(call.index(0)).target);
  os::SocketAddress address;
  const int error =
      call.index(1) != 0 ? socket->peer_address(&address) : socket->local_address(&address);
  return error == 0 ? string_to_js(env, net::endpoint_of(address)) : nullptr;
}

}  // namespace heddle
