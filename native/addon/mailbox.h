// Where finished tasks wait for their isolate, and the doorbell that tells it.
//
// Any thread posts, with one CAS. Whoever finds the box empty rings: one uv_async_send per batch,
// and the list itself is the flag that it was rung. While the isolate watches the box by itself,
// nobody has to ring. A closed box destroys what comes, so posting to
// an isolate that has ended is a cheap no-op.
//
// Mailboxes are never freed but used again: a thread that posted the first mail may come to ring
// when the isolate has already ended and everything it left was destroyed. The worst that such a
// late ring can do is to wake another isolate for nothing.
#pragma once

#include <uv.h>

#include "core/lock.h"

namespace heddle {

// What can be posted: a task that has ended, or a promise's wait that was served.
enum class MailKind : uint8_t { kTask, kWait };

struct Mail {
  constexpr explicit Mail(MailKind k) noexcept : kind(k) {}

  Mail* next = nullptr;  // owned by whichever list holds it
  const MailKind kind;
};

// What an isolate can be asked for besides; bits.
enum class Want : uint32_t {
  kReconsider = 1,  // to look again whether its waits can be ended from outside
  kTasks = 2,       // to take tasks
  kManage = 4,      // to look after the isolates that it has started
};

class Mailbox {
 public:
  static Mailbox* open(uv_async_t* doorbell);

  // Any thread. It belongs to the box afterwards.
  void post(Mail* mail) noexcept;

  // Any thread: asks the isolate for something; once is enough until it has looked.
  void ask(Want want) noexcept;
  // The isolate's thread: all that is wanted, and from now on nothing.
  uint32_t take_wants() noexcept { return wants_.exchange_acq_rel(0); }

  // The isolate's thread: takes all that is there, oldest first, linked by `next`.
  Mail* take_all() noexcept;

  // The isolate's thread: true as soon as there is mail; false at the deadline, or when it may not
  // go on. Mail that comes meanwhile, or after a true, rings no bell until the box has been
  // emptied.
  bool watch(uint64_t deadline_ns, bool (*may_go_on)()) noexcept;

  // The isolate's thread, before the doorbell is closed. `outstanding` of it is still to come,
  // those that lie in the box included.
  void close(uint64_t outstanding) noexcept;

 private:
  Mailbox() = default;
  ~Mailbox() = default;
  bool is_empty() const noexcept {
    return newest_.load_relaxed() == nullptr && wants_.load_relaxed() == 0;
  }
  static Mail* closed_mark() noexcept;
  static uint64_t destroy_all(Mail* first) noexcept;
  void note_destroyed(uint64_t count) noexcept;

  Atomic<Mail*> newest_{nullptr};  // closed_mark() once closed
  Atomic<bool> watched_{false};
  Atomic<uint32_t> wants_{0};
  Atomic<uint64_t> outstanding_{0};  // of a closed box; at 0 it can be used again
  Lock doorbell_lock_{LockRank::kLeaf};
  uv_async_t* doorbell_ = nullptr;  // under its lock: nullptr once closed
  Mailbox* next_free_ = nullptr;
};

}  // namespace heddle
