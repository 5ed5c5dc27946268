// What the addon keeps per isolate: mailbox, doorbell, the tasks that are alive, and the way back
// into JavaScript. Made when the module is loaded, ended by an asynchronous cleanup hook.
//
// Always true: all of it is touched on the isolate's own thread only; other threads reach nothing
// but the mailbox. The doorbell holds the event loop open exactly while tasks are pending whose end
// may come. A batch of finished tasks is one entry into JavaScript: the dispatcher settles what
// `take` wrote and calls `take` again until it answers 0.
#pragma once

#include <unordered_map>
#include <utility>
#include <vector>

#include <node_api.h>
#include <uv.h>

#include "addon/mailbox.h"
#include "addon/promise_wait.h"
#include "addon/task_record.h"
#include "addon/task_runner.h"

namespace heddle {

class Environment {
 public:
  // nullptr, with a JavaScript exception pending, on failure.
  static Environment* create(napi_env env);

  // What JavaScript owns and native code uses: the function that settles a batch, the one that
  // makes an error of (code, message), two numbers per task (slot, status) and one (its result),
  // and an array for results that are no numbers. `scratch` and `outbox` are bytes for messages
  // received and sent, `state` a few numbers that calls answer with (see State).
  struct Face {
    napi_value dispatch, make_error, entries, numbers, values, scratch, state, outbox;
  };
  void attach(const Face& face);

  // A record for a new task. It must be started, and then noted, or given back.
  TaskRecord* take_record(uint32_t slot);
  void give_record(TaskRecord* record) noexcept;
  // Before the start, because the task may end at once; taken back if the start is refused.
  void note_started(TaskRecord* record);
  void take_back(TaskRecord* record);

  Magazine* fiber_stock() noexcept { return &fiber_stock_; }

  // --- tasks of JavaScript: those that it runs, and the sets of isolates that run its own ---
  TaskRunner runner;
  void join_set(std::shared_ptr<IsolateSet> set, uint32_t place);
  uint32_t add_set(std::shared_ptr<IsolateSet> set, bool is_root);
  IsolateSet* set_at(uint32_t index) const noexcept { return sets_[index].set.get(); }
  uint32_t set_number(uint32_t index) const noexcept { return sets_[index].number; }
  void close_set(uint32_t index) noexcept;
  IsolateTask* take_isolate_task(uint32_t slot, uint32_t set);

  // True if the task has ended by this: it will not be dispatched.
  bool cancel(uint32_t slot);
  TaskRecord* record_at(uint32_t slot) const noexcept {
    return slot < by_slot_.size() ? by_slot_[slot] : nullptr;
  }

  // --- handles: what JavaScript knows by number ---
  // Takes over the reference. The same number for what is known already.
  uint32_t add_handle(HandleRef handle);
  HandleRef handle_at(uint32_t id) const noexcept { return handles_[id].ref; }
  void drop_handle(uint32_t id) noexcept;
  // What this isolate holds of a lock, given back when it ends.
  void note_held(uint32_t id, bool writes, int64_t delta) noexcept {
    handles_[id].held[writes ? 1 : 0] += delta;
  }

  // --- waits of promises ---
  Mailbox* mailbox() const noexcept { return mailbox_; }
  Magazine* wait_stock() noexcept { return &wait_stock_; }
  PromiseWait* wait_at(uint32_t slot) const noexcept {
    return slot < waits_.size() ? waits_[slot] : nullptr;
  }
  void note_waiting(PromiseWait* wait, bool holds_loop);
  void forget_wait(PromiseWait* wait);
  // Handles have been given away or have come back: which waits hold the loop open?
  void reconsider_waits();
  // True if the isolate's thread is inside a call from JavaScript that looks after such mail.
  static bool deliver_here(PromiseWait* wait) noexcept;

  // What calls share with JavaScript.
  enum State : uint32_t { kStatus, kValueKind, kLocalMail, kIndex, kWants, kStateCount };
  uint32_t* state() noexcept { return state_; }
  uint32_t* entries() noexcept { return entries_; }
  double* numbers() noexcept { return numbers_; }
  uint32_t capacity() const noexcept { return capacity_; }
  const unsigned char* outbox() const noexcept { return outbox_; }
  napi_value values() const noexcept;
  // Writes a value where JavaScript finds it: number `at` of numbers or values, or the scratch from
  // *offset on. Answers its Status.
  uint32_t write_value(const Value& value, uint32_t at, size_t* offset, napi_value values);
  // Of bytes that are being given away, between the call that gives them and leave(), one for each;
  // nullptr for those of other memory.
  std::vector<Block::Exposure*> leaving;
  std::vector<Value>& received() noexcept { return received_; }  // room for a batch

  // Writes results of the current batch for JavaScript and answers how many; 0 at its end.
  uint32_t take();

  void throw_error(const char* code, const std::string& message);
  napi_value make_error(const char* code, const std::string& message);

 private:
  explicit Environment(napi_env env) noexcept : env_(env) {}
  ~Environment();

  static void on_doorbell(uv_async_t* handle);
  static void on_loop_sleeps(uv_prepare_t* handle);
  static void on_loop_wakes(uv_check_t* handle);
  static void on_cleanup(napi_async_cleanup_hook_handle hook, void* self);
  static void on_handle_closed(uv_handle_t* handle);

