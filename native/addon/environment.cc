#include "addon/environment.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "addon/handles.h"
#include "addon/runtime.h"
#include "addon/translate.h"
#include "arch/context.h"
#include "sync/channel.h"

namespace heddle {

namespace {

uv_handle_t* handle_of(uv_async_t& handle) { return reinterpret_cast<uv_handle_t*>(&handle); }
uv_handle_t* handle_of(uv_prepare_t& handle) { return reinterpret_cast<uv_handle_t*>(&handle); }
uv_handle_t* handle_of(uv_check_t& handle) { return reinterpret_cast<uv_handle_t*>(&handle); }
uv_handle_t* handle_of(uv_idle_t& handle) { return reinterpret_cast<uv_handle_t*>(&handle); }

// Two threads that answer each other wake each other up each time, which takes 30 to 70 us. So
// after mail an isolate watches for more, as long as a wake-up costs, if no core is wanted by
// others.
bool may_watch() { return runtime().may_spin(); }
constexpr uint64_t kWatchNs = 50'000;
constexpr uint64_t kTurnNs = 200'000;

}  // namespace

Environment* Environment::create(napi_env env) {
  auto* self = new Environment(env);
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok ||
      uv_async_init(loop, &self->doorbell_, on_doorbell) != 0) {
    delete self;
    napi_throw_error(env, nullptr, "heddle: expected an event loop to attach to, got none");
    return nullptr;
  }
  uv_prepare_init(loop, &self->loop_sleeps_);
  uv_check_init(loop, &self->loop_wakes_);
  uv_idle_init(loop, &self->stay_awake_);
  self->open_handles_ = 4;
  for (uv_handle_t* handle : {handle_of(self->doorbell_), handle_of(self->loop_sleeps_),
                              handle_of(self->loop_wakes_), handle_of(self->stay_awake_)}) {
    handle->data = self;
    uv_unref(handle);
  }
  self->mailbox_ = Mailbox::open(&self->doorbell_);
  napi_add_async_cleanup_hook(env, on_cleanup, self, &self->cleanup_hook_);
  return self;
}

Environment::~Environment() {
  keep_records(0);
  fiber_stock_.flush(fiber_pool());
  wait_stock_.flush(wait_pool());
}

void Environment::attach(const Face& face) {
  size_t entry_count = 0, number_count = 0;
  void* memory = nullptr;
  napi_get_typedarray_info(env_, face.entries, nullptr, &entry_count, &memory, nullptr, nullptr);
  entries_ = static_cast<uint32_t*>(memory);
  napi_get_typedarray_info(env_, face.numbers, nullptr, &number_count, &memory, nullptr, nullptr);
  numbers_ = static_cast<double*>(memory);
  capacity_ =
      static_cast<uint32_t>(number_count < entry_count / 2 ? number_count : entry_count / 2);
  napi_create_reference(env_, face.dispatch, 1, &dispatch_);
  napi_create_reference(env_, face.make_error, 1, &make_error_);
  napi_create_reference(env_, face.entries, 1, &entries_reference_);
  napi_create_reference(env_, face.numbers, 1, &numbers_reference_);
  napi_create_reference(env_, face.values, 1, &values_);
  napi_get_typedarray_info(env_, face.scratch, nullptr, &scratch_length_, &memory, nullptr,
                           nullptr);
  scratch_ = static_cast<unsigned char*>(memory);
  napi_get_typedarray_info(env_, face.state, nullptr, nullptr, &memory, nullptr, nullptr);
  state_ = static_cast<uint32_t*>(memory);
  napi_get_typedarray_info(env_, face.outbox, nullptr, nullptr, &memory, nullptr, nullptr);
  outbox_ = static_cast<unsigned char*>(memory);
  napi_create_reference(env_, face.outbox, 1, &outbox_reference_);
  napi_create_reference(env_, face.scratch, 1, &scratch_reference_);
  napi_create_reference(env_, face.state, 1, &state_reference_);
}

napi_value Environment::values() const noexcept {
  napi_value values = nullptr;
  napi_get_reference_value(env_, values_, &values);
  return values;
}

TaskRecord* Environment::RecordList::take() noexcept {
  TaskRecord* const record = first;
  if (record == nullptr) return nullptr;
  first = static_cast<TaskRecord*>(record->next);
  --count;
  // A burst of tasks is more than the cache holds: the next one is there when it is wanted.
  arch::prefetch_for_write(first);
  return record;
}

void Environment::RecordList::give(TaskRecord* record) noexcept {
  record->next = first;
  first = record;
  ++count;
}

