// Mutex, RwMutex, Semaphore, WaitGroup, Once and Barrier for fibers and OS threads. Each is a
// handle: copies are the same object. All that wait take a deadline, throw Cancelled when the task
// was asked to end, and serve whoever came first.
#pragma once

#include <cstdint>
#include <new>
#include <utility>

#include "heddle/error.h"
#include "sync/barrier.h"
#include "sync/mutex.h"
#include "sync/once.h"
#include "sync/rw_mutex.h"
#include "sync/semaphore.h"
#include "sync/wait_group.h"

namespace heddle {

namespace detail {

template <typename Core>
class Handle {
 public:
  Core* core() const noexcept { return core_.get(); }

 protected:
  template <typename... Args>
  explicit Handle(std::in_place_t, Args... args) : core_(made(new(std::nothrow) Core(args...))) {}

 private:
  Ref<Core> core_;
};

// For operations without a deadline, which end well or not at all.
inline void require_done(WaitStatus status) {
  if (status == WaitStatus::kNoMemory) made<void>(nullptr);
}

}  // namespace detail

// Works with std::lock_guard and std::unique_lock.
class Mutex : public detail::Handle<MutexCore> {
 public:
  Mutex() : Handle(std::in_place) {}
  void lock() { detail::require_done(core()->lock_for()); }
  bool try_lock() noexcept { return core()->try_lock(); }
  bool try_lock_until(uint64_t deadline_ns) {
    return core()->lock_for(deadline_ns) == WaitStatus::kDone;
  }
  // Throws Error (ERR_HEDDLE_UNLOCKED) if nobody holds it.
  void unlock() {
    if (!core()->unlock_one()) throw Error("ERR_HEDDLE_UNLOCKED", "the mutex is not locked");
  }
};

// Works with std::shared_lock and std::unique_lock.
class RwMutex : public detail::Handle<RwMutexCore> {
 public:
  RwMutex() : Handle(std::in_place) {}
  void lock() { detail::require_done(core()->lock_write()); }
  bool try_lock() noexcept { return core()->try_lock_write(); }
  void unlock() {
    if (!core()->unlock_write()) throw Error("ERR_HEDDLE_UNLOCKED", "no writer holds the mutex");
  }
  void lock_shared() { detail::require_done(core()->lock_read()); }
  bool try_lock_shared() noexcept { return core()->try_lock_read(); }
  void unlock_shared() {
    if (!core()->unlock_read()) throw Error("ERR_HEDDLE_UNLOCKED", "no reader holds the mutex");
  }
};

class Semaphore : public detail::Handle<SemaphoreCore> {
 public:
  explicit Semaphore(uint64_t permits) : Handle(std::in_place, permits) {}
  void acquire(uint64_t count = 1) { detail::require_done(core()->acquire(count)); }
  bool try_acquire(uint64_t count = 1) noexcept { return core()->try_acquire(count); }
  void release(uint64_t count = 1) { core()->release_permits(count); }
};

class WaitGroup : public detail::Handle<WaitGroupCore> {
 public:
  WaitGroup() : Handle(std::in_place) {}
  // Throws Error (ERR_HEDDLE_COUNT) if the count would become negative or too large.
  void add(int64_t delta = 1) {
    if (!core()->add(delta)) throw Error("ERR_HEDDLE_COUNT", "the count would leave 0 to 2^31-1");
  }
  void done() { add(-1); }
  void wait() { detail::require_done(core()->wait()); }
};

class Once : public detail::Handle<OnceCore> {
 public:
  Once() : Handle(std::in_place) {}
  // Returns when `function` has been run, by this call or another one. What it throws is thrown
  // here, and it counts as run.
  template <typename F>
  void call(F&& function) {
    bool is_first = false;
    detail::require_done(core()->begin(&is_first));
    if (!is_first) return;
    struct Finish {
      OnceCore* core;
      ~Finish() { core->finish(); }
    } finish{core()};
    std::forward<F>(function)();
  }
};

class Barrier : public detail::Handle<BarrierCore> {
 public:
  explicit Barrier(uint32_t parties) : Handle(std::in_place, parties) {}
  // True for the party that came last.
  bool arrive() {
    bool is_last = false;
    detail::require_done(core()->arrive(&is_last));
    return is_last;
  }
};

}  // namespace heddle
