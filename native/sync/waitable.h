// What can be waited for (a channel, a mutex, a context ...), and who waits for it.
//
// A wait is a block of memory outside of any fiber's stack: a header and one node per case, each
// linked into a queue of one waitable. Fibers, OS threads and promises differ only in how they go
// on; `Waiter` hides that.
//
// Always true:
// - Queues, nodes and whatever a waitable is made of belong to whoever holds its lock.
// - The claim is the delivery. Whoever wants to serve a node takes it off its queue and claims the
//   waiter's wait, one CAS; having won, it writes the outcome and the value, unlocks, and resumes
//   the waiter. Having lost (served elsewhere, timed out, cancelled) it forgets the node. So a
//   value is never taken without being delivered and never has to be put back.
// - The owner of a wait links its nodes while it holds all the locks, and unlinks those that are
//   left under their locks after the wait has ended; then the block is its own again.
// - Waiters are resumed after unlocking.
#pragma once

#include <cstdint>
#include <utility>

#include "core/biased_lock.h"
#include "core/waiter.h"

namespace heddle {

class Waitable;
class TimerQueue;
struct Machine;
struct Wait;

// A value on its way: 16 bytes that may be copied and forgotten, as all who pass it on do.
struct Cell {
  alignas(8) unsigned char bytes[16];
};

enum class WaitOutcome : uint8_t {
  kPending,
  kDone,       // the value was sent or received, the lock is held, the context is done ...
  kClosed,     // the channel is closed (and drained, for a receiver)
  kAbandoned,  // nobody is left who could end the wait
};

// Of one try.
enum class Readiness : uint8_t { kDone, kClosed, kNotReady };

struct WaitNode {
  WaitNode* next;
  WaitNode* prev;
  Wait* wait;
  Waitable* waitable;
  Cell cell;       // to send, or received; what else a try needs
  uint32_t index;  // of its case, as the caller of select counts
  uint8_t queue;
  bool is_linked;
  bool is_holder;  // the first one of this wait at this waitable; see Waitable::waits_
  WaitOutcome outcome;
};

struct Wait {
  Waiter* waiter;
  uint64_t epoch;
  uint64_t deadline_ns;
  TimerQueue* timers;  // that holds the deadline
  WaitNode* winner;    // nullptr: ended by its deadline or a cancellation
  // Told, under the lock, when few handles are left besides those of waiters: perhaps nobody will
  // end the wait. nullptr for those who do not care.
  void (*on_lonely)(Wait* wait) noexcept;
  uint32_t count;
  WaitNode* nodes() noexcept { return reinterpret_cast<WaitNode*>(this + 1); }

  static constexpr size_t bytes_for(uint32_t count) noexcept {
    return sizeof(Wait) + count * sizeof(WaitNode);
  }
  void init(uint32_t node_count) noexcept {
    waiter = nullptr;
    epoch = 0;
    deadline_ns = UINT64_MAX;
    timers = nullptr;
    winner = nullptr;
    on_lonely = nullptr;
    count = node_count;
  }
};

// First in, first out. Under the lock of its waitable.
class WaitQueue {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  WaitNode* front() const noexcept { return head_; }
  void push_back(WaitNode* node) noexcept {
    node->next = nullptr;
    node->prev = tail_;
    (tail_ != nullptr ? tail_->next : head_) = node;
    tail_ = node;
  }
  void remove(WaitNode* node) noexcept {
    (node->prev != nullptr ? node->prev->next : head_) = node->next;
    (node->next != nullptr ? node->next->prev : tail_) = node->prev;
  }

 private:
  WaitNode* head_ = nullptr;
  WaitNode* tail_ = nullptr;
};

// Waiters that were claimed under a lock and are to be resumed after it.
class Served {
 public:
  // `machine`: the calling thread's, inside the runtime until this is gone; nullptr if it has none.
  explicit Served(Machine* machine) noexcept : machine_(machine) {}
  ~Served() { resume_all(); }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  void add(WaitNode* node) noexcept {
    node->next = nullptr;
    *end_ = node;
    end_ = &node->next;
  }
  // No lock of a waitable may be held.
  void resume_all() noexcept {
    if (first_ != nullptr) resume_slowly();
  }

 private:
  void resume_slowly() noexcept;

  Machine* const machine_;
  WaitNode* first_ = nullptr;
  WaitNode** end_ = &first_;
};

class Waitable {
 public:
  Waitable(const Waitable&) = delete;
  Waitable& operator=(const Waitable&) = delete;

