// Units that do the same job as fibers or as OS threads, so that one loop is measured on both.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "bench.h"
#include "threads.h"

namespace heddle::bench {

enum class UnitKind : uint8_t { kFiber, kThread };

// The parameter `impl`: "pthread" or a fiber.
UnitKind unit_kind(const Params& params);

// Runs `body` where its crews may begin and end: on a fiber of `processors` processors, or on the
// calling thread with as many CPUs.
void run_with(Scheduler& scheduler, const Params& params, const std::function<void()>& body);

// What is to run at once. Bodies are added, begin together, and have all returned after join, which
// whoever begins calls too.
//
// Fibers are spawned by begin, as their price is nothing beside what they do. Threads are not so
// cheap: add starts them, and they wait at a gate.
class Crew {
 public:
  Crew(Scheduler& scheduler, UnitKind kind) : scheduler_(scheduler), kind_(kind) {}
  ~Crew() { join_threads(); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Throws std::runtime_error if the system refuses a thread.
  void add(std::function<void()> body);
  void begin();
  void join();

 private:
  struct Member {
    Crew* crew;
    std::function<void()> body;
  };
  static void wait_and_run(void* member) noexcept;
  void spawn(Member* member);
  void open_gate() noexcept;
  void join_threads() noexcept;

  Scheduler& scheduler_;
  const UnitKind kind_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<os::Thread> threads_;
  std::unique_ptr<Latch> done_;
  Atomic<uint32_t> open_{0};
};

}  // namespace heddle::bench
