// Things that can be waited for, as JavaScript names them: made, looked at, acted on, given to
// other isolates.
#pragma once

#include "kernels/value.h"

namespace heddle {

// A new one with its first reference; a null target without memory. `number`: the capacity of a
// channel, `most` what it may grow to, `tag` its kind of elements; the permits of a semaphore; the
// parties of a barrier.
HandleRef make_handle(HandleKind kind, double number, double most, uint8_t tag) noexcept;

// What an isolate held when it ended, so that others go on: a mutex is given back poisoned.
void give_back_held(HandleRef handle, const int64_t held[2]) noexcept;

// A token stands for a reference on its way to another isolate. It works once, and for a minute.
double make_token(HandleRef handle);
HandleRef take_token(double token);  // a null target if there is none

}  // namespace heddle
