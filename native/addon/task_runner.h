// The side of an isolate that runs tasks of a set: which ones it has started, by number.
#pragma once

#include <memory>
#include <vector>

#include "addon/isolate_set.h"

namespace heddle {

class TaskRunner {
 public:
  bool has_joined() const noexcept { return set_ != nullptr; }
  void join(std::shared_ptr<IsolateSet> set, uint32_t place, Mailbox* mailbox, uv_loop_t* loop);

  // The next task, started; nullptr if there is none. After a while in one turn of the event loop
  // it asks for another turn instead, so that sockets and timers have theirs.
  IsolateTask* take();
  IsolateTask* at(uint32_t run) const noexcept { return runs_[run]; }
  // Its outcome and result are written; it belongs to its mailbox afterwards.
  void finish(IsolateTask* task) noexcept;

  // The event loop has woken up, or is about to sleep.
  void note_turn(uint64_t now_ns) noexcept;
  void note_sleep(uint64_t now_ns) noexcept;

  // The isolate ends: what it has started fails.
  void end() noexcept;

 private:
  std::shared_ptr<IsolateSet> set_;
  std::unique_ptr<Isolate> isolate_;
  std::vector<IsolateTask*> runs_;
  std::vector<uint32_t> free_runs_;
  uint64_t awake_since_ns_ = 0;
  uint64_t turn_began_ns_ = 0;
};

}  // namespace heddle
