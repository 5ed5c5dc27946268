#include "os/sim/world.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include <cxxabi.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/context.h"
#include "core/check.h"

namespace heddle::sim {

bool running = false;

namespace {

constexpr size_t kStackBytes = 512 * 1024;
constexpr uint64_t kStartNs = 1'000'000'000;
constexpr uint64_t kPrivateRun = 64;  // operations on private memory without a switch
constexpr uint64_t kSettledAfterNs = 50'000;
constexpr uint32_t kStrayWakeSteps = 4'096;
constexpr uint32_t kReportedSteps = 150;

// The C++ runtime's state of a thread: Itanium C++ ABI, "Exception Handling", §2.2.2.
struct ExceptionGlobals {
  void* caught;
  unsigned int uncaught;
};
ExceptionGlobals& exception_globals() noexcept {
  return *reinterpret_cast<ExceptionGlobals*>(abi::__cxa_get_globals());
}

char* map_stack() noexcept {
  void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  HEDDLE_CHECK(memory != MAP_FAILED, "memory for the stack of a simulated thread");
  mprotect(memory, os::page_size(), PROT_NONE);
  return static_cast<char*>(memory);
}

void scenario_main(void* raw) { reinterpret_cast<void (*)()>(raw)(); }

}  // namespace

World& world() noexcept {
  static World* const instance = new World;
  return *instance;
}

uint32_t World::choose_store(uint32_t count) noexcept {
  return world().strategy_.choose_store(count);
}

Summary World::run(uint64_t seed, const Settings& settings, void (*scenario)()) {
  HEDDLE_CHECK(!running, "one simulation runs at a time");
  seed_ = seed;
  settings_ = settings;
  thread_count_ = current_ = 0;
  now_ns_ = kStartNs;
  steps_ = private_steps_ = 0;
  next_deadline_ns_ = os::kNever;
  sleep_check_ = nullptr;
  strategy_.reset(seed, settings.time_jumps);
  memory_.reset(choose_store);
  trace_.reset(settings.trace_capacity);
  uint32_t first = 0;
  start("scenario", scenario_main, reinterpret_cast<void*>(scenario), &first);
  running = true;
  heddle_context_switch(&host_stack_pointer_, threads_[first].stack_pointer);
  running = false;
  if (settings.print_trace) trace_.print(UINT32_MAX);
  return Summary{trace_.count(), trace_.hash(), now_ns_};
}

int World::start(const char* name, os::ThreadMain main, void* argument, uint32_t* number) noexcept {
  if (thread_count_ == kMaxThreads) return EAGAIN;
  const uint32_t fresh = thread_count_++;
  SimThread& thread = threads_[fresh];
  char* stack = thread.stack != nullptr ? thread.stack : map_stack();
  thread = SimThread{};
  thread.stack = stack;
  thread.number = fresh;
  std::snprintf(thread.name, sizeof thread.name, "%s", name);
  thread.state = ThreadState::kRunnable;
  thread.main = main;
  thread.argument = argument;
  thread.stack_pointer = arch::make_context(stack + kStackBytes, thread_entry, &thread);
  memory_.begin_thread(fresh, current_);
  strategy_.begin_thread(fresh);
  note(StepKind::kStart, reinterpret_cast<const void*>(main), fresh, 0);
  *number = fresh;
  return 0;
}

void World::thread_entry(void* raw) noexcept {
  auto* thread = static_cast<SimThread*>(raw);
  errno = 0;
  exception_globals() = ExceptionGlobals{nullptr, 0};
  thread->main(thread->argument);
  world().end_current();
}

void World::end_current() noexcept {
  SimThread& self = current();
  note(StepKind::kEnd, nullptr, self.number, 0);
  void* abandoned;
  if (self.number == 0) {
    for (uint32_t i = 1; i < thread_count_; ++i) {
      // Detached ones may still be on their way out.
      while (threads_[i].detached && threads_[i].state != ThreadState::kEnded) {
        block(Wait::kJoin, &threads_[i], os::kNever);
      }
      if (threads_[i].state != ThreadState::kEnded) fail("thread %u outlives the scenario", i);
    }
    heddle_context_switch(&abandoned, host_stack_pointer_);
  }
  self.state = ThreadState::kEnded;
  wake(Wait::kJoin, &self, 1);
  find_runnable();
  uint32_t numbers[kMaxThreads];
  const uint32_t count = runnable(numbers);
  switch_to(strategy_.pick(numbers, count, UINT32_MAX, steps_));
  HEDDLE_CHECK(false, "an ended simulated thread goes on");
}

os::StackBounds World::stack_of_current() noexcept {
  os::StackBounds bounds;
  bounds.bottom = current().stack;
  bounds.bytes = kStackBytes;
  return bounds;
}

void World::join(uint32_t number) noexcept {
  SimThread& other = threads_[number];
  point();
  while (other.state != ThreadState::kEnded) block(Wait::kJoin, &other, os::kNever);
  if (other.joined || other.detached) fail("thread %u is joined twice or detached", number);
  other.joined = true;
  memory_.join_thread(current_, number);
}

// --- who goes on ---

uint32_t World::runnable(uint32_t* numbers) const noexcept {
  uint32_t count = 0;
  for (uint32_t i = 0; i < thread_count_; ++i) {
    if (threads_[i].state == ThreadState::kRunnable) numbers[count++] = i;
  }
  return count;
}

void World::switch_to(uint32_t next) noexcept {
  if (next == current_) return;
  SimThread& from = current();
  from.saved_errno = errno;
  ExceptionGlobals& globals = exception_globals();
  from.caught_exceptions = globals.caught;
  from.uncaught_exceptions = globals.uncaught;
  current_ = next;
  heddle_context_switch(&from.stack_pointer, threads_[next].stack_pointer);
  globals.caught = from.caught_exceptions;
  globals.uncaught = from.uncaught_exceptions;
  errno = from.saved_errno;
}

void World::step() noexcept {
  if (++steps_ > settings_.step_limit) {
    fail("no end after %llu steps: a livelock", static_cast<unsigned long long>(steps_));
  }
  pass_time();
  if (steps_ % kStrayWakeSteps != 0 || !strategy_.wakes_spuriously()) return;
  SimThread& stray = threads_[strategy_.below(thread_count_)];
  const bool sleeps = stray.wait == Wait::kFutex || stray.wait == Wait::kPoller;
  if (stray.state == ThreadState::kBlocked && sleeps) stray.state = ThreadState::kRunnable;
}

void World::point() noexcept {
  step();
  if (!strategy_.may_switch()) return;
  uint32_t numbers[kMaxThreads];
  const uint32_t count = runnable(numbers);
  switch_to(strategy_.pick(numbers, count, current_, steps_));
}

void World::point_at(const void* address) noexcept {
  if (memory_.is_private(address, current_) && ++private_steps_ % kPrivateRun != 0) return;
  point();
}

void World::give_way() noexcept {
  step();
  now_ns_ += 50 + strategy_.below(200);
  strategy_.fall_behind(current_);
  uint32_t numbers[kMaxThreads];
  uint32_t count = runnable(numbers);
  if (count == 1) return;
  for (uint32_t i = 0; i < count; ++i) {
    if (numbers[i] == current_) numbers[i] = numbers[--count];
  }
  switch_to(strategy_.pick(numbers, count, UINT32_MAX, steps_));
}

// --- time ---

void World::pass_time() noexcept {
  now_ns_ += strategy_.step_ns();
  const uint64_t jump = strategy_.jump_ns();
  if (jump != 0) jump_to(now_ns_ + jump);
  if (now_ns_ >= next_deadline_ns_) expire_deadlines();
}

void World::jump_to(uint64_t time_ns) noexcept {
  if (time_ns - now_ns_ >= kSettledAfterNs) memory_.settle();
  note(StepKind::kTime, nullptr, 0, time_ns - now_ns_);
  now_ns_ = time_ns;
}

void World::expire_deadlines() noexcept {
  next_deadline_ns_ = os::kNever;
  for (uint32_t i = 0; i < thread_count_; ++i) {
    SimThread& thread = threads_[i];
    if (thread.state != ThreadState::kBlocked) continue;
    if (thread.deadline_ns <= now_ns_) {
      thread.state = ThreadState::kRunnable;
    } else if (thread.deadline_ns < next_deadline_ns_) {
      next_deadline_ns_ = thread.deadline_ns;
    }
  }
}

// Lets time pass until somebody can run.
void World::find_runnable() noexcept {
  uint32_t numbers[kMaxThreads];
  while (runnable(numbers) == 0) {
    expire_deadlines();
    if (runnable(numbers) != 0) return;
    const bool for_ever = next_deadline_ns_ == os::kNever;
    if (sleep_check_ != nullptr) {
      sleep_check_(for_ever ? os::kNever : next_deadline_ns_ - now_ns_);
    }
    if (for_ever) fail("deadlock: every thread sleeps, and none has a deadline");
    jump_to(next_deadline_ns_);
    expire_deadlines();
  }
}

bool World::block(Wait wait, const void* waits_on, uint64_t deadline_ns) noexcept {
  SimThread& self = current();
  if (deadline_ns <= now_ns_) return false;
  self.state = ThreadState::kBlocked;
  self.wait = wait;
  self.waits_on = waits_on;
  self.deadline_ns = deadline_ns;
  self.woken = false;
  if (deadline_ns < next_deadline_ns_) next_deadline_ns_ = deadline_ns;
  find_runnable();
  uint32_t numbers[kMaxThreads];
  const uint32_t count = runnable(numbers);
  switch_to(strategy_.pick(numbers, count, UINT32_MAX, steps_));
  self.wait = Wait::kNone;
  self.waits_on = nullptr;
  self.deadline_ns = os::kNever;
  return self.woken;
}

void World::wake(Wait wait, const void* waits_on, int count) noexcept {
  for (; count > 0; --count) {
    uint32_t waiting[kMaxThreads];
    uint32_t found = 0;
    for (uint32_t i = 0; i < thread_count_; ++i) {
      const SimThread& thread = threads_[i];
      const bool waits = thread.state == ThreadState::kBlocked && thread.wait == wait &&
                         thread.waits_on == waits_on;
      if (waits) waiting[found++] = i;
    }
    if (found == 0) return;
    SimThread& woken = threads_[waiting[found == 1 ? 0 : strategy_.below(found)]];
    woken.woken = true;
    woken.state = ThreadState::kRunnable;
  }
}

// --- reports ---

void World::note(StepKind kind, const void* code, uint32_t subject, uint64_t value) noexcept {
  const bool is_read = kind == StepKind::kLoad || kind == StepKind::kNotExchanged;
  const auto age = static_cast<uint8_t>(is_read ? memory_.last_choice() : 0);
  trace_.add(Step{now_ns_, value, code, current_, subject, kind, age});
}

void World::print_thread(SimThread& thread, const void* running_frame) noexcept {
  static const char* const kWaits[] = {"runs", "futex", "poller", "sleeps", "joins"};
  if (thread.state == ThreadState::kEnded) return;
  const bool blocked = thread.state == ThreadState::kBlocked;
  print("  t%-2u %-15s %s", thread.number, thread.name,
        blocked ? kWaits[static_cast<size_t>(thread.wait)] : "can run");
  if (blocked && thread.wait == Wait::kFutex) {
    const Location* word = memory_.find(thread.waits_on);
    uint32_t value = 0;
    std::memcpy(&value, thread.waits_on, sizeof value);
    print(" #%u = %u", word != nullptr ? word->number : 0, value);
  }
  if (blocked && thread.deadline_ns != os::kNever) {
    print(" until %llu", static_cast<unsigned long long>(thread.deadline_ns));
  }
  print("\n");
  const bool runs = thread.number == current_;
  const auto* frame = static_cast<const uintptr_t*>(
      runs ? running_frame : arch::resume_frame(thread.stack_pointer));
  for (int depth = 0; depth < 12 && frame != nullptr; ++depth) {
    print("        {%llx}\n",
          static_cast<unsigned long long>(code_offset(reinterpret_cast<const void*>(frame[1]))));
    const auto* above = reinterpret_cast<const uintptr_t*>(frame[0]);
    if (above <= frame || above > frame + kStackBytes / sizeof *frame) break;
    frame = above;
  }
}

void World::report(const char* why, const void* frame) noexcept {
  running = false;
  if (failing_) return;
  failing_ = true;
  print("%s\nin thread %u, after %llu steps, at %llu ns; %s\n", why, current_,
        static_cast<unsigned long long>(steps_), static_cast<unsigned long long>(now_ns_),
        strategy_.describe());
  if (frame == nullptr) frame = __builtin_frame_address(0);
  for (uint32_t i = 0; i < thread_count_; ++i) print_thread(threads_[i], frame);
  trace_.print(settings_.print_trace ? UINT32_MAX : kReportedSteps);
}

// --- for scenarios ---

Summary run(uint64_t seed, const Settings& settings, void (*scenario)()) {
  return world().run(seed, settings, scenario);
}

void fail(const char* format, ...) noexcept {
  char why[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  world().report(why);
  _exit(1);
}

void on_everybody_asleep(SleepCheck check) noexcept { world().set_sleep_check(check); }
uint64_t time_now_ns() noexcept { return world().now_ns(); }
uint32_t random_below(uint32_t bound) noexcept { return world().strategy().below(bound); }
bool one_in(uint32_t count) noexcept { return world().strategy().one_in(count); }
uint32_t running_thread() noexcept { return world().current().number; }

}  // namespace heddle::sim