void Environment::RecordList::keep(uint32_t most) noexcept {
  while (count > most) destroy_record(take());
}

void Environment::prepare(TaskRecord* record, uint32_t slot) noexcept {
  record->mailbox = mailbox_;
  record->slot = slot;
  record->holds_loop = true;
}

TaskRecord* Environment::take_record(uint32_t slot) {
  TaskRecord* record = free_records_.take();
  if (record == nullptr) record = new TaskRecord;
  prepare(record, slot);
  return record;
}

void Environment::give_record(TaskRecord* record) noexcept {
  record->reset();
  (record->is_isolate_task ? free_isolate_tasks_ : free_records_).give(record);
}

void Environment::keep_records(uint32_t count) noexcept {
  free_records_.keep(count);
  free_isolate_tasks_.keep(count);
}

void Environment::note_started(TaskRecord* record) {
  if (record->slot >= by_slot_.size()) by_slot_.resize(size_t{record->slot} * 2 + 64, nullptr);
  by_slot_[record->slot] = record;
  if (record->is_isolate_task) ++sets_[static_cast<IsolateTask*>(record)->set_index].live;
  if (++live_ > most_live_) most_live_ = live_;
  if (record->holds_loop && holding_++ == 0) hold_loop(true);
}

void Environment::take_back(TaskRecord* record) {
  by_slot_[record->slot] = nullptr;
  --live_;
  if (record->is_isolate_task) {
    OwnSet& own = sets_[static_cast<IsolateTask*>(record)->set_index];
    --own.live;
    forget_closed(&own);
  }
  if (record->holds_loop && --holding_ == 0) hold_loop(false);
  give_record(record);
}

thread_local Environment* Environment::inside_ = nullptr;

bool Environment::deliver_here(PromiseWait* wait) noexcept {
  Environment* const here = inside_;
  if (here == nullptr || here != wait->environment) return false;
  wait->next = nullptr;
  *here->local_end_ = wait;
  here->local_end_ = &wait->next;
  return true;
}

void Environment::note_waiting(PromiseWait* wait, bool holds_loop) {
  if (wait->slot >= waits_.size()) waits_.resize(size_t{wait->slot} * 2 + 16, nullptr);
  waits_[wait->slot] = wait;
  wait->holds_loop = holds_loop;
  if (holds_loop && holding_++ == 0) hold_loop(true);
}

void Environment::forget_wait(PromiseWait* wait) {
  waits_[wait->slot] = nullptr;
  if (wait->holds_loop && --holding_ == 0) hold_loop(false);
}

void Environment::reconsider_waits() {
  for (PromiseWait* wait : waits_) {
    if (wait == nullptr || wait->kind_of_wait != WaitKind::kPromise) continue;
    const bool holds = wait->may_end_from_outside();
    if (holds == wait->holds_loop) continue;
    wait->holds_loop = holds;
    if (holds && holding_++ == 0) hold_loop(true);
    if (!holds && --holding_ == 0) hold_loop(false);
  }
}

uint32_t Environment::add_handle(HandleRef handle) {
  const auto known = handle_ids_.find(handle.target);
  if (known != handle_ids_.end()) {
    handle.target->release();
    return known->second;
  }
  uint32_t id = static_cast<uint32_t>(handles_.size());
  if (free_handles_.empty()) {
    handles_.emplace_back();
  } else {
    id = free_handles_.back();
    free_handles_.pop_back();
  }
  handles_[id] = Known{handle};
  handle_ids_.emplace(handle.target, id);
  return id;
}

void Environment::drop_handle(uint32_t id) noexcept {
  Waitable* const target = std::exchange(handles_[id].ref.target, nullptr);
  handle_ids_.erase(target);
  free_handles_.push_back(id);
  target->release();
}

bool Environment::cancel(uint32_t slot) {
  TaskRecord* record = record_at(slot);
  if (record == nullptr || !cancel_task(record)) return false;
  take_back(record);
  return true;
}

void Environment::join_set(std::shared_ptr<IsolateSet> set, uint32_t place) {
  runner.join(set, place, mailbox_, doorbell_.loop);
  add_set(std::move(set), false);
  if (holding_++ == 0) hold_loop(true);  // tasks may come
  mailbox_->ask(Want::kTasks);
}

uint32_t Environment::add_set(std::shared_ptr<IsolateSet> set, bool is_root) {
  uint32_t index = 0;
  while (index < sets_.size() && sets_[index].set != nullptr) ++index;
  if (index == sets_.size()) sets_.emplace_back();
  sets_[index] = OwnSet{set, is_root ? publish_set(set) : 0};
  return index;
}

