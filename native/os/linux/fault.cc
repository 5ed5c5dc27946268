#include <cerrno>
#include <csignal>
#include <cstring>

#include <ucontext.h>
#include <unistd.h>

#include "os/os.h"

namespace heddle::os {

namespace {

FaultReport fault_report = nullptr;
struct sigaction previous_segv;
struct sigaction previous_bus;

Fault read_fault(const siginfo_t* info, const void* context) noexcept {
  const auto* machine = &static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  const auto pc = static_cast<uintptr_t>(machine->gregs[REG_RIP]);
  const auto sp = static_cast<uintptr_t>(machine->gregs[REG_RSP]);
#else
  const auto pc = static_cast<uintptr_t>(machine->pc);
  const auto sp = static_cast<uintptr_t>(machine->sp);
#endif
  return Fault{info->si_addr, reinterpret_cast<const void*>(pc), reinterpret_cast<const void*>(sp)};
}

void chain(int signal, siginfo_t* info, void* context, const struct sigaction& previous) noexcept {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    // The instruction faults again, now without a handler: the same end as without heddle.
    struct sigaction plain{};
    plain.sa_handler = SIG_DFL;
    sigaction(signal, &plain, nullptr);
  }
}

void handle_fault(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  // A guard hit has si_code SEGV_MAPERR or SEGV_ACCERR by its kind: the address alone decides.
  if (fault_report != nullptr) fault_report(read_fault(info, context));
  chain(signal, info, context, signal == SIGSEGV ? previous_segv : previous_bus);
  errno = saved_errno;
}

}  // namespace

void install_fault_report(FaultReport report) noexcept {
  const bool is_first = fault_report == nullptr;
  fault_report = report;
  if (!is_first) return;
  struct sigaction action{};
  action.sa_sigaction = handle_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &previous_segv);
  sigaction(SIGBUS, &action, &previous_bus);
}

void write_error(const char* text, size_t length) noexcept {
  while (length > 0) {
    const ssize_t written = ::write(STDERR_FILENO, text, length);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text += written;
    length -= static_cast<size_t>(written);
  }
}

}  // namespace heddle::os
