// Mutexes, semaphores and what is like them: who may be inside together, who is served first, and
// that one who gives up passes nothing on and holds up nobody.
#include "sync/barrier.h"
#include "sync/mutex.h"
#include "sync/once.h"
#include "sync/rw_mutex.h"
#include "sync/semaphore.h"
#include "sync/wait_group.h"
#include "test/sim/parties.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kParties = 4;
constexpr uint32_t kRounds = 4;
constexpr uint64_t kPatienceNs = 3'000;

// On the heap, with a handle that is released at the end.
template <typename T>
struct Shared {
  Scheduler scheduler;
  Parties parties{scheduler};
  Ref<T> core;
  Plain<uint32_t> guarded;
  Atomic<uint32_t> inside{0};
  Atomic<uint32_t> done{0};
  bool some_give_up = false;
  bool cancels = false;

  template <typename... Arguments>
  explicit Shared(Arguments... arguments) : core(new T(arguments...)) {}

  uint64_t random_deadline() const noexcept {
    if (!some_give_up || one_in(3)) return os::kNever;
    return os::now_ns() + random_below(kPatienceNs);
  }

  // Several parties, some of which are cancelled if `cancels`.
  void run(std::function<void(uint32_t)> body) {
    for (uint32_t i = 0; i < kParties; ++i) {
      parties.add([this, i, body] {
        if (cancels) parties.let_thread_be_cancelled(i);
        body(i);
      });
    }
    for (uint32_t i = 0; cancels && i < 3; ++i) {
      if (!one_in(3)) pause_thread(6'000);
      parties.cancel(random_below(kParties));
    }
    parties.join();
    SIM_CHECK(core->wait_count() == 0 && !core->has_waiters(0), "somebody left a node behind");
  }
};

// --- mutex ---

Shared<MutexCore>* mutexes;

// False: it could not be had in time.
bool take_mutex() {
  if (one_in(4)) return mutexes->core->try_lock();
  const WaitStatus status = mutexes->core->lock_for(mutexes->random_deadline());
  SIM_CHECK(status == WaitStatus::kDone || status == WaitStatus::kTimedOut, "a lock failed");
  return status == WaitStatus::kDone;
}

class MutexHolder {
 public:
  MutexHolder() = default;
  ~MutexHolder() { SIM_CHECK(mutexes->core->unlock_one(), "a mutex was not locked"); }
};

void count_under_mutex(uint32_t) {
  for (uint32_t round = 0; round < kRounds; ++round) {
    while (!take_mutex()) linger(1'000);
    const MutexHolder holder;
    const uint32_t count = mutexes->guarded.read("what a mutex guards");
    mutexes->done.fetch_add_relaxed(1);
    mutexes->guarded.write(count + 1, "what a mutex guards");
    if (one_in(2)) linger(1'000);
    SIM_CHECK(mutexes->guarded.read("what a mutex guards") == count + 1, "two hold a mutex");
  }
}

void exclude(bool some_give_up, bool cancels) {
  Shared<MutexCore> all;
  mutexes = &all;
  all.some_give_up = some_give_up;
  all.cancels = cancels;
  all.run(count_under_mutex);
  const uint32_t done = all.done.load_relaxed();
  SIM_CHECK(!all.core->is_locked(), "a mutex is still locked");
  SIM_CHECK(!all.core->unlock_one(), "what is not locked was unlocked");
  SIM_CHECK(all.guarded.read("what a mutex guards") == done, "a round was lost");
  SIM_CHECK(cancels || done == kParties * kRounds, "a party has lost rounds");
}

void mutex_excludes() { exclude(false, false); }
void mutex_with_deadlines() { exclude(true, false); }
void mutex_with_cancellations() { exclude(one_in(2), true); }

// --- first come, first served, past those who give up ---

uint32_t waiting_now(Waitable& waitable) noexcept {
  waitable.lock();
  const uint32_t count = waitable.wait_count();
  waitable.unlock();
  return count;
}

struct Arrivals {
  Scheduler scheduler;
  Parties parties{scheduler};
  Ref<MutexCore> mutex{new MutexCore};
  Plain<uint32_t> next;                          // under the mutex
  uint32_t victim = random_below(2 * kParties);  // perhaps nobody
};
Arrivals* arrivals;

void be_served_in_turn(uint32_t self) {
  MutexCore& mutex = *arrivals->mutex;
  if (self == arrivals->victim) arrivals->parties.let_thread_be_cancelled(self);
  while (waiting_now(mutex) != self) linger(1'000);
  SIM_CHECK(mutex.lock_for() == WaitStatus::kDone, "a lock failed");
  const uint32_t next = arrivals->next.read("who comes next");
  SIM_CHECK(next == self || (next + 1 == self && arrivals->victim == next),
            "number %u was served instead of number %u", self, next);
  arrivals->next.write(self + 1, "who comes next");
  SIM_CHECK(mutex.unlock_one(), "a mutex was not locked");
}

void mutex_serves_in_order() {
  Arrivals all;
  arrivals = &all;
  SIM_CHECK(all.mutex->lock_for() == WaitStatus::kDone, "a lock failed");
  for (uint32_t i = 0; i < kParties; ++i) all.parties.add([i] { be_served_in_turn(i); });
  while (waiting_now(*all.mutex) != kParties) pause_thread(1'000);
  const bool cancels_first = one_in(2);
  if (!cancels_first) SIM_CHECK(all.mutex->unlock_one(), "a mutex was not locked");
  if (all.victim < kParties) all.parties.cancel(all.victim);
  if (cancels_first) SIM_CHECK(all.mutex->unlock_one(), "a mutex was not locked");
  all.parties.join();
  SIM_CHECK(!all.mutex->is_locked() && all.mutex->wait_count() == 0, "somebody is still there");
}

// --- readers and writers ---

Shared<RwMutexCore>* rw;

class RwHolder {
 public:
  explicit RwHolder(bool writes) noexcept : writes_(writes) {}
  ~RwHolder() {
    const bool was_held = writes_ ? rw->core->unlock_write() : rw->core->unlock_read();
    SIM_CHECK(was_held, "a readers-writer mutex was not held");
  }

 private:
  const bool writes_;
};

bool take_rw(bool writes) {
  if (one_in(4)) return writes ? rw->core->try_lock_write() : rw->core->try_lock_read();
  const uint64_t deadline = rw->random_deadline();
  const WaitStatus status = writes ? rw->core->lock_write(deadline) : rw->core->lock_read(deadline);
  SIM_CHECK(status == WaitStatus::kDone || status == WaitStatus::kTimedOut, "a lock failed");
  return status == WaitStatus::kDone;
}

void read_and_write(uint32_t) {
  for (uint32_t round = 0; round < kRounds; ++round) {
    const bool writes = one_in(3);
    while (!take_rw(writes)) linger(1'000);
    const RwHolder holder(writes);
    const uint32_t before = rw->guarded.read("what writers write");
    if (writes) {
      rw->done.fetch_add_relaxed(1);
      rw->guarded.write(before + 1, "what writers write");
    }
    if (one_in(2)) linger(1'000);
    SIM_CHECK(rw->guarded.read("what writers write") == before + (writes ? 1 : 0),
              "a writer is not alone");
  }
}

void read_and_write_with(bool some_give_up, bool cancels) {
  Shared<RwMutexCore> all;
  rw = &all;
  all.some_give_up = some_give_up;
  all.cancels = cancels;
  all.run(read_and_write);
  SIM_CHECK(all.guarded.read("what writers write") == all.done.load_relaxed(), "a write was lost");
  SIM_CHECK(!all.core->unlock_read() && !all.core->unlock_write(), "it is still held");
  SIM_CHECK(all.core->try_lock_write(), "it is not free");
}

void writers_are_alone() { read_and_write_with(false, false); }
void rw_with_deadlines() { read_and_write_with(true, false); }
void rw_with_cancellations() { read_and_write_with(one_in(2), true); }

// A writer waits behind a reader, and a reader behind the writer. The writer gives up: the second
// reader comes in while the first one is still there, and would wait for it otherwise.
void a_writer_gives_up() {
  Shared<RwMutexCore> all;
  rw = &all;
  Countdown settled(2);
  struct Settle {
    ~Settle() { countdown.arrive(); }
    Countdown& countdown;
  };
  SIM_CHECK(all.core->lock_read() == WaitStatus::kDone, "a lock failed");
  const bool is_cancelled = one_in(2);
  const uint32_t writer = all.parties.add([&settled, is_cancelled] {
    const Settle settle{settled};
    if (is_cancelled) rw->parties.let_thread_be_cancelled(0);
    const uint64_t deadline = is_cancelled ? os::kNever : os::now_ns() + random_below(8'000);
    SIM_CHECK(rw->core->lock_write(deadline) == WaitStatus::kTimedOut, "a writer is not alone");
  });
  if (one_in(4)) pause_thread(2'000);
  all.parties.add([&settled] {
    const Settle settle{settled};
    SIM_CHECK(rw->core->lock_read() == WaitStatus::kDone, "a lock failed");
    SIM_CHECK(rw->core->unlock_read(), "it is not held");
  });
  if (is_cancelled) {
    pause_thread(4'000);
    all.parties.cancel(writer);
  }
  settled.wait();
  SIM_CHECK(all.core->unlock_read(), "it is not held");
  all.parties.join();
}

// A reader that comes after a waiting writer waits as well, or writers would starve.
void a_reader_waits_behind_a_writer() {
  Shared<RwMutexCore> all;
  rw = &all;
  SIM_CHECK(all.core->lock_read() == WaitStatus::kDone, "a lock failed");
  all.parties.add([] {
    SIM_CHECK(rw->core->lock_write() == WaitStatus::kDone, "a lock failed");
    rw->guarded.write(1, "what writers write");
    SIM_CHECK(rw->core->unlock_write(), "it is not held");
  });
  while (waiting_now(*all.core) != 1) pause_thread(1'000);
  SIM_CHECK(!all.core->try_lock_read(), "a reader has overtaken a writer");
  all.parties.add([] {
    SIM_CHECK(rw->core->lock_read() == WaitStatus::kDone, "a lock failed");
    SIM_CHECK(rw->guarded.read("what writers write") == 1, "a reader has overtaken a writer");
    SIM_CHECK(rw->core->unlock_read(), "it is not held");
  });
  if (one_in(2)) pause_thread(4'000);
  SIM_CHECK(all.core->unlock_read(), "it is not held");
  all.parties.join();
}

// --- semaphore ---

constexpr uint32_t kPermits = 3;
Shared<SemaphoreCore>* semaphores;

class PermitHolder {
 public:
  explicit PermitHolder(uint32_t count) noexcept : count_(count) {
    const uint32_t before = semaphores->inside.fetch_add_acq_rel(count_);
    SIM_CHECK(before + count_ <= kPermits, "more permits than there are");
  }
  ~PermitHolder() {
    semaphores->inside.fetch_sub_acq_rel(count_);
    SIM_CHECK(semaphores->core->release_permits(count_), "permits could not be given back");
  }

 private:
  const uint32_t count_;
};

bool take_permits(uint32_t count) {
  if (one_in(4)) return semaphores->core->try_acquire(count);
  const WaitStatus status = semaphores->core->acquire(count, semaphores->random_deadline());
  SIM_CHECK(status == WaitStatus::kDone || status == WaitStatus::kTimedOut, "acquire failed");
  return status == WaitStatus::kDone;
}

void hold_permits(uint32_t) {
  for (uint32_t round = 0; round < kRounds; ++round) {
    const uint32_t count = 1 + random_below(kPermits);
    while (!take_permits(count)) linger(1'000);
    const PermitHolder holder(count);
    if (count == kPermits) semaphores->guarded.write(round, "what all permits guard");
    if (count != kPermits) semaphores->guarded.read("what all permits guard");
    if (one_in(2)) linger(1'000);
  }
}

void hold_permits_with(bool some_give_up, bool cancels) {
  Shared<SemaphoreCore> all(kPermits);
  semaphores = &all;
  all.some_give_up = some_give_up;
  all.cancels = cancels;
  all.run(hold_permits);
  SIM_CHECK(all.core->available() == kPermits, "permits were lost");
}

void permits_hold() { hold_permits_with(false, false); }
void permits_with_deadlines() { hold_permits_with(true, false); }
void permits_with_cancellations() { hold_permits_with(one_in(2), true); }

// One who wants many is in front of one who wants what there is, and gives up.
void a_greedy_one_gives_up() {
  Shared<SemaphoreCore> all(1);
  semaphores = &all;
  const bool is_cancelled = one_in(2);
  const uint32_t greedy = all.parties.add([is_cancelled] {
    if (is_cancelled) semaphores->parties.let_thread_be_cancelled(0);
    const uint64_t deadline = is_cancelled ? os::kNever : os::now_ns() + random_below(8'000);
    SIM_CHECK(semaphores->core->acquire(2, deadline) == WaitStatus::kTimedOut, "got too many");
  });
  if (one_in(4)) pause_thread(2'000);
  all.parties.add(
      [] { SIM_CHECK(semaphores->core->acquire(1) == WaitStatus::kDone, "acquire failed"); });
  if (is_cancelled) {
    pause_thread(4'000);
    all.parties.cancel(greedy);
  }
  all.parties.join();
  SIM_CHECK(all.core->available() == 0, "a permit was lost or found");
}

// One who wants little does not overtake one who waits for much.
void a_modest_one_waits_its_turn() {
  Shared<SemaphoreCore> all(1);
  semaphores = &all;
  all.parties.add([] {
    SIM_CHECK(semaphores->core->acquire(2) == WaitStatus::kDone, "acquire failed");
    semaphores->guarded.write(1, "what two permits guard");
    SIM_CHECK(semaphores->core->release_permits(2), "permits could not be given back");
  });
  while (waiting_now(*all.core) != 1) pause_thread(1'000);
  SIM_CHECK(!all.core->try_acquire(1), "one who wants little has overtaken");
  all.parties.add([] {
    SIM_CHECK(semaphores->core->acquire(1) == WaitStatus::kDone, "acquire failed");
    SIM_CHECK(semaphores->guarded.read("what two permits guard") == 1, "somebody has overtaken");
  });
  if (one_in(2)) pause_thread(4'000);
  SIM_CHECK(all.core->release_permits(1), "permits could not be given back");
  all.parties.join();
  SIM_CHECK(all.core->available() == 1, "a permit was lost or found");
}

// --- wait group ---

struct Group {
  Scheduler scheduler;
  Parties parties{scheduler};
  Ref<WaitGroupCore> group{new WaitGroupCore};
  Plain<uint32_t> results[kParties];
  Atomic<uint32_t> returned{0};
};
Group* group;

void group_waits_for_all() {
  Group all;
  group = &all;
  SIM_CHECK(!all.group->done(), "a group went below zero");
  SIM_CHECK(all.group->add(kParties), "a group refused its parties");
  for (uint32_t i = 0; i < kParties; ++i) {
    all.parties.add([i] {
      if (one_in(2)) linger(2'000);
      group->results[i].write(i + 1, "a result");
      SIM_CHECK(group->group->done(), "a group was done before");
    });
  }
  for (uint32_t i = 0; i < 2; ++i) {
    all.parties.add([] {
      WaitStatus status;
      do {
        const uint64_t deadline = one_in(2) ? os::kNever : os::now_ns() + random_below(3'000);
        status = group->group->wait(deadline);
      } while (status == WaitStatus::kTimedOut);
      SIM_CHECK(status == WaitStatus::kDone, "a wait failed");
      for (uint32_t j = 0; j < kParties; ++j) {
        SIM_CHECK(group->results[j].read("a result") == j + 1, "a group was early");
      }
      group->returned.fetch_add_relaxed(1);
    });
  }
  all.parties.join();
  SIM_CHECK(all.returned.load_relaxed() == 2 && all.group->count() == 0, "a wait was lost");
  SIM_CHECK(all.group->wait_count() == 0, "somebody left a node behind");
}

// --- once ---

Shared<OnceCore>* once;

void run_once(uint32_t) {
  bool is_first = false;
  WaitStatus status;
  do {
    status = once->core->begin(&is_first, once->random_deadline());
  } while (status == WaitStatus::kTimedOut);
  SIM_CHECK(status == WaitStatus::kDone, "a once failed");
  if (is_first) {
    SIM_CHECK(once->inside.fetch_add_relaxed(1) == 0, "it ran twice");
    // Cancelled or not, it counts as having run.
    struct Finish {
      ~Finish() {
        once->guarded.write(7, "what is made once");
        once->core->finish();
      }
    } finish_at_end;
    linger(2'000);
  } else {
    SIM_CHECK(once->guarded.read("what is made once") == 7, "it had not run");
  }
  once->done.fetch_add_relaxed(1);
}

void it_runs_once() {
  Shared<OnceCore> all;
  once = &all;
  all.some_give_up = one_in(2);
  all.cancels = one_in(3);
  all.run(run_once);
  SIM_CHECK(all.cancels || all.done.load_relaxed() == kParties, "somebody still waits");
}

// --- barrier ---

constexpr uint32_t kMeeting = 3;

struct Meeting {
  Scheduler scheduler;
  Parties parties{scheduler};
  Ref<BarrierCore> barrier;
  Plain<uint32_t> brought[kParties];
  Atomic<uint32_t> met{0};
  Atomic<uint32_t> last{0};
  explicit Meeting(bool is_tracked) : barrier(new BarrierCore(kMeeting, is_tracked)) {}
};
Meeting* meeting;

void all_meet() {
  Meeting all(false);
  meeting = &all;
  for (uint32_t i = 0; i < kMeeting; ++i) {
    all.parties.add([i] {
      for (uint32_t round = 1; round <= kRounds; ++round) {
        meeting->brought[i].write(round, "what a party brings");
        bool is_last = false;
        const auto arrive = [&] { return meeting->barrier->arrive(&is_last); };
        SIM_CHECK(arrive() == WaitStatus::kDone, "a barrier failed");
        if (is_last) meeting->last.fetch_add_relaxed(1);
        for (uint32_t j = 0; j < kMeeting; ++j) {
          SIM_CHECK(meeting->brought[j].read("what a party brings") == round, "not all have come");
        }
        SIM_CHECK(arrive() == WaitStatus::kDone, "a barrier failed");
        if (is_last) meeting->last.fetch_add_relaxed(1);
        if (one_in(2)) linger(1'000);
      }
    });
  }
  all.parties.join();
  SIM_CHECK(all.last.load_relaxed() == 2 * kRounds, "a round had not one last");
  SIM_CHECK(all.barrier->wait_count() == 0, "somebody left a node behind");
}

// Whoever gives up has not arrived, and whoever has arrived has met all the others of its round.
void meet_or_give_up(const Ref<BarrierCore>& barrier, uint32_t rounds) {
  for (uint32_t round = 0; round < rounds; ++round) {
    bool is_last = false;
    const uint64_t deadline = os::now_ns() + random_below(kPatienceNs);
    const WaitStatus status = barrier->arrive(&is_last, deadline);
    if (status == WaitStatus::kAbandoned) return;
    SIM_CHECK(status == WaitStatus::kDone || status == WaitStatus::kTimedOut, "a barrier failed");
    if (status == WaitStatus::kDone) meeting->met.fetch_add_relaxed(1);
    if (is_last) meeting->last.fetch_add_relaxed(1);
    if (one_in(4)) linger(1'000);
  }
}

void some_do_not_meet() {
  Meeting all(one_in(2));
  meeting = &all;
  const bool cancels = one_in(3);
  for (uint32_t i = 0; i < kParties; ++i) {
    const uint32_t rounds = 1 + random_below(5);
    all.parties.add([i, cancels, rounds, barrier = all.barrier]() mutable {
      if (cancels) meeting->parties.let_thread_be_cancelled(i);
      const Ref<BarrierCore> own = std::move(barrier);
      meet_or_give_up(own, rounds);
    });
  }
  BarrierCore* const barrier = all.barrier.get();
  for (uint32_t i = 0; cancels && i < 2; ++i) {
    pause_thread(4'000);
    all.parties.cancel(random_below(kParties));
  }
  const Ref<BarrierCore> kept = one_in(2) ? all.barrier : Ref<BarrierCore>();
  all.barrier = Ref<BarrierCore>();
  all.parties.join();
  const uint32_t met = all.met.load_relaxed();
  const uint32_t last = all.last.load_relaxed();
  SIM_CHECK(met == kMeeting * last, "%u have met, in %u rounds", met, last);
  if (kept) SIM_CHECK(barrier->wait_count() == 0, "somebody left a node behind");
}

}  // namespace

TEST_CASE("a mutex excludes, whoever gives up or is cancelled") {
  CHECK(run_seeds({"mutex", mutex_excludes, 1'000, {}}));
  CHECK(run_seeds({"mutex, deadlines", mutex_with_deadlines, 1'000, exact_time()}));
  CHECK(run_seeds({"mutex, cancelled", mutex_with_cancellations, 1'000, exact_time()}));
}

TEST_CASE("a mutex serves in the order of arrival, past those who give up") {
  CHECK(run_seeds({"mutex, arrivals", mutex_serves_in_order, 1'000, exact_time()}));
}

TEST_CASE("readers are together, writers alone, whoever gives up or is cancelled") {
  CHECK(run_seeds({"readers and writers", writers_are_alone, 1'000, {}}));
  CHECK(run_seeds({"readers and writers, deadlines", rw_with_deadlines, 1'000, exact_time()}));
  CHECK(run_seeds({"readers and writers, cancelled", rw_with_cancellations, 1'000, exact_time()}));
}

TEST_CASE("a writer that gives up lets in the readers behind it") {
  CHECK(run_seeds({"a writer gives up", a_writer_gives_up, 1'000, exact_time()}));
}

TEST_CASE("a reader waits behind a writer that waits") {
  CHECK(run_seeds({"a writer waits", a_reader_waits_behind_a_writer, 600, exact_time()}));
}

TEST_CASE("no more permits are held than there are, whoever gives up or is cancelled") {
  CHECK(run_seeds({"semaphore", permits_hold, 1'000, {}}));
  CHECK(run_seeds({"semaphore, deadlines", permits_with_deadlines, 1'000, exact_time()}));
  CHECK(run_seeds({"semaphore, cancelled", permits_with_cancellations, 1'000, exact_time()}));
}

TEST_CASE("one who waits for many permits and gives up lets those behind it go on") {
  CHECK(run_seeds({"a greedy one gives up", a_greedy_one_gives_up, 1'000, exact_time()}));
}

TEST_CASE("one who wants few permits waits behind one who waits for many") {
  CHECK(run_seeds({"a modest one waits", a_modest_one_waits_its_turn, 600, exact_time()}));
}

TEST_CASE("a wait group shows what its parties have done") {
  CHECK(run_seeds({"wait group", group_waits_for_all, 1'000, exact_time()}));
}

TEST_CASE("what runs once has run for all who waited") {
  CHECK(run_seeds({"once", it_runs_once, 1'000, exact_time()}));
}

TEST_CASE("a barrier opens when all have come, and counts nobody who has left") {
  CHECK(run_seeds({"barrier", all_meet, 1'000, exact_time()}));
  CHECK(run_seeds({"barrier, deadlines", some_do_not_meet, 2'000, exact_time()}));
}

}  // namespace heddle::sim
