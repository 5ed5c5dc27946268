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

bool RunStack::release() noexcept {
  const bool more = !ready.empty();
  executing.store_release(0);
  fence_seq_cst();  // pairs with the fence in post
  if (!more && inbox.load_relaxed() == nullptr) return false;
  uint32_t no = 0;
  return queued.compare_exchange_acq_rel(no, 1);
}

RunStack* take_run_stack() noexcept {
  {
    LockGuard guard(free_lock);
    if (free_list != nullptr) {
      RunStack* found = free_list;
      free_list = static_cast<RunStack*>(found->next);
      return found;
    }
  }
  int error = 0;
  Stack* stack = stack_pool(stack_size_log2(kRunStackBytes)).take(&error);
  if (stack == nullptr) return nullptr;
  auto* fresh = new (std::nothrow) RunStack(stack);
  HEDDLE_CHECK(fresh != nullptr, "out of memory for a run stack");
  fresh->executing.store_relaxed(1);
  return fresh;
}

void give_run_stack(RunStack* run_stack) noexcept {
  HEDDLE_DCHECK(run_stack->bound.load_relaxed() == 0, "a run stack with fibers is given back");
  LockGuard guard(free_lock);
  run_stack->next = free_list;
  free_list = run_stack;
}

}  // namespace heddle