  // Handles. Whoever holds one may do something that ends others' waits; a waiter lends its own to
  // its wait. Once there are as few handles as waits, nobody is left who could end them, and all of
  // them end with kAbandoned, if the waitable is tracked: then every user has a handle of its own,
  // and none borrows another's by reference.
  void retain() noexcept { handles_.fetch_add_relaxed(1); }
  // False if the last handle is gone, and the object about to be.
  bool try_retain() noexcept;
  void release() noexcept;

  // `who`: see BiasedLock; by default the machine of the calling thread.
  void lock(uint32_t who) noexcept { lock_.lock(who); }
  void lock() noexcept;
  void unlock() noexcept { lock_.unlock(); }

  // --- under the lock ---

  // One try of what waiters of that queue wait for: to receive into the cell, to send it, to hold
  // the mutex ... Not ready means that a waiter would wait, and that nobody was served.
  virtual Readiness try_locked(uint32_t queue, Cell* cell, Served* served) noexcept = 0;
  // Whether a try would succeed, as far as that can be told without one.
  virtual bool is_ready_locked(uint32_t queue, const Cell& cell) const noexcept = 0;
  // Whether its cells are values that somebody owns: true of channels.
  virtual bool passes_values() const noexcept { return false; }
  // The owner of a wait that was not served here takes its node back; if the node is not linked any
  // more, somebody has tried to serve it too late. True: the wait counts as served all the same.
  virtual bool take_back_locked(WaitNode* node, Served*) noexcept {
    unlink(node);
    return false;
  }

  // The first waiter of a queue whose wait could be claimed, off the queue; nullptr if there is
  // none. The caller writes the value and hands the node to serve.
  WaitNode* claim_first(uint32_t queue) noexcept {
    return queues_[queue].empty() ? nullptr : claim_first_of_some(queue);
  }
  WaitNode* first(uint32_t queue) const noexcept { return queues_[queue].front(); }
  // Takes it off its queue; false if its wait was over.
  bool claim(WaitNode* node) noexcept;
  static void serve(WaitNode* node, WaitOutcome outcome, Served* served) noexcept {
    node->outcome = outcome;
    served->add(node);
  }
  void serve_all(uint32_t queue, WaitOutcome outcome, Served* served) noexcept;
  void link(WaitNode* node) noexcept {
    node->is_linked = true;
    if (node->is_holder) ++waits_;
    queues_[node->queue].push_back(node);
  }
  void unlink(WaitNode* node) noexcept {
    if (!node->is_linked) return;
    node->is_linked = false;
    if (node->is_holder) --waits_;
    queues_[node->queue].remove(node);
  }
  void abandon_all(Served* served) noexcept;
  bool has_waiters(uint32_t queue) const noexcept { return !queues_[queue].empty(); }
  // Handles that are not lent to a wait.
  uint32_t active_handles() const noexcept { return handles_.load_relaxed() - waits_; }
  uint32_t wait_count() const noexcept { return waits_; }
  bool is_abandoned() const noexcept {
    return is_tracked_ && waits_ != 0 && handles_.load_relaxed() <= waits_ &&
           handles_.load_relaxed() <= live_waits();
  }

 protected:
  explicit Waitable(bool is_tracked) noexcept : is_tracked_(is_tracked) {}
  virtual ~Waitable() = default;
  // As release(); true if it was the last one: then the caller deletes the object.
  bool drop_handle() noexcept;

 private:
  BiasedLock lock_{LockRank::kWaitable};
  Atomic<uint32_t> handles_{1};  // goes down under the lock only
  uint32_t waits_ = 0;           // linked nodes that hold
  const bool is_tracked_;
  WaitNode* claim_first_of_some(uint32_t queue) noexcept;
  // Without those whose end was claimed, elsewhere perhaps, and whose owner has not gone on yet to
  // take the node back: such an owner has its handle again.
  uint32_t live_waits() const noexcept;
  void tell_lonely() noexcept;

  WaitQueue queues_[2];
};

// A counted handle.
template <typename T>
class Ref {
 public:
  Ref() noexcept = default;
  // Takes over the handle that the caller has.
  explicit Ref(T* object) noexcept : object_(object) {}
  Ref(const Ref& other) noexcept : object_(other.object_) {
    if (object_ != nullptr) object_->retain();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->release();
  }

  T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  // Gives the handle away.
  T* detach() noexcept { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

}  // namespace heddle
