// The isolates that run tasks of JavaScript, and the queue that feeds them.
//
// A set belongs to the isolate that made it, its root, which starts Workers for its places and is
// told when more are wanted. Tasks wait in one queue, so that any isolate that is free takes the
// next one and nothing has to be stolen; started ones stay where they are. An isolate takes tasks
// from its event loop, and is idle while it has nothing to take: tasks that await something need
// it no more than a promise does.
//
// Always true, for a task:
// - Until it is started it belongs to the queue, under the set's lock; then to the isolate that
//   runs it; then to the mailbox of the one that has spawned it.
// - What an isolate had started when it ended lies at its place until the root says why it ended.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon/task_record.h"
#include "core/lock.h"
#include "sync/context.h"

namespace heddle {

class IsolateSet;

inline constexpr uint32_t kNoPin = UINT32_MAX;

// A task of JavaScript.
struct IsolateTask : TaskRecord {
  IsolateTask() noexcept { is_isolate_task = true; }

  void reset_isolate_task() noexcept;

  uint32_t function = 0;  // see function_id
  int32_t priority = 0;
  uint32_t pin = kNoPin;
  // 0: any isolate may take it; otherwise one that has started fewer than `most_started` tasks of
  // the same limiter that have not ended.
  uint32_t limiter = 0;
  uint32_t most_started = 0;
  uint64_t number = 0;            // in the order in which they were pushed
  uint32_t run = 0;               // its number in the isolate that runs it
  IsolateSet* set = nullptr;      // held by the isolate that has spawned it
  uint32_t set_index = 0;         // there
  IsolateTask* before = nullptr;  // in the queue
  IsolateTask* behind = nullptr;
  Value extra;  // what does not fit into the arguments
  uint64_t deadline_ns = UINT64_MAX;
  Ref<ContextCore> parent;
  // Under the gate, as is `cancel_flag`: what it is cancelled by.
  Ref<ContextCore> context;
  ContextReason reason;
  bool is_started = false;         // under the set's lock
  Atomic<uint64_t> started_ns{0};  // 0: not yet
  uint64_t isolate_number = 0;     // of the one that has started it
};

// First in, first out.
class TaskQueue {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  const IsolateTask* first() const noexcept { return first_; }
  void push(IsolateTask* task) noexcept;
  IsolateTask* pop() noexcept;
  void remove(IsolateTask* task) noexcept;

 private:
  IsolateTask* first_ = nullptr;
  IsolateTask* last_ = nullptr;
};

// One that has joined a set. Made and ended on its own thread.
struct Isolate {
  uint32_t place;
  uint64_t number = 0;  // no other one has ever had it
  Mailbox* mailbox;
  uv_loop_t* loop;
  // Under the set's lock.
  bool is_idle = false;
  bool is_leaving = false;  // it takes no more tasks, and is to be ended when it has none
  bool is_ending = false;
  std::vector<std::pair<uint32_t, uint32_t>> limited;  // how many it has started, by limiter
  uint64_t idle_since_ns = 0;
  uint64_t woken_ns = 0;  // when; 0: it has looked for tasks since
  // Written on its own thread.
  Atomic<uint32_t> started{0};        // and not ended
  Atomic<uint64_t> turn_began_ns{0};  // of its event loop, or of the newest task; 0: it sleeps,
                                      // or does what woke it, which is no affair of heddle's
  Atomic<uint64_t> slept_at_ns{0};
  Atomic<uint64_t> idle_before_ns{0};  // how long its event loop had been idle then, in all
  Atomic<uint64_t> tasks_run{0};
  Atomic<uint64_t> busy_ns{0};  // in turns
};

class IsolateSet {
 public:
  IsolateSet(Mailbox* root, uint32_t most) noexcept : root_(root), most_(most) {}

  enum class Pushed : uint8_t {
    kDone,
    kGrow,     // and the root should start another isolate
    kClosed,   // it was not taken
    kNoPlace,  // nor was this one: it is pinned to a place that the set may not fill
  };
  Pushed push(IsolateTask* task) noexcept;
  // True: it had not been started, and never will be.
  bool withdraw(IsolateTask* task) noexcept;

  // The isolate's own thread.
  void join(Isolate* isolate) noexcept;
  void leave(Isolate* isolate, std::vector<IsolateTask*> started) noexcept;
  // nullptr: there is none, and from now on it is idle.
  IsolateTask* take(Isolate* isolate, uint64_t now_ns) noexcept;
  // True: it was idle, and may be able to start now what it was not before.
  bool note_ended(Isolate* isolate, const IsolateTask& task) noexcept;

