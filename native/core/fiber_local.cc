#include "core/fiber_local.h"

#include <cstdlib>

#include "core/lock.h"
#include "core/park.h"

namespace heddle {

struct FiberLocals {
  void* values[kFiberLocalKeys];
};

namespace {
// POSIX repeats destructors that set values again (PTHREAD_DESTRUCTOR_ITERATIONS); so do we.
constexpr int kRounds = 4;

Lock keys_lock{LockRank::kFiberLocals};
uint32_t key_count = 0;
Atomic<FiberLocalDestructor> destructors[kFiberLocalKeys];

FiberLocals*& running_locals() noexcept {
  Fiber* fiber = current_fiber();
  return fiber != nullptr ? fiber->locals : os::thread_slot().locals;
}
}  // namespace

uint32_t make_fiber_local_key(FiberLocalDestructor destructor) noexcept {
  LockGuard guard(keys_lock);
  if (key_count == kFiberLocalKeys) return kFiberLocalKeys;
  destructors[key_count].store_release(destructor);
  return key_count++;
}

void* get_fiber_local(uint32_t key) noexcept {
  if (key >= kFiberLocalKeys) return nullptr;
  FiberLocals* locals = running_locals();
  return locals != nullptr ? locals->values[key] : nullptr;
}

bool set_fiber_local(uint32_t key, void* value) noexcept {
  if (key >= kFiberLocalKeys) return false;
  FiberLocals*& locals = running_locals();
  if (locals == nullptr) {
    locals = static_cast<FiberLocals*>(std::calloc(1, sizeof(FiberLocals)));
    if (locals == nullptr) return false;
  }
  locals->values[key] = value;
  return true;
}

void destroy_fiber_locals() {
  FiberLocals* locals = running_locals();
  if (locals == nullptr) return;
  for (int round = 0; round < kRounds; ++round) {
    bool again = false;
    for (uint32_t key = 0; key < kFiberLocalKeys; ++key) {
      void* value = locals->values[key];
      FiberLocalDestructor destructor = destructors[key].load_acquire();
      if (value == nullptr || destructor == nullptr) continue;
      locals->values[key] = nullptr;
      try {
        destructor(value);
      } catch (const Cancelled&) {
        // The fiber ends anyway; the next destructor still gets its turn.
      }
      again = true;
    }
    if (!again) break;
  }
  running_locals() = nullptr;
  std::free(locals);
}

}  // namespace heddle
