// Cancellation, deadlines and values that reach everything that was started under them; as Go's
// context package.
//
//   auto [ctx, cancel] = heddle::background().with_timeout(500'000'000);
//   heddle::select(heddle::recv(jobs, &job), heddle::done(ctx));
#pragma once

#include <memory>
#include <utility>

#include "heddle/error.h"
#include "os/os.h"
#include "sync/context.h"

namespace heddle {

class Context {
 public:
  struct Cancellable;

  explicit Context(Ref<ContextCore> core) : core_(std::move(core)) { detail::made(core_.get()); }

  Cancellable with_cancel() const;
  Cancellable with_deadline(uint64_t deadline_ns) const;
  Cancellable with_timeout(uint64_t duration_ns) const;
  // The key is an address that is yours alone, of a static variable for example.
  Context with_value(const void* key, std::shared_ptr<void> value) const {
    return Context(core_->with_value(key, std::move(value)));
  }

  bool is_done() const noexcept { return core_->is_done(); }
  ContextError error() const noexcept { return core_->error(); }
  uint64_t deadline_ns() const noexcept { return core_->deadline_ns(); }
  std::shared_ptr<void> value(const void* key) const noexcept { return core_->value(key); }
  ContextCore* core() const noexcept { return core_.get(); }

 private:
  Ref<ContextCore> core_;
};

// Ends one context, at any time, from anywhere, as often as you like. Until it is called, a context
// with a deadline lives until then.
class Cancel {
 public:
  explicit Cancel(Context context) noexcept : context_(std::move(context)) {}
  void operator()() const noexcept { context_.core()->cancel(); }

 private:
  Context context_;
};

struct Context::Cancellable {
  Context ctx;
  Cancel cancel;
};

inline Context::Cancellable Context::with_cancel() const {
  Context child(core_->with_cancel());
  return {child, Cancel(child)};
}

inline Context::Cancellable Context::with_deadline(uint64_t deadline_ns) const {
  Context child(core_->with_deadline(deadline_ns));
  return {child, Cancel(child)};
}

inline Context::Cancellable Context::with_timeout(uint64_t duration_ns) const {
  const uint64_t now = os::now_ns();
  return with_deadline(duration_ns > os::kNever - now ? os::kNever : now + duration_ns);
}

// A root: never done.
inline Context background() { return Context(ContextCore::background()); }

}  // namespace heddle