IsolateTask* Environment::take_isolate_task(uint32_t slot, uint32_t set) {
  auto* task = static_cast<IsolateTask*>(free_isolate_tasks_.take());
  if (task == nullptr) task = new IsolateTask;
  prepare(task, slot);
  task->is_special = true;
  task->set = sets_[set].set.get();
  task->set_index = set;
  return task;
}

// What waits in it fails; it is forgotten with the last of its tasks.
void Environment::close_set(uint32_t index) noexcept {
  OwnSet& own = sets_[index];
  own.is_closed = true;
  for (IsolateTask* task : own.set->close()) fail_task(task);
  forget_closed(&own);
}

void Environment::forget_closed(OwnSet* own) noexcept {
  if (!own->is_closed || own->live != 0) return;
  forget_set(own->number);
  *own = OwnSet{};
}

void Environment::end_sets() noexcept {
  for (OwnSet& own : sets_) {
    if (own.set == nullptr || own.number == 0) continue;
    for (IsolateTask* task : own.set->close()) fail_task(task);
    forget_set(own.number);
  }
}

void Environment::hold_loop(bool hold) {
  if (hold) {
    uv_ref(handle_of(doorbell_));
    if (!is_outside_waker_) runtime().note_outside_waker(1);
    is_outside_waker_ = true;
    note_running(true);
    uv_prepare_start(&loop_sleeps_, on_loop_sleeps);
    uv_check_start(&loop_wakes_, on_loop_wakes);
  } else {
    uv_unref(handle_of(doorbell_));
    note_running(false);
    uv_prepare_stop(&loop_sleeps_);
    uv_idle_stop(&stay_awake_);
    uv_check_stop(&loop_wakes_);
    // Enough for another burst like the last one.
    keep_records(std::exchange(most_live_, live_));
  }
}

// While JavaScript runs, its core is not free for machines that look for work.
void Environment::note_running(bool running) {
  if (counts_as_running_ == running) return;
  counts_as_running_ = running;
  if (runner.has_joined() && !running) runner.note_sleep(os::now_ns());
  runtime().note_foreign_running(running ? 1 : -1);
}

void Environment::on_loop_sleeps(uv_prepare_t* handle) {
  auto* self = static_cast<Environment*>(handle->data);
  self->watch_mail();
  if (!uv_is_active(handle_of(self->stay_awake_))) self->note_running(false);
}

// Just before the loop would sleep. Mail that comes at once is dealt with here, since a turn of the
// loop costs several times as much; after a while the loop turns once, so that sockets and timers
// have their turn as well.
void Environment::watch_mail() {
  const uint64_t turn_ends_ns = os::now_ns() + kTurnNs;
  for (uint64_t now = turn_ends_ns - kTurnNs; now < turn_ends_ns; now = os::now_ns()) {
    const bool is_recent = now - mailed_ns_ < kWatchNs;
    if (!is_recent || holding_ == 0 || !mailbox_->watch(mailed_ns_ + kWatchNs, may_watch)) {
      uv_idle_stop(&stay_awake_);
      return;
    }
    drain();
  }
  if (holding_ != 0) uv_idle_start(&stay_awake_, [](uv_idle_t*) {});
}

void Environment::on_loop_wakes(uv_check_t* handle) {
  auto* self = static_cast<Environment*>(handle->data);
  self->note_running(true);
  if (self->runner.has_joined()) self->runner.note_turn(os::now_ns());
}

void Environment::on_doorbell(uv_async_t* handle) {
  auto* self = static_cast<Environment*>(handle->data);
  self->drain();
}

void Environment::drain() {
  if (batch_ != nullptr || dispatch_ == nullptr) return;  // a dispatcher is at work further down
  const uint32_t wants = mailbox_->take_wants();
  if ((wants & static_cast<uint32_t>(Want::kReconsider)) != 0) reconsider_waits();
  batch_ = mailbox_->take_all();
  state_[kWants] |= wants & ~static_cast<uint32_t>(Want::kReconsider);
  if (batch_ == nullptr && local_first_ == nullptr && state_[kWants] == 0) return;
  mailed_ns_ = os::now_ns();
  if (runner.has_joined()) runner.note_turn(mailed_ns_);
  if (holding_ != 0) note_running(true);  // the loop calls this between `sleeps` and `wakes`
  napi_handle_scope scope = nullptr;
  napi_value dispatch = nullptr, receiver = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  if (napi_get_reference_value(env_, dispatch_, &dispatch) == napi_ok &&
      napi_get_global(env_, &receiver) == napi_ok) {
    const napi_status status =
        napi_make_callback(env_, nullptr, receiver, dispatch, 0, nullptr, nullptr);
    // The dispatcher itself throws nothing; but while an isolate is being terminated every call
    // ends this way, and then clearing and reporting fail as well, which is right.
    napi_value error = nullptr;
    if (status == napi_pending_exception &&
        napi_get_and_clear_last_exception(env_, &error) == napi_ok) {
      napi_fatal_exception(env_, error);
    }
  }
  napi_close_handle_scope(env_, scope);
}

