#include "crew.h"

#include <climits>
#include <stdexcept>

namespace heddle::bench {

UnitKind unit_kind(const Params& params) {
  return text(params, "impl", "fiber") == "pthread" ? UnitKind::kThread : UnitKind::kFiber;
}

void run_with(Scheduler& scheduler, const Params& params, const std::function<void()>& body) {
  const auto processors = static_cast<uint32_t>(number(params, "processors", 1));
  if (unit_kind(params) == UnitKind::kThread) {
    use_cpus(processors);
    body();
  } else {
    scheduler.set_processors(processors);
    run_on_fiber(scheduler, body);
  }
}

void Crew::wait_and_run(void* member) noexcept {
  auto* own = static_cast<Member*>(member);
  // Pairs with the release in begin.
  while (own->crew->open_.load_acquire() == 0) os::futex_wait(own->crew->open_, 0, os::kNever);
  own->body();
}

void Crew::add(std::function<void()> body) {
  members_.push_back(std::make_unique<Member>(Member{this, std::move(body)}));
  if (kind_ == UnitKind::kFiber) return;
  os::Thread thread;
  const int error = os::start_thread(&thread, "heddle-bench", kThreadStackBytes, wait_and_run,
                                     members_.back().get());
  if (error != 0) {
    members_.pop_back();
    throw std::runtime_error(refusal(error));
  }
  threads_.push_back(thread);
}

void Crew::spawn(Member* member) {
  const SpawnError error = scheduler_.go([this, member] {
    member->body();
    done_->count_down(scheduler_);
  });
  if (error != SpawnError::kNone) throw std::runtime_error(spawn_error_name(error));
}

void Crew::open_gate() noexcept {
  open_.store_release(1);
  os::futex_wake(open_, INT_MAX);
}

void Crew::begin() {
  if (kind_ == UnitKind::kThread) {
    open_gate();
    return;
  }
  done_ = std::make_unique<Latch>(members_.size());
  for (const std::unique_ptr<Member>& each : members_) spawn(each.get());
}

void Crew::join_threads() noexcept {
  // Whoever was added and not begun would wait for ever.
  if (open_.load_relaxed() == 0) open_gate();
  for (const os::Thread thread : threads_) os::join_thread(thread);
  threads_.clear();
}

void Crew::join() {
  join_threads();
  if (done_) done_->wait();
  done_.reset();
}

}  // namespace heddle::bench
