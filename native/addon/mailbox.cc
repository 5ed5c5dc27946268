#include "addon/mailbox.h"

#include <mutex>

#include "addon/promise_wait.h"
#include "addon/task_record.h"
#include "os/os.h"

namespace heddle {

namespace {
std::mutex free_mutex;  // isolates that begin or end; no fiber runs this but at the very end of one
Mailbox* free_mailboxes = nullptr;

void destroy(Mail* mail) noexcept {
  if (mail->kind == MailKind::kTask) {
    destroy_record(static_cast<TaskRecord*>(mail));
  } else {
    static_cast<PromiseWait*>(mail)->destroy();
  }
}
}  // namespace

Mail* Mailbox::closed_mark() noexcept {
  static Mail mark(MailKind::kTask);
  return &mark;
}

Mailbox* Mailbox::open(uv_async_t* doorbell) {
  Mailbox* box = nullptr;
  {
    const std::lock_guard<std::mutex> guard(free_mutex);
    box = free_mailboxes;
    if (box != nullptr) free_mailboxes = box->next_free_;
  }
  if (box == nullptr) box = new Mailbox;
  LockGuard guard(box->doorbell_lock_);
  box->doorbell_ = doorbell;
  box->watched_.store_relaxed(false);
  box->wants_.store_relaxed(0);
  box->newest_.store_release(nullptr);
  return box;
}

void Mailbox::post(Mail* mail) noexcept {
  Mail* newest = newest_.load_acquire();
  do {
    if (newest == closed_mark()) {
      destroy(mail);
      note_destroyed(1);
      return;
    }
    mail->next = newest;
    // Release: pairs with the exchange in take_all and close. Sequentially consistent with the look
    // at watched_: either this sees that nobody watches, or watch sees the mail.
  } while (!newest_.compare_exchange_seq_cst(newest, mail));
  if (newest != nullptr || watched_.load_seq_cst()) return;  // whoever posted the first one rings
  LockGuard guard(doorbell_lock_);
  if (doorbell_ != nullptr) uv_async_send(doorbell_);
}

Mail* Mailbox::take_all() noexcept {
  Mail* mail = newest_.exchange_acq_rel(nullptr);
  Mail* oldest_first = nullptr;
  while (mail != nullptr) {
    Mail* next = mail->next;
    mail->next = oldest_first;
    oldest_first = mail;
    mail = next;
  }
  return oldest_first;
}

void Mailbox::ask(Want want) noexcept {
  const uint32_t before = wants_.fetch_or_seq_cst(static_cast<uint32_t>(want));
  // As in post: either this sees that nobody watches, or watch sees what is wanted.
  if (before != 0 || watched_.load_seq_cst()) return;
  LockGuard guard(doorbell_lock_);
  if (doorbell_ != nullptr) uv_async_send(doorbell_);
}

bool Mailbox::watch(uint64_t deadline_ns, bool (*may_go_on)()) noexcept {
  watched_.store_seq_cst(true);
  while (is_empty() && os::now_ns() < deadline_ns && may_go_on()) {
    for (int i = 0; i < 8; ++i) spin_hint();
  }
  watched_.store_seq_cst(false);
  return newest_.load_seq_cst() != nullptr || wants_.load_seq_cst() != 0;
}

void Mailbox::close(uint64_t outstanding) noexcept {
  {
    LockGuard guard(doorbell_lock_);
    doorbell_ = nullptr;
  }
  // One more for this call, so that the box is not used again before it is done.
  outstanding_.store_relaxed(outstanding + 1);
  note_destroyed(1 + destroy_all(newest_.exchange_acq_rel(closed_mark())));
}

uint64_t Mailbox::destroy_all(Mail* first) noexcept {
  uint64_t count = 0;
  while (first != nullptr) {
    Mail* next = first->next;
    destroy(first);
    first = next;
    ++count;
  }
  return count;
}

void Mailbox::note_destroyed(uint64_t count) noexcept {
  if (outstanding_.fetch_sub_acq_rel(count) != count) return;
  const std::lock_guard<std::mutex> guard(free_mutex);
  next_free_ = free_mailboxes;
  free_mailboxes = this;
}

}  // namespace heddle
