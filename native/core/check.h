// Broken invariants of heddle itself end the process with a message that names them. A mistake of
// the caller is never reported this way: it becomes a typed error.
#pragma once

namespace heddle {

[[noreturn]] void check_failed(const char* what, const char* file, int line) noexcept;

}  // namespace heddle

#define HEDDLE_CHECK(condition, what)                                                        \
  do {                                                                                       \
    if (__builtin_expect(!(condition), 0)) ::heddle::check_failed(what, __FILE__, __LINE__); \
  } while (false)

// Checks that would cost something on a hot path: on in test builds only.
#if defined(HEDDLE_CHECKS)
#define HEDDLE_DCHECK(condition, what) HEDDLE_CHECK(condition, what)
#else
#define HEDDLE_DCHECK(condition, what) static_cast<void>(0)
#endif
