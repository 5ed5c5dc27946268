// What the addon keeps per isolate: mailbox, doorbell, the tasks that are alive, and the way back
// into JavaScript. Made when a module instance is loaded, ended by an asynchronous cleanup hook.
//
// Always true: all of it is touched on the isolate's own thread only, except the mailbox. The
// doorbell holds the event loop open exactly while tasks of this isolate are pending.
#pragma once

#include <vector>

#include <node_api.h>
#include <uv.h>

#include "addon/mailbox.h"
#include "addon/task_record.h"

namespace heddle {

class Environment {
 public:
  // Throws a JavaScript exception and returns nullptr on failure.
  static Environment* create(napi_env env);
  static Environment* of(napi_env env);

  // Three numbers per finished task (slot, status, value) in a buffer that JavaScript sees too, and
  // one call per batch: dispatcher(count, extras).
  napi_value set_dispatcher(napi_value dispatcher);

  TaskRecord* take_record(uint32_t slot);
  void drop_record(TaskRecord* record);  // one that was never started
  // Before the task is started, since it may finish at once; taken back if the start is refused.
  void started(TaskRecord* record);
  void take_back(TaskRecord* record);
  Mailbox* mailbox() const noexcept { return mailbox_; }
  TaskRecord* record_at(uint32_t slot) const noexcept {
    return slot < by_slot_.size() ? by_slot_[slot] : nullptr;
  }

 private:
  explicit Environment(napi_env env) noexcept : env_(env) {}
  ~Environment() = default;

  static void on_doorbell(uv_async_t* handle);
  static void on_loop_sleeps(uv_prepare_t* handle);
  static void on_loop_wakes(uv_check_t* handle);
  static void on_cleanup(napi_async_cleanup_hook_handle hook, void* self);
  static void on_handle_closed(uv_handle_t* handle);

  void drain();
  uint32_t write_batch(TaskRecord** records, napi_value* extras);
  void settle(TaskRecord* record);
  void dispatch(uint32_t count, napi_value extras);
  void hold_loop(bool hold);
  void note_running(bool running);
  void end(napi_async_cleanup_hook_handle hook);

  napi_env env_;
  Mailbox* mailbox_ = nullptr;
  uv_async_t doorbell_;
  uv_prepare_t loop_sleeps_;
  uv_check_t loop_wakes_;
  int open_handles_ = 0;
  napi_async_cleanup_hook_handle cleanup_hook_ = nullptr;
  napi_async_context async_context_ = nullptr;
  napi_ref dispatcher_ = nullptr;
  napi_ref buffer_reference_ = nullptr;
  double* buffer_ = nullptr;
  std::vector<TaskRecord*> by_slot_;
  std::vector<TaskRecord*> free_records_;
  uint32_t pending_ = 0;
  bool attached_ = false;  // counted as an outside waker
  bool counts_as_running_ = false;
};

}  // namespace heddle
