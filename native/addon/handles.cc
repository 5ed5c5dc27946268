#include "addon/handles.h"

#include <mutex>
#include <new>
#include <unordered_map>

#include "addon/runtime.h"
#include "sync/barrier.h"
#include "sync/channel.h"
#include "sync/context.h"
#include "sync/mutex.h"
#include "sync/once.h"
#include "sync/rw_mutex.h"
#include "sync/semaphore.h"
#include "sync/wait_group.h"

namespace heddle {

namespace {

void drop_value(Cell* cell) noexcept {
  Value value;
  value.move_from(*cell);
}

Waitable* make_target(HandleKind kind, double number, double most, uint8_t tag) noexcept {
  constexpr bool kTracked = true;
  switch (kind) {
    case HandleKind::kChannel: {
      ChannelOptions options;
      options.capacity = static_cast<uint32_t>(number);
      options.max_capacity = static_cast<uint32_t>(most);
      options.tag = tag;
      options.is_tracked = kTracked;
      options.drop = drop_value;
      return ChannelCore::create(options);
    }
    case HandleKind::kMutex:
      return new (std::nothrow) MutexCore(kTracked);
    case HandleKind::kRwMutex:
      return new (std::nothrow) RwMutexCore(kTracked);
    case HandleKind::kSemaphore:
      return new (std::nothrow) SemaphoreCore(static_cast<uint64_t>(number), kTracked);
    case HandleKind::kWaitGroup:
      return new (std::nothrow) WaitGroupCore(kTracked);
    case HandleKind::kOnce:
      return new (std::nothrow) OnceCore(kTracked);
    case HandleKind::kBarrier:
      return new (std::nothrow) BarrierCore(static_cast<uint32_t>(number), kTracked);
    case HandleKind::kContext:
      return ContextCore::background().detach();
    case HandleKind::kSocket:
      break;  // they come from kernels
  }
  return nullptr;
}

constexpr uint64_t kTokenLifeNs = 60'000'000'000;
struct Token {
  HandleRef handle;
  uint64_t expires_ns;
};
std::mutex token_mutex;  // isolates that share; no fiber runs this
std::unordered_map<uint64_t, Token>& tokens() {
  static auto* all = new std::unordered_map<uint64_t, Token>;
  return *all;
}

// Runs when the newest token may have expired: a token that nobody took keeps nothing alive.
void sweep_tokens(void*) noexcept {
  const std::lock_guard<std::mutex> guard(token_mutex);
  const uint64_t now = os::now_ns();
  for (auto each = tokens().begin(); each != tokens().end();) {
    if (each->second.expires_ns > now) {
      ++each;
    } else {
      each->second.handle.target->release();
      each = tokens().erase(each);
    }
  }
}

}  // namespace

HandleRef make_handle(HandleKind kind, double number, double most, uint8_t tag) noexcept {
  return HandleRef{make_target(kind, number, most, tag), kind};
}

void give_back_held(HandleRef handle, const int64_t held[2]) noexcept {
  if (held[0] <= 0 && held[1] <= 0) return;
  switch (handle.kind) {
    case HandleKind::kMutex: {
      auto* mutex = static_cast<MutexCore*>(handle.target);
      mutex->poison();
      mutex->unlock_one();
      break;
    }
    case HandleKind::kRwMutex: {
      auto* mutex = static_cast<RwMutexCore*>(handle.target);
      for (int64_t i = 0; i < held[0]; ++i) mutex->unlock_read();
      if (held[1] <= 0) break;
      mutex->poison();
      mutex->unlock_write();
      break;
    }
    case HandleKind::kSemaphore:
      static_cast<SemaphoreCore*>(handle.target)->release_permits(static_cast<uint64_t>(held[0]));
      break;
    case HandleKind::kOnce:
      static_cast<OnceCore*>(handle.target)->finish();
      break;
    default:
      break;
  }
}

double make_token(HandleRef handle) {
  constexpr uint64_t kSafeIntegers = (uint64_t{1} << 53) - 1;
  const uint64_t expires_ns = os::now_ns() + kTokenLifeNs;
  uint64_t token;
  {
    const std::lock_guard<std::mutex> guard(token_mutex);
    do {
      token = os::random_seed() & kSafeIntegers;
    } while (!tokens().emplace(token, Token{handle, expires_ns}).second);
  }
  start_timer(runtime(), expires_ns + 1, sweep_tokens, nullptr);
  return static_cast<double>(token);
}

HandleRef take_token(double token) {
  const std::lock_guard<std::mutex> guard(token_mutex);
  const auto found = tokens().find(static_cast<uint64_t>(token));
  if (found == tokens().end() || found->second.expires_ns <= os::now_ns()) return HandleRef{};
  const HandleRef handle = found->second.handle;
  tokens().erase(found);
  return handle;
}

}  // namespace heddle
