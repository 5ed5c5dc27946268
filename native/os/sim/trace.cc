#include "os/sim/trace.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

#include "core/check.h"

extern "C" const char __executable_start[];  // from the linker

namespace heddle::sim {

namespace {
const char* const kNames[] = {"load",  "store",       "change", "cas", "cas fails",
                              "fence", "heavy fence", "start",  "end", "wait",
                              "wake",  "time",        "fault"};
static_assert(sizeof kNames / sizeof *kNames == static_cast<size_t>(StepKind::kCount),
              "a name for every kind of step");
}  // namespace

void print(const char* format, ...) noexcept {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  const int wanted = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  const size_t length = wanted < 0 ? 0 : static_cast<size_t>(wanted);
  size_t left = length < sizeof text ? length : sizeof text - 1;
  for (const char* at = text; left > 0;) {
    const ssize_t written = write(STDERR_FILENO, at, left);
    if (written <= 0) return;
    at += written;
    left -= static_cast<size_t>(written);
  }
}

uint64_t code_offset(const void* code) noexcept {
  // One less: a return address may belong to the line after the call.
  return reinterpret_cast<uintptr_t>(code) - reinterpret_cast<uintptr_t>(__executable_start) - 1;
}

void Trace::reset(uint32_t capacity) noexcept {
  if (capacity != capacity_) {
    steps_ = static_cast<Step*>(std::realloc(static_cast<void*>(steps_), capacity * sizeof(Step)));
    HEDDLE_CHECK(steps_ != nullptr, "memory for the trace");
    capacity_ = capacity;
  }
  count_ = 0;
  hash_ = 0xCBF29CE484222325ULL;
}

void Trace::add(const Step& step) noexcept {
  // Neither values nor addresses: pointers differ from process to process.
  const uint64_t words[] = {step.at_ns, step.thread, step.subject, static_cast<uint64_t>(step.kind),
                            step.age};
  for (const uint64_t word : words) hash_ = (hash_ ^ word) * 0x100000001B3ULL;
  steps_[count_++ & (capacity_ - 1)] = step;
}

void Trace::print(uint32_t most) const noexcept {
  uint64_t shown = count_ < capacity_ ? count_ : capacity_;
  if (shown > most) shown = most;
  sim::print("last %llu of %llu steps (time in ns, thread, operation):\n",
             static_cast<unsigned long long>(shown), static_cast<unsigned long long>(count_));
  uint32_t thread = UINT32_MAX;
  for (uint64_t i = count_ - shown; i < count_; ++i) {
    const Step& step = steps_[i & (capacity_ - 1)];
    char age[24] = "";
    if (step.age != 0) std::snprintf(age, sizeof age, " (%u stores old)", step.age);
    sim::print("%s%12llu t%-2u %-11s #%-4u 0x%llx%s {%llx}\n", step.thread != thread ? "\n" : "",
               static_cast<unsigned long long>(step.at_ns), step.thread,
               kNames[static_cast<size_t>(step.kind)], step.subject,
               static_cast<unsigned long long>(step.value), age,
               static_cast<unsigned long long>(code_offset(step.code)));
    thread = step.thread;
  }
}

}  // namespace heddle::sim