  void drain();
  void watch_mail();
  void write_result(TaskRecord* record, uint32_t at, size_t* offset, napi_value values);
  uint32_t write_message(const Value& message, uint32_t at, size_t* offset, napi_value* large);
  void write_wait(PromiseWait* wait, uint32_t at, size_t* offset, napi_value values);
  void retire(TaskRecord* record);
  void hold_loop(bool hold);
  void prepare(TaskRecord* record, uint32_t slot) noexcept;
  void keep_records(uint32_t count) noexcept;
  void note_running(bool running);
  void end_tasks();
  void end_waits();
  void close_handles();

  struct OwnSet {
    std::shared_ptr<IsolateSet> set;  // nullptr: a free place
    uint32_t number = 0;              // 0: it belongs to another root
    uint32_t live = 0;                // tasks of this isolate in it
    bool is_closed = false;
  };
  void forget_closed(OwnSet* own) noexcept;
  void end_sets() noexcept;
  std::vector<OwnSet> sets_;

  napi_env env_;
  Mailbox* mailbox_ = nullptr;
  uv_async_t doorbell_;
  uv_prepare_t loop_sleeps_;
  uv_check_t loop_wakes_;
  uv_idle_t stay_awake_;    // active: the loop does not sleep, since mail is likely to come at once
  uint64_t mailed_ns_ = 0;  // when the newest mail was found
  int open_handles_ = 0;
  napi_async_cleanup_hook_handle cleanup_hook_ = nullptr;
  napi_ref dispatch_ = nullptr;
  napi_ref make_error_ = nullptr;
  napi_ref entries_reference_ = nullptr;
  napi_ref numbers_reference_ = nullptr;
  napi_ref values_ = nullptr;
  uint32_t* entries_ = nullptr;
  double* numbers_ = nullptr;
  uint32_t capacity_ = 0;        // tasks that fit into the two arrays
  Mail* batch_ = nullptr;        // taken from the mailbox, not yet written
  Mail* local_first_ = nullptr;  // delivered here
  Mail** local_end_ = &local_first_;
  std::vector<TaskRecord*> by_slot_;  // all that were started and not retired
  // Records for the next tasks, linked by `next`.
  struct RecordList {
    TaskRecord* first = nullptr;
    uint32_t count = 0;

    TaskRecord* take() noexcept;  // nullptr: there is none
    void give(TaskRecord* record) noexcept;
    void keep(uint32_t most) noexcept;
  };
  RecordList free_records_;
  RecordList free_isolate_tasks_;
  uint32_t live_ = 0;       // started and not retired
  uint32_t most_live_ = 0;  // since nothing was pending
  Magazine fiber_stock_;
  uint32_t holding_ = 0;  // of these, those that hold the loop open
  bool is_outside_waker_ = false;
  bool counts_as_running_ = false;

  napi_ref scratch_reference_ = nullptr;
  napi_ref outbox_reference_ = nullptr;
  const unsigned char* outbox_ = nullptr;
  napi_ref state_reference_ = nullptr;
  unsigned char* scratch_ = nullptr;
  size_t scratch_length_ = 0;
  uint32_t* state_ = nullptr;
  struct Known {
    HandleRef ref;         // target nullptr: a free place
    int64_t held[2] = {};  // shared or counted; exclusive
  };
  std::vector<Known> handles_;
  std::vector<uint32_t> free_handles_;
  std::unordered_map<Waitable*, uint32_t> handle_ids_;
  std::vector<PromiseWait*> waits_;  // by slot
  Magazine wait_stock_;
  std::vector<Value> received_;
  static thread_local Environment* inside_;
  friend struct SyncCall;
};

// A handle and its kind as JavaScript gets them.
inline uint32_t handle_word(uint32_t id, HandleKind kind) {
  return (id << 4) | static_cast<uint32_t>(kind);
}

// Environment and arguments of a call from JavaScript.
struct JsCall {
  static constexpr size_t kMost = 10;
  JsCall(napi_env env, napi_callback_info info) noexcept : env(env) {
    void* data = nullptr;
    size_t count = kMost;
    napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
    environment = static_cast<Environment*>(data);
  }
  uint32_t index(size_t at) const noexcept {
    uint32_t value = 0;
    napi_get_value_uint32(env, arguments[at], &value);
    return value;
  }
  double number(size_t at) const noexcept {
    double value = 0;
    napi_get_value_double(env, arguments[at], &value);
    return value;
  }
  napi_env env;
  Environment* environment;
  napi_value arguments[kMost];
};

// A call during which waits of this isolate may be served: they are handed over without a doorbell,
// and JavaScript is told that there are some.
struct SyncCall : JsCall {
  SyncCall(napi_env env, napi_callback_info info) noexcept : JsCall(env, info) {
    outer = std::exchange(Environment::inside_, environment);
  }
  ~SyncCall() {
    Environment::inside_ = outer;
    environment->state()[Environment::kLocalMail] = environment->local_first_ != nullptr ? 1 : 0;
  }
  SyncCall(const SyncCall&) = delete;
  SyncCall& operator=(const SyncCall&) = delete;
  Environment* outer;
};

}  // namespace heddle
