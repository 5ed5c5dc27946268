// Calls that block the OS thread, made so that only the caller waits.
//
// A standard fiber stays on its thread; if the call does not return within a short grace and others
// wait, the monitor gives the processor to another machine. A call that returns fast costs a few
// stores. A compact fiber parks instead, and a pool thread makes the call: the function and its
// arguments are copied, and must not refer to the fiber's stack.
#pragma once

#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "core/park.h"
#include "core/scheduler.h"

namespace heddle {

// Marks the running machine as blocked for its life. Standard fibers only; elsewhere no effect.
class BlockingScope {
 public:
  BlockingScope() noexcept;
  ~BlockingScope();
  BlockingScope(const BlockingScope&) = delete;
  BlockingScope& operator=(const BlockingScope&) = delete;

 private:
  bool active_ = false;
};

namespace detail {

struct BlockingCall : BlockingPool::Job {
  Scheduler* scheduler = nullptr;
  Fiber* fiber = nullptr;  // set when the call is submitted
  uint64_t epoch = 0;
  std::exception_ptr failure;
  Atomic<uint32_t> holders{2};  // the fiber, and the pool until it has made the call
  void (*destroy)(BlockingCall* call) = nullptr;
  bool refused = false;

  void drop() noexcept {
    if (holders.fetch_sub_acq_rel(1) == 1) destroy(this);
  }
};

// Parks until the pool has made the call; throws what it threw, or Cancelled.
void await_blocking_call(BlockingCall* call);
bool runs_compact() noexcept;

template <typename R, typename F>
struct BlockingCallOf : BlockingCall {
  explicit BlockingCallOf(F callable) : function(std::move(callable)) {
    run = [](BlockingPool::Job* job) { static_cast<BlockingCallOf*>(job)->make(); };
    destroy = [](BlockingCall* call) { delete static_cast<BlockingCallOf*>(call); };
  }
  void make() noexcept {
    try {
      if constexpr (std::is_void_v<R>) {
        function();
      } else {
        result.emplace(function());
      }
    } catch (...) {
      failure = std::current_exception();
    }
    Scheduler* const owner = scheduler;
    owner->ready(fiber, epoch);
    drop();
  }
  F function;
  std::optional<std::conditional_t<std::is_void_v<R>, char, R>> result;
};

}  // namespace detail

// blocking(fn, args...) returns fn(args...), made as described above.
template <typename F, typename... Args>
auto blocking(F&& function, Args&&... args) {
  using R = std::invoke_result_t<std::decay_t<F>&, std::decay_t<Args>&...>;
  if (!detail::runs_compact()) {
    BlockingScope scope;
    return std::forward<F>(function)(std::forward<Args>(args)...);
  }
  auto bound = [f = std::decay_t<F>(std::forward<F>(function)),
                a = std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)]() mutable {
    return std::apply(f, a);
  };
  using Call = detail::BlockingCallOf<R, decltype(bound)>;
  auto* call = new Call(std::move(bound));
  struct Drop {
    Call* held;
    ~Drop() { held->drop(); }
  } drop{call};
  detail::await_blocking_call(call);
  // Without an exception there is a result.
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access)
  if constexpr (!std::is_void_v<R>) return std::move(*call->result);
}

}  // namespace heddle
