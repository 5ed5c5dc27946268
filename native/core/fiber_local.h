// Fiber-local storage: one pointer per key and fiber, like pthread_getspecific for fibers.
// On a thread that runs no fiber the values belong to the thread.
#pragma once

#include <cstdint>

#include "core/fiber.h"

namespace heddle {

// Called at the fiber's end, on the fiber, for each value that is not null. It may park.
using FiberLocalDestructor = void (*)(void* value);

inline constexpr uint32_t kFiberLocalKeys = 64;

// A key for the life of the process; kFiberLocalKeys when all are taken.
uint32_t make_fiber_local_key(FiberLocalDestructor destructor) noexcept;
void* get_fiber_local(uint32_t key) noexcept;
// False when memory is refused or the key does not exist.
bool set_fiber_local(uint32_t key, void* value) noexcept;

// Runs the destructors of the running fiber's (or thread's) values, and frees them.
void destroy_fiber_locals();

}  // namespace heddle
