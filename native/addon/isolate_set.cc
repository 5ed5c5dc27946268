#include "addon/isolate_set.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "os/os.h"

namespace heddle {

namespace {

// The gate as a lock between whoever cancels and whoever runs the task. False: it has ended.
bool close_gate(IsolateTask* task) noexcept {
  for (uint32_t turn = 0;; ++turn) {
    auto gate = static_cast<uint8_t>(Gate::kOpen);
    if (task->gate.compare_exchange_acq_rel(gate, static_cast<uint8_t>(Gate::kCancelling))) {
      return true;
    }
    if (gate == static_cast<uint8_t>(Gate::kEnded)) return false;
    if (turn < 64) {
      spin_hint();
    } else {
      os::yield_thread();  // the other one has lost its core
    }
  }
}
void open_gate(IsolateTask* task) noexcept {
  task->gate.store_release(static_cast<uint8_t>(Gate::kOpen));
}

// So long after it was woken an isolate that has not looked for tasks is busy with something else.
constexpr uint64_t kLateNs = 100'000'000;

void copy_message(const Value& from, Value* to) noexcept {
  uint32_t count = 0;
  const HandleRef* handles = from.handles(&count);
  const ByteSpan bytes = from.bytes();
  unsigned char* data = to->set_message(bytes.length, handles, count);
  if (data != nullptr) std::memcpy(data, bytes.data, bytes.length);
}

uint32_t& started_of(Isolate* isolate, uint32_t limiter) {
  for (auto& [each, started] : isolate->limited) {
    if (each == limiter) return started;
  }
  isolate->limited.emplace_back(limiter, 0);
  return isolate->limited.back().second;
}

bool may_start(const Isolate& isolate, const IsolateTask& task) noexcept {
  if (task.limiter == 0) return true;
  for (const auto& [each, started] : isolate.limited) {
    if (each == task.limiter) return started < task.most_started;
  }
  return true;
}

}  // namespace

void fail_task(IsolateTask* task, const Value& error) noexcept {
  copy_message(error, &task->result);
  const bool has_memory = task->result.kind() == ValueKind::kMessage;
  task->outcome = has_memory ? TaskOutcome::kThrown : TaskOutcome::kNoMemory;
  end_task(task);
}

void fail_task(IsolateTask* task) noexcept {
  task->outcome = TaskOutcome::kLost;
  end_task(task);
}

void IsolateTask::reset_isolate_task() noexcept {
  priority = 0;
  pin = kNoPin;
  extra.clear();
  deadline_ns = UINT64_MAX;
  parent = Ref<ContextCore>();
  context = Ref<ContextCore>();
  reason.reset();
  limiter = 0;
  is_started = false;
  started_ns.store_relaxed(0);
}

void TaskQueue::push(IsolateTask* task) noexcept {
  task->before = last_;
  task->behind = nullptr;
  (last_ != nullptr ? last_->behind : first_) = task;
  last_ = task;
}

IsolateTask* TaskQueue::pop() noexcept {
  IsolateTask* const task = first_;
  if (task != nullptr) remove(task);
  return task;
}

void TaskQueue::remove(IsolateTask* task) noexcept {
  (task->before != nullptr ? task->before->behind : first_) = task->behind;
  (task->behind != nullptr ? task->behind->before : last_) = task->before;
}

TaskQueue& IsolateSet::queue_of(const IsolateTask& task) noexcept {
  if (task.pin != kNoPin) return places_[task.pin].pinned;
  size_t at = 0;
  while (at < levels_.size() && levels_[at].priority > task.priority) ++at;
  if (at == levels_.size() || levels_[at].priority != task.priority) {
    levels_.insert(levels_.begin() + static_cast<ptrdiff_t>(at), Level{task.priority, {}});
  }
  std::vector<Lane>& lanes = levels_[at].lanes;
  for (Lane& lane : lanes) {
    if (lane.limiter == task.limiter) return lane.queue;
  }
  lanes.push_back(Lane{task.limiter, {}});
  return lanes.back().queue;
}

Mailbox* IsolateSet::wake_idle(const IsolateTask& task) noexcept {
  if (idle_ == 0) return nullptr;
  Isolate* chosen = nullptr;
  if (task.pin != kNoPin) {
    Isolate* const only = places_[task.pin].isolate;
    chosen = only != nullptr && only->is_idle ? only : nullptr;
  } else {
    // The one with the fewest tasks, since they need its core; of those the one that was busy last,
    // which may still be watching for more.
    for (const Place& place : places_) {
      Isolate* const each = place.isolate;
      if (each == nullptr || !each->is_idle) continue;
      const uint32_t started = each->started.load_relaxed();
      if (!may_start(*each, task)) continue;
      const uint32_t least = chosen != nullptr ? chosen->started.load_relaxed() : started;
      if (chosen == nullptr || started < least ||
          (started == least && each->idle_since_ns > chosen->idle_since_ns)) {
        chosen = each;
      }
    }
  }
  return wake(chosen);
}

// Its mailbox, which outlives it.
Mailbox* IsolateSet::wake(Isolate* isolate) noexcept {
  if (isolate == nullptr) return nullptr;
  isolate->is_idle = false;
  --idle_;
  isolate->woken_ns = os::now_ns();
  ++woken_;
  return isolate->mailbox;
}

void IsolateSet::forget_wake(Isolate* isolate) noexcept {
  if (std::exchange(isolate->woken_ns, 0) != 0) --woken_;
}

// For one that was woken and will take nothing.
Mailbox* IsolateSet::wake_another() noexcept {
  if (queued_ == 0 || idle_ == 0) return nullptr;
  for (const Place& place : places_) {
    if (place.isolate != nullptr && place.isolate->is_idle) return wake(place.isolate);
  }
  return nullptr;
}

namespace {
void ask_for_tasks(Mailbox* mailbox) noexcept {
  if (mailbox != nullptr) mailbox->ask(Want::kTasks);
}
}  // namespace

IsolateSet::Pushed IsolateSet::push(IsolateTask* task) noexcept {
  Mailbox* to_wake = nullptr;
  bool grow = false;
  {
    LockGuard guard(lock_);
    if (is_closed_) return Pushed::kClosed;
    if (task->pin != kNoPin && task->pin >= most_) return Pushed::kNoPlace;
    if (task->pin != kNoPin && task->pin >= places_.size()) places_.resize(task->pin + size_t{1});
    task->number = ++last_task_;
    queue_of(*task).push(task);
    count_queued(*task, 1);
    to_wake = wake_idle(*task);
    if (to_wake == nullptr) grow = place_to_fill(0) >= 0;
  }
  ask_for_tasks(to_wake);
  return grow ? Pushed::kGrow : Pushed::kDone;
}

bool IsolateSet::withdraw(IsolateTask* task) noexcept {
  LockGuard guard(lock_);
  if (task->is_started) return false;
  queue_of(*task).remove(task);
  count_queued(*task, -1);
  task->is_started = true;
  return true;
}

void IsolateSet::join(Isolate* isolate) noexcept {
  LockGuard guard(lock_);
  if (isolate->place >= places_.size()) places_.resize(isolate->place + size_t{1});
  Place& place = places_[isolate->place];
  if (place.state == Place::State::kStarting) --starting_;
  place.state = Place::State::kRunning;
  place.isolate = isolate;
  place.is_to_be_killed = false;
  isolate->number = ++last_isolate_;
  make_surplus_leave();
}

// The last ones: pinned tasks rather find theirs.
void IsolateSet::make_surplus_leave() noexcept {
  uint32_t staying = 0;
  for (const Place& place : places_) {
    Isolate* const each = place.isolate;
    if (each == nullptr || each->is_leaving || ++staying <= most_) continue;
    each->is_leaving = true;
    if (std::exchange(each->is_idle, false)) --idle_;
  }
}

void IsolateSet::count_queued(const IsolateTask& task, int change) noexcept {
  (task.pin == kNoPin ? queued_ : pinned_) += static_cast<uint32_t>(change);
}

void IsolateSet::leave(Isolate* isolate, std::vector<IsolateTask*> started) noexcept {
  Mailbox* to_wake = nullptr;
  {
    LockGuard guard(lock_);
    if (isolate->is_idle) --idle_;
    forget_wake(isolate);
    Place& place = places_[isolate->place];
    place.isolate = nullptr;
    place.state = Place::State::kEnded;
    if (!is_closed_) place.orphans.swap(started);
    to_wake = wake_another();
  }
  ask_for_tasks(to_wake);
  // The root has gone already, so nobody will say why.
  for (IsolateTask* task : started) fail_task(task);
}

IsolateTask* IsolateSet::first_of(Isolate* isolate) noexcept {
  if (isolate->is_leaving) return nullptr;
  IsolateTask* task = places_[isolate->place].pinned.pop();
  for (size_t at = 0; task == nullptr && at < levels_.size(); ++at) {
    task = first_in(&levels_[at], *isolate);
  }
  if (task != nullptr) count_queued(*task, -1);
  return task;
}

// The oldest one that this isolate may start, off its queue.
IsolateTask* IsolateSet::first_in(Level* level, const Isolate& isolate) noexcept {
  std::vector<Lane>& lanes = level->lanes;
  TaskQueue* oldest = nullptr;
  for (size_t at = 0; at < lanes.size();) {
    TaskQueue& queue = lanes[at].queue;
    if (queue.empty() && lanes[at].limiter != 0) {
      lanes.erase(lanes.begin() + static_cast<ptrdiff_t>(at));
      oldest = nullptr;  // it may have moved
      at = 0;
      continue;
    }
    const bool is_older =
        oldest == nullptr || (!queue.empty() && queue.first()->number < oldest->first()->number);
    if (!queue.empty() && is_older && may_start(isolate, *queue.first())) oldest = &queue;
    ++at;
  }
  return oldest == nullptr ? nullptr : oldest->pop();
}

bool IsolateSet::note_ended(Isolate* isolate, const IsolateTask& task) noexcept {
  if (task.limiter == 0) return false;
  LockGuard guard(lock_);
  auto& counts = isolate->limited;
  const auto own = std::find_if(counts.begin(), counts.end(),
                                [&](const auto& each) { return each.first == task.limiter; });
  if (--own->second == 0) counts.erase(own);
  // A push that found this isolate full has woken nobody for it; the lock says which came first.
  return isolate->is_idle && queued_ != 0 && wake(isolate) != nullptr;
}

IsolateTask* IsolateSet::take(Isolate* isolate, uint64_t now_ns) noexcept {
  Mailbox* to_wake = nullptr;
  {
    LockGuard guard(lock_);
    forget_wake(isolate);
    IsolateTask* const task = first_of(isolate);
    if (task != nullptr) {
      if (isolate->is_idle) --idle_;
      isolate->is_idle = false;
      if (task->limiter != 0) ++started_of(isolate, task->limiter);
      task->is_started = true;
      task->isolate_number = isolate->number;
      task->started_ns.store_relaxed(now_ns);
      return task;
    }
    if (!isolate->is_idle && !isolate->is_leaving) ++idle_;
    isolate->is_idle = !isolate->is_leaving;
    isolate->idle_since_ns = now_ns;
    if (isolate->is_leaving) to_wake = wake_another();
  }
  ask_for_tasks(to_wake);
  return nullptr;
}

void IsolateSet::set_most(uint32_t most) noexcept {
  LockGuard guard(lock_);
  most_ = most;
  make_surplus_leave();
}

int32_t IsolateSet::place_to_fill(uint32_t least) noexcept {
  uint32_t there = 0;
  int32_t empty = -1;
  for (uint32_t at = 0; at < places_.size(); ++at) {
    Place& place = places_[at];
    if (place.state != Place::State::kEmpty) {
      ++there;
    } else if (!place.pinned.empty()) {
      return static_cast<int32_t>(at);
    } else if (empty < 0) {
      empty = static_cast<int32_t>(at);
    }
  }
  if (there >= most_) return -1;
  // Those that are idle cannot start what waits: they would have been woken for it.
  if (there >= least && queued_ <= starting_ + woken_) return -1;
  return empty >= 0 ? empty : static_cast<int32_t>(places_.size());
}

int32_t IsolateSet::grow(uint32_t least) noexcept {
  LockGuard guard(lock_);
  if (is_closed_) return -1;
  const int32_t at = place_to_fill(least);
  if (at < 0) return -1;
  if (static_cast<size_t>(at) == places_.size()) places_.emplace_back();
  places_[static_cast<size_t>(at)].state = Place::State::kStarting;
  ++starting_;
  return at;
}

int32_t IsolateSet::shrink(uint64_t idle_ns, uint32_t least) noexcept {
  const uint64_t now = os::now_ns();
  LockGuard guard(lock_);
  uint32_t running = 0;
  Isolate* longest = nullptr;
  for (const Place& place : places_) {
    Isolate* const each = place.isolate;
    if (each == nullptr || each->is_ending) continue;
    const bool has_tasks = each->started.load_relaxed() != 0;
    if (each->is_leaving && !has_tasks) {
      each->is_ending = true;
      return static_cast<int32_t>(each->place);
    }
    if (each->is_leaving) continue;
    ++running;
    if (!each->is_idle || has_tasks || now - each->idle_since_ns < idle_ns) continue;
    if (longest == nullptr || each->idle_since_ns < longest->idle_since_ns) longest = each;
  }
  if (longest == nullptr || running <= least) return -1;
  longest->is_idle = false;
  longest->is_leaving = true;
  longest->is_ending = true;
  --idle_;
  return static_cast<int32_t>(longest->place);
}

void IsolateSet::replace_late() noexcept {
  std::vector<Mailbox*> to_wake;
  {
    const uint64_t now = os::now_ns();
    bool is_any_late = false;
    LockGuard guard(lock_);
    for (const Place& place : places_) {
      Isolate* const each = place.isolate;
      if (each == nullptr || each->woken_ns == 0 || now - each->woken_ns < kLateNs) continue;
      forget_wake(each);
      is_any_late = true;
    }
    for (const Place& place : places_) {
      if (!is_any_late || queued_ == 0) break;
      if (place.isolate != nullptr && place.isolate->is_idle)
        to_wake.push_back(wake(place.isolate));
    }
  }
  for (Mailbox* mailbox : to_wake) ask_for_tasks(mailbox);
}

size_t IsolateSet::lose(uint32_t at, const Value& error) noexcept {
  std::vector<IsolateTask*> orphans;
  {
    LockGuard guard(lock_);
    Place& place = places_[at];
    if (place.state == Place::State::kStarting) --starting_;
    place.state = Place::State::kEmpty;
    orphans.swap(place.orphans);
  }
  for (IsolateTask* task : orphans) fail_task(task, error);
  return orphans.size();
}

void IsolateSet::ask_to_kill(IsolateTask* task) noexcept {
  {
    LockGuard guard(lock_);
    if (!task->is_started || task->has_ended()) return;
    for (Place& place : places_) {
      if (place.isolate == nullptr || place.isolate->number != task->isolate_number) continue;
      place.is_to_be_killed = true;
    }
  }
  root_->ask(Want::kManage);
}

void IsolateSet::ask_to_grow() noexcept { root_->ask(Want::kManage); }

int32_t IsolateSet::take_kill() noexcept {
  LockGuard guard(lock_);
  for (uint32_t at = 0; at < places_.size(); ++at) {
    if (!places_[at].is_to_be_killed) continue;
    places_[at].is_to_be_killed = false;
    return static_cast<int32_t>(at);
  }
  return -1;
}

std::vector<IsolateTask*> IsolateSet::empty_queues() noexcept {
  std::vector<IsolateTask*> waiting;
  for (Level& level : levels_) {
    for (Lane& lane : level.lanes) {
      while (IsolateTask* task = lane.queue.pop()) waiting.push_back(task);
    }
  }
  for (Place& place : places_) {
    while (IsolateTask* task = place.pinned.pop()) waiting.push_back(task);
  }
  queued_ = 0;
  pinned_ = 0;
  for (IsolateTask* task : waiting) task->is_started = true;
  return waiting;
}

void IsolateSet::fail_waiting(const Value& error) noexcept {
  std::vector<IsolateTask*> waiting;
  {
    LockGuard guard(lock_);
    waiting = empty_queues();
  }
  for (IsolateTask* task : waiting) fail_task(task, error);
}

std::vector<IsolateTask*> IsolateSet::close() noexcept {
  LockGuard guard(lock_);
  is_closed_ = true;
  std::vector<IsolateTask*> waiting = empty_queues();
  for (Place& place : places_) {
    waiting.insert(waiting.end(), place.orphans.begin(), place.orphans.end());
    place.orphans.clear();
  }
  return waiting;
}

namespace {

// How long it has been busy with one thing. What wakes its event loop runs before heddle hears of
// it, and may never end: then libuv, which can be asked by any thread, knows that it is not idle.
uint64_t turn_of(const Isolate& isolate, uint64_t now) noexcept {
  constexpr uint64_t kReadAtOnceNs = 1'000'000;  // two clocks, read one after the other
  const uint64_t began = isolate.turn_began_ns.load_relaxed();
  if (began != 0) return began > now ? 0 : now - began;
  const uint64_t slept_at = isolate.slept_at_ns.load_relaxed();
  if (slept_at == 0) return 0;
  const uint64_t idle = uv_metrics_idle_time(isolate.loop) - isolate.idle_before_ns.load_relaxed();
  return now > slept_at + idle + kReadAtOnceNs ? now - slept_at - idle : 0;
}

}  // namespace

std::vector<IsolateSet::Picture> IsolateSet::look(uint32_t* queued) noexcept {
  std::vector<Picture> pictures;
  const uint64_t now = os::now_ns();
  LockGuard guard(lock_);
  *queued = queued_ + pinned_;
  for (const Place& place : places_) {
    const Isolate* const each = place.isolate;
    if (each == nullptr) continue;
    pictures.push_back({each->place, each->is_idle, each->started.load_relaxed(),
                        turn_of(*each, now), each->tasks_run.load_relaxed(),
                        each->busy_ns.load_relaxed()});
  }
  return pictures;
}

namespace {

// Isolates on several threads: standard locks, no fiber runs this.
std::mutex tables_mutex;
std::unordered_map<uint32_t, std::weak_ptr<IsolateSet>>& sets() {
  static auto* table = new std::unordered_map<uint32_t, std::weak_ptr<IsolateSet>>;
  return *table;
}
uint32_t last_set = 0;
uint32_t last_limiter = 0;

// The texts of functions, by number. They stay: a program has so many functions and no more.
struct Functions {
  std::unordered_map<std::string, uint32_t> numbers;
  std::vector<const std::string*> texts;
};
Functions& functions() {
  static auto* table = new Functions;
  return *table;
}

}  // namespace

uint32_t publish_set(const std::shared_ptr<IsolateSet>& set) {
  const std::lock_guard<std::mutex> guard(tables_mutex);
  sets()[++last_set] = set;
  return last_set;
}

std::shared_ptr<IsolateSet> find_set(uint32_t number) {
  const std::lock_guard<std::mutex> guard(tables_mutex);
  const auto found = sets().find(number);
  return found == sets().end() ? nullptr : found->second.lock();
}

void forget_set(uint32_t number) {
  const std::lock_guard<std::mutex> guard(tables_mutex);
  sets().erase(number);
}

uint32_t new_limiter() {
  const std::lock_guard<std::mutex> guard(tables_mutex);
  return ++last_limiter;
}

uint32_t function_id(const std::string& text) {
  const std::lock_guard<std::mutex> guard(tables_mutex);
  Functions& table = functions();
  const auto [place, is_new] =
      table.numbers.emplace(text, static_cast<uint32_t>(table.texts.size()));
  if (is_new) table.texts.push_back(&place->first);
  return place->second;
}

std::string function_text(uint32_t id) {
  const std::lock_guard<std::mutex> guard(tables_mutex);
  const Functions& table = functions();
  return id < table.texts.size() ? *table.texts[id] : std::string();
}

bool cancel_isolate_task(IsolateTask* task, const ContextReason& reason) noexcept {
  if (task->set->withdraw(task)) return true;
  if (!close_gate(task)) return false;
  if (task->cancel_flag.load_relaxed() == 0) task->reason = reason;
  task->cancel_flag.store_relaxed(1);
  const Ref<ContextCore> context = task->context;
  open_gate(task);
  if (context) context->cancel(reason);
  return false;
}

bool is_cancelled(const IsolateTask* task) noexcept {
  return task->cancel_flag.load_relaxed() != 0 || (task->parent && task->parent->is_done()) ||
         (task->deadline_ns != UINT64_MAX && os::now_ns() >= task->deadline_ns);
}

ContextCore* context_of(IsolateTask* task) noexcept {
  if (task->context) return task->context.get();
  const Ref<ContextCore> parent = task->parent ? task->parent : ContextCore::background();
  if (!parent) return nullptr;
  Ref<ContextCore> context = task->deadline_ns != UINT64_MAX
                                 ? parent->with_deadline(task->deadline_ns)
                                 : parent->with_cancel();
  if (!context) return nullptr;
  close_gate(task);
  const bool is_done = task->cancel_flag.load_relaxed() != 0;
  const ContextReason reason = task->reason;
  task->context = context;
  open_gate(task);
  if (is_done) context->cancel(reason);
  return context.get();
}

}  // namespace heddle