void Environment::retire(TaskRecord* record) {
  if (record->is_special && record->thread) {
    // It has posted, so all that is left of it is its end.
    const ThreadTwin& twin = *record->thread;
    const uint64_t before = os::now_ns();
    os::join_thread(twin.thread);
    record_thread_times(twin.create_ns, twin.first_run_ns, os::now_ns() - before);
  }
  take_back(record);
}

napi_value Environment::make_error(const char* code, const std::string& message) {
  napi_value make = nullptr, receiver = nullptr, error = nullptr;
  napi_value arguments[2];
  if (make_error_ == nullptr) {  // nobody has attached: a plain error with the code
    napi_create_error(env_, string_to_js(env_, code), string_to_js(env_, message), &error);
    return error;
  }
  napi_get_reference_value(env_, make_error_, &make);
  napi_get_global(env_, &receiver);
  arguments[0] = string_to_js(env_, code);
  arguments[1] = string_to_js(env_, message);
  napi_call_function(env_, receiver, make, 2, arguments, &error);
  return error;
}

void Environment::throw_error(const char* code, const std::string& message) {
  napi_value error = make_error(code, message);
  if (error != nullptr) napi_throw(env_, error);
}

void Environment::on_cleanup(napi_async_cleanup_hook_handle hook, void* data) {
  auto* self = static_cast<Environment*>(data);
  self->cleanup_hook_ = hook;
  self->end_tasks();
  self->close_handles();
}

// The isolate ends: its tasks are asked to end, and whatever they still post is destroyed there.
void Environment::end_tasks() {
  runner.end();
  end_sets();
  *local_end_ = nullptr;
  for (Mail* list : {std::exchange(batch_, nullptr), std::exchange(local_first_, nullptr)}) {
    while (list != nullptr) {
      Mail* const mail = std::exchange(list, list->next);
      if (mail->kind == MailKind::kTask) {
        retire(static_cast<TaskRecord*>(mail));
      } else {
        auto* wait = static_cast<PromiseWait*>(mail);
        forget_wait(wait);
        wait->destroy();
      }
    }
  }
  for (TaskRecord* record : by_slot_) {
    if (record == nullptr) continue;
    if (record->is_special && record->thread) os::detach_thread(record->thread->thread);
    if (cancel_task(record)) {
      destroy_record(record);
      --live_;
    }
  }
  end_waits();
  mailbox_->close(live_);
  note_running(false);
  if (is_outside_waker_) runtime().note_outside_waker(-1);
}

// Nobody here will answer any more: waits are taken back, or will be destroyed by the mailbox; what
// this isolate held is given back, and says so.
void Environment::end_waits() {
  for (PromiseWait* wait : waits_) {
    if (wait == nullptr) continue;
    if (wait->cancel() ||
        (wait->kind_of_wait == WaitKind::kThread && wait->sleep_until(os::kNever))) {
      wait->destroy();
    } else {
      ++live_;
    }
  }
  for (uint32_t id = 0; id < handles_.size(); ++id) {
    if (handles_[id].ref.target == nullptr) continue;
    give_back_held(handles_[id].ref, handles_[id].held);
    drop_handle(id);
  }
}

void Environment::close_handles() {
  for (uv_handle_t* handle : {handle_of(doorbell_), handle_of(loop_sleeps_), handle_of(loop_wakes_),
                              handle_of(stay_awake_)}) {
    uv_close(handle, on_handle_closed);
  }
}

void Environment::on_handle_closed(uv_handle_t* handle) {
  auto* self = static_cast<Environment*>(handle->data);
  if (--self->open_handles_ > 0) return;
  const napi_async_cleanup_hook_handle hook = self->cleanup_hook_;
  delete self;
  napi_remove_async_cleanup_hook(hook);
}

}  // namespace heddle
