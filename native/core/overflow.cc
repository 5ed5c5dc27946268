#include "core/overflow.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <dlfcn.h>
#include <unwind.h>

#include "core/machine.h"

namespace heddle {

namespace {

// Formats without locale, locks or memory, as a signal handler must.
class ReportLine {
 public:
  ReportLine& text(const char* words) noexcept {
    while (*words != '\0' && length_ < sizeof buffer_ - 1) buffer_[length_++] = *words++;
    return *this;
  }
  ReportLine& number(uint64_t value, unsigned base = 10) noexcept {
    char digits[24];
    size_t count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count > 0 && length_ < sizeof buffer_ - 1) buffer_[length_++] = digits[--count];
    return *this;
  }
  ReportLine& address(const void* pointer) noexcept {
    return text("0x").number(reinterpret_cast<uintptr_t>(pointer), 16);
  }
  void write() noexcept {
    buffer_[length_++] = '\n';
    os::write_error(buffer_, length_);
    length_ = 0;
  }

 private:
  char buffer_[512];
  size_t length_ = 0;
};

struct Walk {
  int depth = 0;
  bool in_fiber = false;
  const char* bottom;
  const char* top;
};

_Unwind_Reason_Code write_frame(_Unwind_Context* context, void* raw) {
  constexpr int kMaxDepth = 24;
  auto* walk = static_cast<Walk*>(raw);
  const auto* frame = reinterpret_cast<const char*>(_Unwind_GetCFA(context));
  walk->in_fiber |= frame >= walk->bottom && frame <= walk->top;
  if (!walk->in_fiber) return _URC_NO_REASON;  // frames of the signal handler
  auto* pc = reinterpret_cast<const void*>(_Unwind_GetIP(context));
  if (pc == nullptr || walk->depth == kMaxDepth) return _URC_END_OF_STACK;
  ReportLine line;
  line.text("    #").number(static_cast<uint64_t>(walk->depth++)).text(" ").address(pc);
  Dl_info info;
  if (dladdr(pc, &info) != 0 && info.dli_fname != nullptr) {
    line.text(" ");
    if (info.dli_sname != nullptr) line.text(info.dli_sname).text(" in ");
    line.text(info.dli_fname).text("+0x");
    line.number(static_cast<uint64_t>(static_cast<const char*>(pc) -
                                      static_cast<const char*>(info.dli_fbase)),
                16);
  }
  line.write();
  return _URC_NO_REASON;
}

void report_overflow(const StackLookup& stack, const void* address) noexcept {
  Machine* machine = Machine::current();
  Fiber* fiber = machine != nullptr ? machine->fiber : nullptr;
  ReportLine line;
  line.text("heddle: stack overflow in fiber ");
  if (fiber == nullptr) {
    line.text("(none: the scheduler's own stack)");
  } else {
    line.text("'").text(fiber->spec.name != nullptr ? fiber->spec.name : "unnamed").text("' (id ");
    line.number(fiber->id).text(", spawned at ").address(fiber->spec.site).text(")");
  }
  line.write();
  line.text("  stack ").address(stack.bottom).text(" to ").address(stack.top).text(", ");
  line.number(static_cast<uint64_t>(stack.top - stack.bottom) / 1024).text(" KiB; ");
  line.text("touched ").address(address).text(" in the guard below it").write();
  line.text("  remedy: spawn it with a larger `stackSize`, or recurse less").write();
  line.text("  backtrace, innermost first:").write();
  Walk walk;
  walk.bottom = stack.bottom - os::page_size();
  walk.top = stack.top;
  _Unwind_Backtrace(write_frame, &walk);
}

void report_fault(const os::Fault& fault) noexcept {
  const StackLookup stack = StackPool::lookup(fault.address);
  if (stack.found && stack.in_guard) report_overflow(stack, fault.address);
}

}  // namespace

void install_overflow_handler() noexcept { os::install_fault_report(report_fault); }

void check_fault_address(const void* buffer, size_t bytes) noexcept {
  const auto* first = static_cast<const char*>(buffer);
  const size_t page = os::page_size();
  for (size_t offset = 0; offset <= bytes; offset += page) {
    const char* at = first + (offset < bytes ? offset : (bytes == 0 ? 0 : bytes - 1));
    const StackLookup stack = StackPool::lookup(at);
    if (stack.found && stack.in_guard) {
      report_overflow(stack, at);
      std::abort();
    }
  }
}

}  // namespace heddle
