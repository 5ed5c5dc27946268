// What a built-in kernel is: a C++ function over native values, and the description by which its
// arguments are checked before anything is queued.
//
// A kernel runs on a fiber or, unchanged, on an OS thread of its own: sleep_for, blocking and
// checkpoint do the right thing on both. Kernels that compute call checkpoint() at least once per
// millisecond, so that others get the processor and a cancelled task ends. Whatever a kernel throws
// becomes the rejection of its task; heddle::Cancelled becomes the reason of the cancellation.
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "core/fiber.h"
#include "kernels/value.h"

namespace heddle {

// The arguments, which the call's description has vouched for, and the place of the result.
class KernelCall {
 public:
  KernelCall(const Value* arguments, uint32_t count, Value* result) noexcept
      : arguments_(arguments), count_(count), result_(result) {}

  bool has(uint32_t index) const noexcept {
    return index < count_ && arguments_[index].kind() != ValueKind::kUndefined;
  }
  const Value& at(uint32_t index) const noexcept { return arguments_[index]; }
  double number(uint32_t index) const noexcept { return arguments_[index].number(); }
  ByteSpan bytes(uint32_t index) const noexcept { return arguments_[index].bytes(); }
  Value& result() const noexcept { return *result_; }  // undefined unless the kernel sets it

 private:
  const Value* arguments_;
  uint32_t count_;
  Value* result_;
};

enum class ArgumentKind : uint8_t {
  kAny,
  kNumber,
  kInteger,
  kBoolean,
  kText,
  kBytes,
  kChannel,
  kSocket
};

struct ArgumentSpec {
  const char* name;
  ArgumentKind kind;
  double least = 0;  // of numbers; NaN is always refused
  double most = 0;
  bool is_optional = false;
};

inline constexpr uint32_t kMaxArguments = 3;

struct Kernel {
  const char* name;
  void (*run)(KernelCall& call);
  StackClass stack_class;
  uint32_t argument_count;
  ArgumentSpec arguments[kMaxArguments];
};

// A system call that failed; becomes an Error with code, errno, syscall and path, as Node's own.
class SystemFailure : public std::exception {
 public:
  SystemFailure(int error, const char* syscall, std::string path) noexcept
      : error_(error), syscall_(syscall), path_(std::move(path)) {}
  const char* what() const noexcept override { return syscall_; }
  int error() const noexcept { return error_; }
  const char* syscall() const noexcept { return syscall_; }
  const std::string& path() const noexcept { return path_; }

 private:
  int error_;
  const char* syscall_;
  std::string path_;
};

// A wait that a channel or lock has ended; becomes a HeddleError with that code.
class SyncFailure : public std::exception {
 public:
  SyncFailure(const char* code, const char* problem) noexcept : code_(code), problem_(problem) {}
  const char* what() const noexcept override { return problem_; }
  const char* code() const noexcept { return code_; }

 private:
  const char* code_;
  const char* problem_;
};

// A duration from JavaScript: negative is 0, and what does not fit is os::kNever. Rounded up, so
// that nothing ends early.
uint64_t nanoseconds_from_ms(double ms) noexcept;

// The kernels by id, and how many there are.
const Kernel& kernel_at(uint32_t id) noexcept;
uint32_t kernel_count() noexcept;

extern const Kernel kNoopKernel;
extern const Kernel kSleepKernel;
extern const Kernel kSpinKernel;
extern const Kernel kFibKernel;
extern const Kernel kSha256Kernel;
extern const Kernel kCrc32Kernel;
extern const Kernel kReadFileKernel;
extern const Kernel kEchoKernel;
extern const Kernel kFailKernel;
extern const Kernel kProduceKernel;
extern const Kernel kConsumeKernel;
extern const Kernel kRelayKernel;
extern const Kernel kPingPongKernel;
extern const Kernel kMapBytesKernel;
extern const Kernel kListenKernel;
extern const Kernel kAdoptKernel;
extern const Kernel kDialKernel;
extern const Kernel kAcceptKernel;
extern const Kernel kReadKernel;
extern const Kernel kWriteKernel;
extern const Kernel kEndKernel;
extern const Kernel kEchoServerKernel;
extern const Kernel kProxyServerKernel;

}  // namespace heddle
