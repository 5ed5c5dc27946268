// Where finished tasks wait for their isolate, and the doorbell that tells it.
//
// Any thread posts (one CAS); the first post after the isolate has emptied the box rings, which is
// one uv_async_send per batch. A closed box drops what comes: posting to an isolate that has ended
// is a cheap no-op. Referenced by its environment and by every record that may still post.
#pragma once

#include <uv.h>

#include "core/lock.h"

namespace heddle {

struct TaskRecord;

class Mailbox {
 public:
  explicit Mailbox(uv_async_t* doorbell) noexcept : doorbell_(doorbell) {}

  // Any thread. The record belongs to the box afterwards.
  void post(TaskRecord* record) noexcept;

  // The isolate's thread: takes all that is there, oldest first, linked by `next`.
  TaskRecord* take_all() noexcept;

  // The isolate's thread, before the doorbell is closed.
  void close() noexcept;

  void retain() noexcept { references_.fetch_add_relaxed(1); }
  void release() noexcept;

 private:
  ~Mailbox() = default;
  void drop_all() noexcept;

  Atomic<TaskRecord*> newest_{nullptr};
  Atomic<uint32_t> armed_{0};  // rung since the box was last emptied
  Atomic<uint32_t> references_{1};
  Atomic<bool> closed_{false};
  Lock doorbell_lock_{LockRank::kLeaf};
  uv_async_t* doorbell_;
};

}  // namespace heddle
