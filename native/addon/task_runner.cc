#include "addon/task_runner.h"

#include <utility>

#include "os/os.h"

namespace heddle {

namespace {
constexpr uint64_t kTurnNs = 500'000;
}

void TaskRunner::join(std::shared_ptr<IsolateSet> set, uint32_t place, Mailbox* mailbox,
                      uv_loop_t* loop) {
  set_ = std::move(set);
  isolate_ = std::make_unique<Isolate>();
  isolate_->place = place;
  isolate_->mailbox = mailbox;
  isolate_->loop = loop;
  set_->join(isolate_.get());
}

IsolateTask* TaskRunner::take() {
  const uint64_t now = os::now_ns();
  if (now - turn_began_ns_ > kTurnNs) {
    isolate_->mailbox->ask(Want::kTasks);
    return nullptr;
  }
  IsolateTask* const task = set_->take(isolate_.get(), now);
  if (task == nullptr) return nullptr;
  isolate_->turn_began_ns.store_relaxed(now);
  isolate_->tasks_run.store_relaxed(isolate_->tasks_run.load_relaxed() + 1);
  isolate_->started.store_relaxed(isolate_->started.load_relaxed() + 1);
  if (free_runs_.empty()) {
    task->run = static_cast<uint32_t>(runs_.size());
    runs_.push_back(task);
  } else {
    task->run = free_runs_.back();
    free_runs_.pop_back();
    runs_[task->run] = task;
  }
  return task;
}

void TaskRunner::finish(IsolateTask* task) noexcept {
  runs_[task->run] = nullptr;
  free_runs_.push_back(task->run);
  isolate_->started.store_relaxed(isolate_->started.load_relaxed() - 1);
  if (set_->note_ended(isolate_.get(), *task)) isolate_->mailbox->ask(Want::kTasks);
  // What it has left behind, timers and children of its context, ends with it.
  if (task->context) task->context->cancel();
  end_task(task);
}

void TaskRunner::note_turn(uint64_t now_ns) noexcept {
  turn_began_ns_ = now_ns;
  if (awake_since_ns_ == 0) awake_since_ns_ = now_ns;
  if (isolate_) isolate_->turn_began_ns.store_relaxed(now_ns);
}

void TaskRunner::note_sleep(uint64_t now_ns) noexcept {
  if (!isolate_) return;
  isolate_->idle_before_ns.store_relaxed(uv_metrics_idle_time(isolate_->loop));
  isolate_->slept_at_ns.store_relaxed(now_ns);
  isolate_->turn_began_ns.store_relaxed(0);
  const uint64_t busy = isolate_->busy_ns.load_relaxed();
  const uint64_t since = std::exchange(awake_since_ns_, 0);
  if (since != 0) isolate_->busy_ns.store_relaxed(busy + now_ns - since);
}

void TaskRunner::end() noexcept {
  if (!isolate_) return;
  std::vector<IsolateTask*> started;
  for (IsolateTask* task : runs_) {
    if (task != nullptr) started.push_back(task);
  }
  runs_.clear();
  set_->leave(isolate_.get(), std::move(started));
  isolate_.reset();
  set_.reset();
}

}  // namespace heddle