  // Any thread: asks the root to start another isolate, or to end the one that runs the task.
  void ask_to_grow() noexcept;
  void ask_to_kill(IsolateTask* task) noexcept;

  // The root's thread.
  // If there are more, the last ones leave.
  void set_most(uint32_t most) noexcept;
  // A place for another isolate, which counts as starting from now on; -1: none is wanted.
  int32_t grow(uint32_t least) noexcept;
  // One that is leaving, or has been idle for so long and so few are not left, and that has no task
  // any more: it is to be ended. Each once; -1: none.
  int32_t shrink(uint64_t idle_ns, uint32_t least) noexcept;
  // Others are woken in the place of those that were woken and do not come; or may be started.
  void replace_late() noexcept;
  // The isolate at that place has ended, or could not be started. Its tasks fail with `error`;
  // answers how many.
  size_t lose(uint32_t place, const Value& error) noexcept;
  int32_t take_kill() noexcept;
  // What waits fails with `error`: no isolate can be started.
  void fail_waiting(const Value& error) noexcept;
  // Nothing is taken any more; what waits is handed out.
  std::vector<IsolateTask*> close() noexcept;

  struct Picture {
    uint32_t place;
    bool is_idle;
    uint32_t started;
    uint64_t turn_ns;  // how long its event loop has been busy with one thing; 0: it is free
    uint64_t tasks_run;
    uint64_t busy_ns;
  };
  std::vector<Picture> look(uint32_t* queued) noexcept;

 private:
  struct Place {
    enum class State : uint8_t { kEmpty, kStarting, kRunning, kEnded } state = State::kEmpty;
    Isolate* isolate = nullptr;  // while it runs
    TaskQueue pinned;
    std::vector<IsolateTask*> orphans;
    bool is_to_be_killed = false;
  };
  struct Lane {
    uint32_t limiter;
    TaskQueue queue;
  };
  struct Level {
    int32_t priority;
    std::vector<Lane> lanes;  // one for each limiter; the empty ones go when they are found
  };

  TaskQueue& queue_of(const IsolateTask& task) noexcept;
  static IsolateTask* first_in(Level* level, const Isolate& isolate) noexcept;
  IsolateTask* first_of(Isolate* isolate) noexcept;
  Mailbox* wake_idle(const IsolateTask& task) noexcept;
  Mailbox* wake(Isolate* isolate) noexcept;
  Mailbox* wake_another() noexcept;
  void forget_wake(Isolate* isolate) noexcept;
  void count_queued(const IsolateTask& task, int change) noexcept;
  void make_surplus_leave() noexcept;
  int32_t place_to_fill(uint32_t least) noexcept;
  std::vector<IsolateTask*> empty_queues() noexcept;

  Lock lock_{LockRank::kLeaf};
  Mailbox* const root_;
  uint32_t most_;
  bool is_closed_ = false;
  uint32_t queued_ = 0;  // not pinned
  uint32_t pinned_ = 0;  // queued as well
  uint32_t starting_ = 0;
  uint32_t idle_ = 0;
  uint32_t woken_ = 0;
  uint64_t last_isolate_ = 0;
  uint64_t last_task_ = 0;
  std::vector<Level> levels_;  // the highest priority first
  std::vector<Place> places_;
};

// A set by the number that its Workers are told.
uint32_t publish_set(const std::shared_ptr<IsolateSet>& set);
std::shared_ptr<IsolateSet> find_set(uint32_t number);
void forget_set(uint32_t number);

// Of a limiter, the same in all isolates: pools of several may share a set.
uint32_t new_limiter();

// A function as isolates name it to each other: the same text has the same number everywhere.
uint32_t function_id(const std::string& text);
std::string function_text(uint32_t id);

// A started one that will never end by itself: with an error, a message; or because its isolate is
// gone.
void fail_task(IsolateTask* task, const Value& error) noexcept;
void fail_task(IsolateTask* task) noexcept;

// On the thread of the isolate that has spawned it. True: it had not begun, and will not be posted.
bool cancel_isolate_task(IsolateTask* task, const ContextReason& reason) noexcept;

// On the thread of the isolate that runs it.
bool is_cancelled(const IsolateTask* task) noexcept;
// Made when it is first asked for; nullptr without memory.
ContextCore* context_of(IsolateTask* task) noexcept;

}  // namespace heddle
