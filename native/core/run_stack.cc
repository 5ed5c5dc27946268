#include "core/run_stack.h"

#include <new>

#include "core/check.h"
#include "core/lock.h"

namespace heddle {

namespace {
// Reserved address space; only what fibers touch is resident.
constexpr size_t kRunStackBytes = 256 * 1024;

Lock free_lock{LockRank::kRunStacks};
RunStack* free_list = nullptr;  // linked by Runnable::next
}  // namespace

bool RunStack::post(Fiber* fiber) noexcept {
  Runnable* top = inbox.load_relaxed();
  do {
    fiber->next = top;
  } while (!inbox.compare_exchange_seq_cst(top, fiber));
  // Either the holder's check in release() sees the post, or this load sees that it let go.
  fence_seq_cst();
  if (executing.load_relaxed() != 0) return false;
  uint32_t no = 0;
  return queued.compare_exchange_acq_rel(no, 1);
}

Fiber* RunStack::take_ready() noexcept {
  if (ready.empty() && inbox.load_relaxed() != nullptr) {
    Runnable* item = inbox.exchange_acq_rel(nullptr);
    Runnable* ordered = nullptr;
    while (item != nullptr) {
      Runnable* next = item->next;
      item->next = ordered;
      ordered = item;
      item = next;
    }
    while (ordered != nullptr) {
      Runnable* next = ordered->next;
      ready.push_back(ordered);
      ordered = next;
    }
  }
  return static_cast<Fiber*>(ready.pop_front());
}

bool RunStack::unused() const noexcept {
  return attached.load_acquire() == 0 && bound.load_acquire() == 0 && queued.load_acquire() == 0;
}

bool RunStack::release() noexcept {
  do {
    uint32_t no = 0;
    if (unused() && queued.compare_exchange_acq_rel(no, 1)) {
      LockGuard guard(free_lock);
      next = free_list;
      free_list = this;
      return false;
    }
    const bool more = !ready.empty();
    executing.store_release(0);
    fence_seq_cst();  // pairs with the fences in post, detach and hold_run_stack
    if (more || inbox.load_relaxed() != nullptr) {
      no = 0;
      return queued.compare_exchange_acq_rel(no, 1);
    }
    // Who detached it or took it out of a queue meanwhile has left it to us.
  } while (unused() && try_acquire());
  return false;
}

bool RunStack::detach() noexcept {
  attached.store_release(0);
  fence_seq_cst();  // pairs with the fence in release
  return try_acquire() && release();
}

RunStack* take_run_stack() noexcept {
  RunStack* found = nullptr;
  {
    LockGuard guard(free_lock);
    found = free_list;
    if (found != nullptr) free_list = static_cast<RunStack*>(found->next);
  }
  if (found != nullptr) {
    found->attached.store_relaxed(1);
    found->queued.store_release(0);
    return found;
  }
  int error = 0;
  Stack* stack = stack_pool(stack_size_log2(kRunStackBytes)).take(&error);
  if (stack == nullptr) return nullptr;
  auto* fresh = new (std::nothrow) RunStack(stack);
  HEDDLE_CHECK(fresh != nullptr, "out of memory for a run stack");
  fresh->executing.store_relaxed(1);
  fresh->attached.store_relaxed(1);
  return fresh;
}

}  // namespace heddle
