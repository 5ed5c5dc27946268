// Fibers that all wait for each other are told from those that something can still wake.
#include "core/timer.h"
#include "test/native/runtime_support.h"

namespace heddle::test {
namespace {

Atomic<uint32_t> reports{0};

// Set while idle machines may read it, which ThreadSanitizer would report.
#if defined(HEDDLE_TSAN)
constexpr bool kSkipped = true;
#else
constexpr bool kSkipped = false;
#endif

void start_reports(Scheduler& scheduler) {
  reports.store_relaxed(0);
  scheduler.set_deadlock_handler([](Scheduler&) { reports.fetch_add_acq_rel(1); });
}

void await_idle(Scheduler& scheduler, uint32_t processors) {
  wait_until([&] { return stats_of(scheduler).idle_processors == processors; });
}

// As long as a report would take that comes after all have fallen asleep.
void give_time_for_a_report() { os::sleep_until(os::now_ns() + 30'000'000); }

}  // namespace

// Row 28.
TEST_CASE("fibers that all wait, with nothing that could wake them, are a deadlock") {
  if (kSkipped) return;
  for (uint32_t processors : {1, 2, 4}) {
    for (StackClass stack_class : kStackClasses) {
      Scheduler scheduler(with_processors(processors));
      start_reports(scheduler);
      ParkingPlace places[3];
      for (ParkingPlace& place : places) {
        spawn(scheduler, [&place] { place.park(); }, of_class(stack_class));
      }
      wait_until([&] { return reports.load_acquire() >= 1; });
      for (ParkingPlace& place : places) {
        CHECK(place.fiber() != nullptr);
        CHECK(place.ready(scheduler));  // which is not for ever, if somebody outside knows better
      }
      await_all_exits(scheduler);
    }
  }
}

TEST_CASE("a scheduler without fibers, or whose fibers have ended, is no deadlock") {
  if (kSkipped) return;
  Scheduler scheduler(with_processors(2));
  start_reports(scheduler);
  give_time_for_a_report();
  for (int i = 0; i < 50; ++i) spawn(scheduler, [] { yield(); });
  await_all_exits(scheduler);
  await_idle(scheduler, 2);
  give_time_for_a_report();
  CHECK_EQ(reports.load_acquire(), 0u);
}

TEST_CASE("a fiber that sleeps, or a timer that is pending, can wake the others") {
  if (kSkipped) return;
  Scheduler scheduler(with_processors(2));
  start_reports(scheduler);
  ParkingPlace places[2];
  scheduler.note_outside_waker(1);  // while there is only the one that waits
  spawn(scheduler, [&] { places[0].park(); });
  places[0].await();
  spawn(scheduler, [&] {
    scheduler.note_outside_waker(-1);
    sleep_for(60'000'000);
    CHECK(places[0].ready(scheduler));
  });
  await_all_exits(scheduler);
  scheduler.note_outside_waker(1);
  spawn(scheduler, [&] { places[1].park(); });
  places[1].await();
  static ParkingPlace* waiting;
  static Scheduler* owner;
  waiting = &places[1];
  owner = &scheduler;
  const TimerHandle timer = start_timer(
      scheduler, os::now_ns() + 60'000'000, [](void*) noexcept { CHECK(waiting->ready(*owner)); },
      nullptr);
  CHECK(timer.node != nullptr);
  scheduler.note_outside_waker(-1);
  await_all_exits(scheduler);
  CHECK_EQ(reports.load_acquire(), 0u);
}

TEST_CASE("a blocking call may end and wake the others") {
  if (kSkipped) return;
  for (StackClass stack_class : kStackClasses) {
    Scheduler scheduler(with_processors(1));
    start_reports(scheduler);
    ParkingPlace place;
    Countdown let_go(1);
    Countdown entered(1);
    spawn(
        scheduler,
        [&, inside = &entered, released = &let_go] {
          blocking([inside, released] {
            inside->arrive();
            released->wait();
          });
          CHECK(place.ready(scheduler));
        },
        of_class(stack_class));
    entered.wait();
    spawn(scheduler, [&] { place.park(); });
    place.await();
    await_idle(scheduler, 1);
    give_time_for_a_report();
    CHECK_EQ(reports.load_acquire(), 0u);
    let_go.arrive();
    await_all_exits(scheduler);
  }
}

TEST_CASE("a hog without a processor may wake the others") {
  if (kSkipped) return;
  Scheduler scheduler(with_processors(1));
  start_reports(scheduler);
  ParkingPlace place;
  Atomic<bool> stop{false};
  Countdown started(1);
  spawn(scheduler, [&] {
    started.arrive();
    while (!stop.load_acquire()) spin_hint();
    CHECK(place.ready(scheduler));
  });
  started.wait();
  spawn(scheduler, [&] { place.park(); });
  place.await();
  await_idle(scheduler, 1);
  give_time_for_a_report();
  CHECK_EQ(reports.load_acquire(), 0u);
  stop.store_release(true);
  await_all_exits(scheduler);
}

TEST_CASE("who is announced as a waker outside is believed, until it is gone") {
  if (kSkipped) return;
  Scheduler scheduler(with_processors(2));
  start_reports(scheduler);
  scheduler.note_outside_waker(1);
  ParkingPlace place;
  spawn(scheduler, [&] { place.park(); });
  place.await();
  await_idle(scheduler, 2);
  give_time_for_a_report();
  CHECK_EQ(reports.load_acquire(), 0u);
  scheduler.note_outside_waker(-1);
  spawn(scheduler, [] { yield(); });  // after which all wait again
  wait_until([&] { return reports.load_acquire() >= 1; });
  CHECK(place.ready(scheduler));
  await_all_exits(scheduler);
}

TEST_CASE("without a handler a deadlock is waited out") {
  if (kSkipped) return;
  Scheduler scheduler(with_processors(1));
  ParkingPlace place;
  spawn(scheduler, [&] { place.park(); });
  place.await();
  await_idle(scheduler, 1);
  CHECK(place.ready(scheduler));
  await_all_exits(scheduler);
}

}  // namespace heddle::test
