// Who takes part in a scenario of sync/: fibers of every stack class, threads outside the runtime,
// and mixes of them, by chance.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "sync/wait.h"
#include "test/sim/scenario.h"

namespace heddle::sim {

// What an onlooker asks: no simulated thread takes part, and none runs meanwhile.
template <typename F>
auto look(F ask) noexcept {
  running = false;
  const auto answer = ask();
  running = true;
  return answer;
}

class Parties {
 public:
  enum Kind : uint8_t { kAnybody, kFibers, kThreads };

  explicit Parties(Scheduler& scheduler) noexcept
      : scheduler_(scheduler), kind_(static_cast<Kind>(random_below(3))) {}

  // All of one kind, or any of them; see `kind_`. Answers its number. Before join(), by one thread.
  uint32_t add(std::function<void()> body) {
    const auto number = static_cast<uint32_t>(all_.size());
    all_.push_back(std::make_unique<Party>());
    Party* const party = all_.back().get();
    party->parties = this;
    party->body = std::move(body);
    party->is_thread = kind_ == kThreads || (kind_ == kAnybody && one_in(2));
    left_.fetch_add_relaxed(1);
    if (party->is_thread) {
      SIM_CHECK(os::start_thread(&party->thread, "party", 0, run_thread, party) == 0, "no thread");
    } else {
      start_fiber(party);
    }
    return number;
  }

  // Asks it to end, unless it has ended.
  void cancel(uint32_t number) noexcept {
    Party* const party = all_[number].get();
    while (party->held.exchange_acquire(1) != 0) spin_hint();
    if (party->gone.load_relaxed() == 0) {
      party->asked.store_release(1);
      if (!party->is_thread) scheduler_.cancel(party->fiber);
    }
    party->held.exchange_acq_rel(0);
  }

  // By a party that can be cancelled on its thread: it looks every 20 ms.
  void let_thread_be_cancelled(uint32_t number) noexcept {
    if (Party* const party = all_[number].get(); party->is_thread) {
      os::thread_slot().cancel_flag = &party->asked;
    }
  }
  bool was_cancelled(uint32_t number) const noexcept { return all_[number]->was_cancelled; }

  // All have ended; the scheduler, too.
  void join() {
    for (uint32_t left; (left = left_.load_acquire()) != 0;) {
      os::futex_wait(left_, left, os::kNever);
    }
    for (const auto& party : all_) {
      if (party->is_thread) os::join_thread(party->thread);
    }
    scheduler_.shutdown();
  }

 private:
  struct Party {
    Parties* parties = nullptr;
    std::function<void()> body;
    bool is_thread = false;
    bool was_cancelled = false;
    Fiber* fiber = nullptr;
    os::Thread thread;
    Atomic<uint32_t> held{0};  // a fiber does not end while somebody refers to it
    Atomic<uint32_t> gone{0};
    Atomic<uint8_t> asked{0};
  };

  static void run_thread(void* raw) {
    auto* party = static_cast<Party*>(raw);
    try {
      party->body();
    } catch (const Cancelled&) {
      party->was_cancelled = true;
    }
    end(party);
  }

  static Party* party_of(const Fiber* fiber) noexcept {
    Party* party;
    std::memcpy(&party, fiber->payload, sizeof party);
    return party;
  }

  void start_fiber(Party* party) {
    SpawnOptions options = any_options();
    options.on_exit = [](Fiber* fiber, ExitStatus status) {
      Party* const ended = party_of(fiber);
      ended->was_cancelled = status == ExitStatus::kCancelled;
      end(ended);
    };
    const FiberEntry run = [](Fiber* fiber) { party_of(fiber)->body(); };
    while (party->held.exchange_acquire(1) != 0) spin_hint();
    SpawnError error = SpawnError::kNone;
    party->fiber = scheduler_.spawn(options, run, &party, sizeof party, &error);
    SIM_CHECK(party->fiber != nullptr, "a spawn failed");
    party->held.exchange_acq_rel(0);
  }

  static void end(Party* party) noexcept {
    while (party->held.exchange_acquire(1) != 0) spin_hint();
    party->gone.store_relaxed(1);
    party->held.exchange_acq_rel(0);
    Parties* const parties = party->parties;
    if (parties->left_.fetch_sub_acq_rel(1) == 1) os::futex_wake(parties->left_, INT32_MAX);
  }

  Scheduler& scheduler_;
  const Kind kind_;
  std::vector<std::unique_ptr<Party>> all_;
  Atomic<uint32_t> left_{0};
};

// A short time in which others come first, without keeping a processor.
inline void linger(uint64_t below_ns) {
  if (one_in(2)) {
    yield();
  } else {
    sleep_until(os::now_ns() + random_below(static_cast<uint32_t>(below_ns)));
  }
}

}  // namespace heddle::sim
