// What the C++ face throws when it is used wrongly, or when the system refuses memory.
#pragma once

#include <stdexcept>

namespace heddle {

// `code` is one of those in lib/errors.ts: an Error that leaves a kernel becomes the rejection of
// its task, with that code.
class Error : public std::runtime_error {
 public:
  Error(const char* code, const char* problem) : std::runtime_error(problem), code_(code) {}
  const char* code() const noexcept { return code_; }

 private:
  const char* code_;
};

namespace detail {
template <typename T>
T* made(T* object) {
  if (object == nullptr) throw Error("ERR_HEDDLE_MEMORY", "the system refuses memory");
  return object;
}
}  // namespace detail

}  // namespace heddle
