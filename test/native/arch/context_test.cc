// The switch itself, without a scheduler: what belongs to a context stays with it.
#include "arch/context.h"

#include <unwind.h>

#include <cfenv>
#include <cstring>
#include <memory>

#include "test/native/harness.h"

// switch_with_registers(registers, save, target): loads every callee-saved register from the
// array, switches, and stores there what the registers hold when this side goes on.
extern "C" void switch_with_registers(uint64_t* registers, void** save, void* target);

#if defined(__x86_64__)
asm(R"(
        .text
        .globl  switch_with_registers
        .type   switch_with_registers, @function
switch_with_registers:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushq   %rdi
        movq    0(%rdi), %rbx
        movq    8(%rdi), %rbp
        movq    16(%rdi), %r12
        movq    24(%rdi), %r13
        movq    32(%rdi), %r14
        movq    40(%rdi), %r15
        movq    %rsi, %rdi
        movq    %rdx, %rsi
        call    heddle_context_switch
        popq    %rdi
        movq    %rbx, 0(%rdi)
        movq    %rbp, 8(%rdi)
        movq    %r12, 16(%rdi)
        movq    %r13, 24(%rdi)
        movq    %r14, 32(%rdi)
        movq    %r15, 40(%rdi)
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret
        .size   switch_with_registers, .-switch_with_registers
)");
#else
asm(R"(
        .text
        .globl  switch_with_registers
        .type   switch_with_registers, %function
switch_with_registers:
        stp     x29, x30, [sp, #-176]!
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        str     x0, [sp, #160]
        ldp     x19, x20, [x0, #0]
        ldp     x21, x22, [x0, #16]
        ldp     x23, x24, [x0, #32]
        ldp     x25, x26, [x0, #48]
        ldp     x27, x28, [x0, #64]
        ldp     d8, d9, [x0, #80]
        ldp     d10, d11, [x0, #96]
        ldp     d12, d13, [x0, #112]
        ldp     d14, d15, [x0, #128]
        ldr     x29, [x0, #144]
        mov     x0, x1
        mov     x1, x2
        bl      heddle_context_switch
        ldr     x0, [sp, #160]
        stp     x19, x20, [x0, #0]
        stp     x21, x22, [x0, #16]
        stp     x23, x24, [x0, #32]
        stp     x25, x26, [x0, #48]
        stp     x27, x28, [x0, #64]
        stp     d8, d9, [x0, #80]
        stp     d10, d11, [x0, #96]
        stp     d12, d13, [x0, #112]
        stp     d14, d15, [x0, #128]
        str     x29, [x0, #144]
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        ldp     x29, x30, [sp], #176
        ret
        .size   switch_with_registers, .-switch_with_registers
)");
#endif

namespace heddle::test {
namespace {

constexpr size_t kStackBytes = 256 * 1024;  // sanitizers need some

#if defined(__x86_64__)
constexpr size_t kSavedRegisters = 6;
#else
constexpr size_t kSavedRegisters = 19;
#endif

// A context with a stack of its own, and the side of the test that it switches back to.
struct Context {
  explicit Context(void (*run)(Context*), size_t misaligned = 0)
      : body(run), memory(new char[kStackBytes]) {
    stack_pointer = arch::make_context(memory.get() + kStackBytes - misaligned, enter, this);
  }
  void* resume(void* value = nullptr) {
    return heddle_context_switch(&test_side, stack_pointer, value);
  }
  void* go_back(void* value = nullptr) {
    return heddle_context_switch(&stack_pointer, test_side, value);
  }
  static void enter(void* raw) {
    auto* self = static_cast<Context*>(raw);
    self->body(self);
    for (;;) self->go_back();
  }

  void (*body)(Context*);
  std::unique_ptr<char[]> memory;
  void* stack_pointer = nullptr;
  void* test_side = nullptr;
  uintptr_t seen[4] = {};
};

void* as_pointer(uintptr_t value) { return reinterpret_cast<void*>(value); }

}  // namespace

TEST_CASE("a switch hands its value to the side that goes on") {
  Context context([](Context* self) {
    self->seen[0] = reinterpret_cast<uintptr_t>(self->go_back(as_pointer(11)));
    self->seen[1] = reinterpret_cast<uintptr_t>(self->go_back(as_pointer(12)));
  });
  CHECK_EQ(context.resume(as_pointer(1)), as_pointer(11));
  CHECK_EQ(context.resume(as_pointer(2)), as_pointer(12));
  context.resume(as_pointer(3));
  CHECK_EQ(context.seen[0], 2u);
  CHECK_EQ(context.seen[1], 3u);
}

TEST_CASE("the entry gets its argument and starts on an aligned stack") {
  for (size_t misaligned = 0; misaligned < 16; ++misaligned) {
    Context context(
        [](Context* self) {
          alignas(16) volatile char aligned[16] = {};
          self->seen[0] = reinterpret_cast<uintptr_t>(&aligned) % 16;
          self->seen[1] = reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) % 16;
          self->seen[2] = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
        },
        misaligned);
    context.seen[0] = context.seen[1] = 99;
    context.resume();
    CHECK_EQ(context.seen[0], 0u);
    CHECK_EQ(context.seen[1], 0u);
    const auto low = reinterpret_cast<uintptr_t>(context.memory.get());
    CHECK(context.seen[2] > low && context.seen[2] < low + kStackBytes - misaligned);
  }
}

// Pitfall 2: on AArch64 the low halves of v8 to v15 are callee-saved too.
TEST_CASE("callee-saved registers belong to the context") {
  Context context([](Context* self) {
    uint64_t own[kSavedRegisters];
    for (uint64_t round = 0; round < 3; ++round) {
      for (size_t i = 0; i < kSavedRegisters; ++i) own[i] = ~(round * 100 + i);
      switch_with_registers(own, &self->stack_pointer, self->test_side);
      for (size_t i = 0; i < kSavedRegisters; ++i) CHECK_EQ(own[i], ~(round * 100 + i));
    }
  });
  uint64_t own[kSavedRegisters];
  for (uint64_t round = 0; round < 4; ++round) {
    for (size_t i = 0; i < kSavedRegisters; ++i) own[i] = 0x0101010101010101u * (round + 1) + i;
    switch_with_registers(own, &context.test_side, context.stack_pointer);
    for (size_t i = 0; i < kSavedRegisters; ++i) {
      CHECK_EQ(own[i], 0x0101010101010101u * (round + 1) + i);
    }
  }
}

namespace {
// What the rounding mode makes of 1/3, in the arithmetic of doubles and of long doubles (on
// x86-64 two units with a control word each).
template <typename T>
__attribute__((noinline)) T third() {
  volatile T one = 1;
  volatile T three = 3;
  return one / three;
}
}  // namespace

TEST_CASE("the rounding mode belongs to the context") {
  Context context([](Context* self) {
    CHECK_EQ(std::fegetround(), FE_UPWARD);  // that of the maker
    for (int mode : {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO}) {
      std::fesetround(mode);
      const double expected = third<double>();
      const long double expected_long = third<long double>();
      self->go_back();
      CHECK_EQ(std::fegetround(), mode);
      CHECK(third<double>() == expected);
      CHECK(third<long double>() == expected_long);
    }
  });
  const int before = std::fegetround();
  const double nearest = third<double>();
  std::fesetround(FE_UPWARD);
  const double upward = third<double>();
  // Made while the mode is upward, first resumed while it is downward.
  Context made_upward(context.body);
  std::fesetround(FE_DOWNWARD);
  const double downward = third<double>();
  CHECK(downward < upward);
  for (int i = 0; i < 4; ++i) {
    made_upward.resume();
    CHECK_EQ(std::fegetround(), FE_DOWNWARD);
    CHECK(third<double>() == downward);
  }
  std::fesetround(before);
  CHECK(third<double>() == nearest);
}

#if defined(__x86_64__)
namespace {
uint16_t x87_control() {
  uint16_t word;
  asm volatile("fnstcw %0" : "=m"(word));
  return word;
}
void set_x87_control(uint16_t word) { asm volatile("fldcw %0" : : "m"(word)); }
}  // namespace

TEST_CASE("mxcsr and the x87 control word are kept independently of each other") {
  constexpr uint32_t kFlushToZero = 1u << 15;
  constexpr uint16_t kPrecisionBits = 3u << 8;
  const uint32_t mxcsr = __builtin_ia32_stmxcsr();
  const uint16_t control = x87_control();
  Context context([](Context* self) {
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | kFlushToZero);
    self->go_back();
    CHECK((__builtin_ia32_stmxcsr() & kFlushToZero) != 0);
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() & ~kFlushToZero);
    set_x87_control(x87_control() & ~kPrecisionBits);
    self->go_back();
    CHECK_EQ(x87_control() & kPrecisionBits, 0);
  });
  for (int i = 0; i < 3; ++i) {
    context.resume();
    CHECK_EQ(__builtin_ia32_stmxcsr() & kFlushToZero, mxcsr & kFlushToZero);
    CHECK_EQ(x87_control(), control);
  }
}
#endif

TEST_CASE("many contexts interleave, each with its own locals") {
  constexpr int kContexts = 20;
  std::unique_ptr<Context> contexts[kContexts];
  for (auto& context : contexts) {
    context = std::make_unique<Context>([](Context* self) {
      uintptr_t sum = 0;
      for (;;) {
        sum += reinterpret_cast<uintptr_t>(self->go_back(as_pointer(sum)));
      }
    });
    context->resume();
  }
  for (uintptr_t round = 1; round <= 10; ++round) {
    for (uintptr_t i = 0; i < kContexts; ++i) {
      const void* sum = contexts[i]->resume(as_pointer(i));
      CHECK_EQ(sum, as_pointer(i * round));
    }
  }
}

TEST_CASE("a suspended context tells where it goes on") {
  Context context([](Context* self) {
    self->seen[0] = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    self->go_back();
  });
  CHECK_EQ(arch::resume_address(context.stack_pointer),
           reinterpret_cast<void*>(&heddle_context_entry));
  CHECK(arch::resume_frame(context.stack_pointer) == nullptr);
  context.resume();
  CHECK(arch::resume_address(context.stack_pointer) !=
        reinterpret_cast<void*>(&heddle_context_entry));
  const auto frame = reinterpret_cast<uintptr_t>(arch::resume_frame(context.stack_pointer));
  const auto low = reinterpret_cast<uintptr_t>(context.memory.get());
  CHECK(frame > low && frame < low + kStackBytes);
}

// --- the call that knows its site ---

struct SiteCall {
  bool claims_own_site;
  bool throws;
  const void* second = nullptr;
  const void* site = nullptr;
};

const void* note_site(void* raw, void* second, const void* site) {
  auto* call = static_cast<SiteCall*>(raw);
  call->second = second;
  call->site = site;
  if (call->throws) throw call;
  return call->claims_own_site ? site : nullptr;
}

__attribute__((noinline)) const void* call_from_one_site(SiteCall* call, void* second) {
  heddle_call_with_site(call, second, note_site);
  return call->site;  // after the call, which therefore is none in tail position
}

// Pitfall 1: what is predicted decides how the call returns, never where to.
TEST_CASE("a call returns to its site, whichever one was left before") {
  int marker = 0;
  SiteCall calls[2] = {{true, false}, {false, false}};
  for (SiteCall& call : calls) {
    CHECK(call_from_one_site(&call, &marker) != nullptr);
    CHECK(call.second == &marker);
  }
  CHECK(calls[0].site == calls[1].site);
  SiteCall elsewhere{true, false};
  heddle_call_with_site(&elsewhere, nullptr, note_site);
  CHECK(elsewhere.site != calls[0].site);
}

TEST_CASE("an exception passes through a call that knows its site") {
  SiteCall call{false, true};
  const SiteCall* caught = nullptr;
  try {
    heddle_call_with_site(&call, nullptr, note_site);
  } catch (const SiteCall* thrown) {
    caught = thrown;
  }
  CHECK(caught == &call);
}

// Pitfall 4: profilers follow frame pointers, exceptions and debuggers the unwind tables.
TEST_CASE("both ways of unwinding end at the entry of a context") {
  Context context([](Context* self) {
    uintptr_t frames = 0;
    auto* frame = static_cast<void**>(__builtin_frame_address(0));
    for (; frame != nullptr && frames < 100; ++frames) frame = static_cast<void**>(*frame);
    self->seen[0] = frames;
    const _Unwind_Reason_Code end = _Unwind_Backtrace(
        [](_Unwind_Context*, void* raw) {
          return ++*static_cast<uintptr_t*>(raw) < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
        },
        &self->seen[1]);
    self->seen[2] = end == _URC_END_OF_STACK;
  });
  context.resume();
  CHECK(context.seen[0] >= 2 && context.seen[0] < 10);
  CHECK(context.seen[1] >= 2 && context.seen[1] < 10);
  CHECK_EQ(context.seen[2], 1u);
}

// Pitfall 6: one assembly file without a note would make every stack of the process executable.
TEST_CASE("no stack is executable") {
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  REQUIRE(maps != nullptr);
  int local = 0;
  const auto here = reinterpret_cast<unsigned long long>(&local);
  bool found = false;
  char line[512];
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long long low = 0;
    unsigned long long high = 0;
    char rights[5] = {};
    if (std::sscanf(line, "%llx-%llx %4s", &low, &high, rights) != 3) continue;
    if (here < low || here >= high) continue;
    found = true;
    CHECK_EQ(rights, "rw-p");
  }
  std::fclose(maps);
  CHECK(found);
}

}  // namespace heddle::test
