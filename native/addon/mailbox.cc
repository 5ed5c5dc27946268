#include "addon/mailbox.h"

#include "addon/task_record.h"

namespace heddle {

void Mailbox::post(TaskRecord* record) noexcept {
  TaskRecord* newest = newest_.load_relaxed();
  do {
    record->next = newest;
  } while (!newest_.compare_exchange_seq_cst(newest, record));
  // Either close() sees the record, or this load sees that it is closed.
  if (closed_.load_seq_cst()) {
    drop_all();
    return;
  }
  if (armed_.exchange_seq_cst(1) != 0) return;
  LockGuard guard(doorbell_lock_);
  if (doorbell_ != nullptr) uv_async_send(doorbell_);
}

TaskRecord* Mailbox::take_all() noexcept {
  armed_.store_seq_cst(0);  // before the box is emptied: a later post rings again
  TaskRecord* record = newest_.exchange_seq_cst(nullptr);
  TaskRecord* oldest_first = nullptr;
  while (record != nullptr) {
    TaskRecord* next = record->next;
    record->next = oldest_first;
    oldest_first = record;
    record = next;
  }
  return oldest_first;
}

void Mailbox::close() noexcept {
  {
    LockGuard guard(doorbell_lock_);
    doorbell_ = nullptr;
  }
  closed_.store_seq_cst(true);
  drop_all();
}

void Mailbox::drop_all() noexcept {
  TaskRecord* record = newest_.exchange_seq_cst(nullptr);
  while (record != nullptr) {
    TaskRecord* next = record->next;
    if (record->on_thread) os::detach_thread(record->thread);
    delete record;
    record = next;
    release();
  }
}

void Mailbox::release() noexcept {
  if (references_.fetch_sub_acq_rel(1) == 1) delete this;
}

}  // namespace heddle
