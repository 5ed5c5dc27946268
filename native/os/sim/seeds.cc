#include "os/sim/seeds.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/check.h"
#include "os/sim/world.h"

namespace heddle::sim {

namespace {

constexpr unsigned kChildSeconds = 30;
constexpr uint32_t kChildren = 2;
constexpr uint32_t kWholeTrace = 1u << 20;

uint64_t number_in(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Child {
  pid_t process = -1;
  int output = -1;
  uint64_t seed = 0;
  Summary* summary = nullptr;  // shared memory
};

// A crash is reported as any other failure, with the threads and the latest steps.
void report_signal(int signal, siginfo_t* info, void* context) {
  const auto* registers = &static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  const auto pc = static_cast<uintptr_t>(registers->gregs[REG_RIP]);
  const auto frame = static_cast<uintptr_t>(registers->gregs[REG_RBP]);
#else
  const auto pc = static_cast<uintptr_t>(registers->pc);
  const auto frame = static_cast<uintptr_t>(registers->regs[29]);
#endif
  char why[160];
  std::snprintf(
      why, sizeof why, "the process got signal %d (%s), address %p, at {%llx}", signal,
      signal == SIGALRM ? "no end in real time" : strsignal(signal), info->si_addr,
      static_cast<unsigned long long>(code_offset(reinterpret_cast<const void*>(pc + 1))));
  world().report(why, reinterpret_cast<const void*>(frame));
  _exit(2);
}

void catch_signals() {
  static char stack[256 * 1024];
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  sigaltstack(&alternate, nullptr);
  struct sigaction action{};
  action.sa_sigaction = report_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM}) {
    sigaction(signal, &action, nullptr);
  }
}

Child start_child(const Scenario& scenario, uint64_t seed, Summary* summary) {
  int ends[2];
  HEDDLE_CHECK(pipe(ends) == 0, "a pipe to a child");
  Child child;
  child.process = fork();
  HEDDLE_CHECK(child.process >= 0, "a child process");
  if (child.process == 0) {
    dup2(ends[1], STDERR_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    catch_signals();
    alarm(kChildSeconds);
    *summary = run(seed, scenario.settings, scenario.body);
    _exit(0);
  }
  close(ends[1]);
  child.output = ends[0];
  child.seed = seed;
  child.summary = summary;
  return child;
}

std::string read_all(int descriptor) {
  std::string text;
  char bytes[16384];
  for (;;) {
    const ssize_t got = read(descriptor, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(bytes, static_cast<size_t>(got));
  }
}

// "function file:line < caller file:line" of the outermost two frames of ours.
using Places = std::map<std::string, std::string>;

void ask_addr2line(Places& places) {
  char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0) return;
  program[length] = '\0';
  std::string command = std::string("addr2line -C -f -i -a -e '") + program + "'";
  for (const auto& place : places) command += " 0x" + place.first;
  FILE* answers = popen((command + " 2>/dev/null").c_str(), "r");
  if (answers == nullptr) return;
  char function[1024];
  char file[1024];
  std::string* place = nullptr;
  int frames = 0;
  while (std::fgets(function, sizeof function, answers) != nullptr) {
    if (std::strncmp(function, "0x", 2) == 0) {
      char key[32];
      std::snprintf(key, sizeof key, "%llx", std::strtoull(function, nullptr, 16));
      place = &places[key];
      frames = 0;
      continue;
    }
    if (std::fgets(file, sizeof file, answers) == nullptr) break;
    const bool is_seam = std::strstr(file, "model_atomic.h") != nullptr;
    if (place == nullptr || is_seam || frames++ >= 2) continue;
    const char* base = std::strrchr(file, '/');
    const std::string name(function, std::strcspn(function, "(\n"));
    const std::string at(base != nullptr ? base + 1 : file);
    if (!place->empty()) *place += " < ";
    *place += name + " " + at.substr(0, at.find_first_of(" \n"));
  }
  pclose(answers);
}

// Replaces every {offset} by the place in the source.
std::string symbolise(const std::string& text) {
  Places places;
  for (size_t at = 0; (at = text.find('{', at)) != std::string::npos; ++at) {
    const size_t end = text.find('}', at);
    if (end != std::string::npos && end - at < 20) places[text.substr(at + 1, end - at - 1)];
  }
  ask_addr2line(places);
  std::string readable;
  size_t from = 0;
  for (size_t at = 0; (at = text.find('{', from)) != std::string::npos;) {
    const size_t end = text.find('}', at);
    if (end == std::string::npos) break;
    const auto place = places.find(text.substr(at + 1, end - at - 1));
    readable += text.substr(from, at - from);
    readable += place != places.end() && !place->second.empty() ? place->second : "?";
    from = end + 1;
  }
  return readable + text.substr(from);
}

// Waits for the child; false if it failed.
bool finish_child(const Scenario& scenario, Child& child) {
  const std::string output = read_all(child.output);
  close(child.output);
  int status = 0;
  while (waitpid(child.process, &status, 0) < 0 && errno == EINTR) {
  }
  const bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!passed || !output.empty()) {
    std::printf("%s %s, seed %llu\n%s\n", passed ? "    " : "FAILS", scenario.name,
                static_cast<unsigned long long>(child.seed), symbolise(output).c_str());
    if (!passed) {
      std::printf("replay: HEDDLE_SIM_SCENARIO='%s' HEDDLE_SIM_SEED=%llu\n", scenario.name,
                  static_cast<unsigned long long>(child.seed));
    }
    std::fflush(stdout);
  }
  child.process = -1;
  return passed;
}

Summary* shared_summaries() {
  static auto* memory =
      static_cast<Summary*>(mmap(nullptr, sizeof(Summary) * kChildren, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  HEDDLE_CHECK(memory != MAP_FAILED, "memory shared with children");
  return memory;
}

bool replay(const Scenario& scenario, uint64_t seed) {
  Scenario printed = scenario;
  printed.settings.trace_capacity = kWholeTrace;
  printed.settings.print_trace = true;
  Summary summary;
  return run_seed(printed, seed, &summary);
}

}  // namespace

bool run_seed(const Scenario& scenario, uint64_t seed, Summary* summary) {
  Summary* shared = shared_summaries();
  std::fflush(stdout);
  Child child = start_child(scenario, seed, shared);
  const bool passed = finish_child(scenario, child);
  *summary = *shared;
  return passed;
}

bool run_seeds(const Scenario& scenario) {
  const char* wanted = std::getenv("HEDDLE_SIM_SCENARIO");
  if (wanted != nullptr && std::strcmp(wanted, scenario.name) != 0) return true;
  if (std::getenv("HEDDLE_SIM_SEED") != nullptr) {
    return replay(scenario, number_in("HEDDLE_SIM_SEED", 1));
  }
  const uint64_t first = number_in("HEDDLE_SIM_FIRST", 1);
  const uint64_t end = first + number_in("HEDDLE_SIM_SEEDS", scenario.seeds);
  Summary* summaries = shared_summaries();
  Child children[kChildren];
  uint64_t steps = 0;
  bool passed = true;
  std::fflush(stdout);
  // In turn: a seed's own time varies little against that of all of them.
  for (uint64_t seed = first; passed && seed < end + kChildren; ++seed) {
    Child& child = children[seed % kChildren];
    if (child.process != -1) {
      passed = finish_child(scenario, child);
      steps += child.summary->steps;
    }
    if (passed && seed < end) {
      child = start_child(scenario, seed, &summaries[seed % kChildren]);
    }
  }
  for (Child& child : children) {
    if (child.process != -1) finish_child(scenario, child);
  }
  if (passed) {
    std::printf("     %llu seeds, %llu steps each\n", static_cast<unsigned long long>(end - first),
                static_cast<unsigned long long>(steps / (end > first ? end - first : 1)));
    std::fflush(stdout);
  }
  return passed;
}

}  // namespace heddle::sim
