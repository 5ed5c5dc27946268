#include "core/check.h"

#include <cstdio>
#include <cstdlib>

namespace heddle {

void check_failed(const char* what, const char* file, int line) noexcept {
  std::fprintf(stderr, "heddle: broken invariant: %s (%s:%d)\n", what, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace heddle
