// Select: of several cases exactly one comes true, whoever else selects the same things, and the
// others leave nothing behind.
#include "sync/channel.h"
#include "sync/context.h"
#include "sync/select.h"
#include "test/sim/parties.h"

namespace heddle::sim {
namespace {

constexpr uint32_t kChannels = 3;
constexpr uint32_t kParties = 4;
constexpr uint32_t kMostValues = 128;
constexpr uint64_t kPatienceNs = 6'000;

Cell cell_of(uint64_t value) noexcept {
  Cell cell{};
  std::memcpy(cell.bytes, &value, sizeof value);
  return cell;
}
uint32_t value_of(const Cell& cell) noexcept {
  uint64_t value;
  std::memcpy(&value, cell.bytes, sizeof value);
  return static_cast<uint32_t>(value);
}

SelectCase case_of(Waitable* target, uint32_t queue, const Cell& cell = Cell{}) noexcept {
  SelectCase made;
  made.target = target;
  made.queue = queue;
  made.cell = cell;
  return made;
}

// --- a crowd that selects among the same channels ---

struct Value {
  Plain<uint32_t> says;
  Plain<uint32_t> sent;
  Plain<uint32_t> received;
};

struct Crowd {
  Scheduler scheduler;
  Parties parties{scheduler};
  ChannelCore* channels[kChannels];
  Ref<ContextCore> context = ContextCore::background()->with_cancel();
  Value values[kMostValues];
  Atomic<uint32_t> offered{0};  // numbers of values given out
  Atomic<uint32_t> sent{0};
  Atomic<uint32_t> received{0};

  Crowd() {
    for (ChannelCore*& channel : channels) {
      ChannelOptions options;
      options.capacity = one_in(2) ? 0 : random_below(3);
      channel = ChannelCore::create(options);
    }
  }
  ~Crowd() {
    for (ChannelCore* channel : channels) channel->release();
  }
};
Crowd* crowd;

uint32_t offer() noexcept {
  const uint32_t number = crowd->offered.fetch_add_relaxed(1);
  SIM_CHECK(number < kMostValues, "the scenario has too few values");
  crowd->values[number].says.write(number + 1, "what a value says");
  return number;
}

void note_sent(const Cell& cell) noexcept {
  crowd->sent.fetch_add_relaxed(1);
  crowd->values[value_of(cell)].sent.write(1, "whether a value was sent");
}

void note_received(const Cell& cell) noexcept {
  const uint32_t number = value_of(cell);
  SIM_CHECK(number < kMostValues, "a value that nobody sent");
  Value& value = crowd->values[number];
  SIM_CHECK(value.says.read("what a value says") == number + 1, "a value came without its data");
  SIM_CHECK(value.received.read("whether a value came") == 0, "a value came twice");
  value.received.write(1, "whether a value came");
  crowd->received.fetch_add_relaxed(1);
}

void check_unused(const Waitable& waitable) noexcept {
  SIM_CHECK(waitable.wait_count() == 0 && !waitable.has_waiters(0) && !waitable.has_waiters(1),
            "a lost case has left a node behind");
}

void check_crowd() {
  for (ChannelCore* channel : crowd->channels) {
    check_unused(*channel);
    for (Cell cell; channel->try_receive(&cell) == Readiness::kDone;) note_received(cell);
  }
  check_unused(*crowd->context);
  for (uint32_t i = 0; i < crowd->offered.load_relaxed(); ++i) {
    Value& value = crowd->values[i];
    const bool was_sent = value.sent.read("whether a value was sent") != 0;
    const bool came = value.received.read("whether a value came") != 0;
    SIM_CHECK(was_sent == came, was_sent ? "value %u was lost" : "value %u came unsent", i);
  }
}

ChannelCore* any_channel() noexcept { return crowd->channels[random_below(kChannels)]; }

// Up to four cases, whatever they are: also absent ones, and the same channel again.
uint32_t any_cases(SelectCase* cases, uint32_t own_value) noexcept {
  const uint32_t count = 1 + random_below(4);
  for (uint32_t i = 0; i < count; ++i) {
    if (one_in(2)) {
      cases[i] = case_of(any_channel(), ChannelCore::kSenders, cell_of(own_value));
    } else {
      cases[i] = case_of(one_in(8) ? nullptr : any_channel(), ChannelCore::kReceivers);
    }
  }
  return count;
}

// True if the value was sent.
bool note_selected(const SelectCase* cases, uint32_t count, const Selected& selected) noexcept {
  if (selected.index == Selected::kNothing) {
    SIM_CHECK(selected.status == WaitStatus::kTimedOut, "a select ended for no reason");
    return false;
  }
  SIM_CHECK(selected.index < count && cases[selected.index].target != nullptr, "no such case");
  const SelectCase& chosen = cases[selected.index];
  SIM_CHECK(selected.status == WaitStatus::kDone, "a case came true in another way");
  if (chosen.queue == ChannelCore::kReceivers) {
    note_received(chosen.cell);
    return false;
  }
  note_sent(chosen.cell);
  return true;
}

void select_with_deadlines(uint32_t party, bool may_be_cancelled) {
  if (may_be_cancelled) crowd->parties.let_thread_be_cancelled(party);
  uint32_t own_value = offer();
  for (uint32_t round = 0; round < 6; ++round) {
    SelectCase cases[4];
    const uint32_t count = any_cases(cases, own_value);
    const Selected selected =
        one_in(4) ? try_select_cases(cases, count)
                  : select_cases(cases, count, os::now_ns() + random_below(kPatienceNs));
    if (note_selected(cases, count, selected)) own_value = offer();
    if (one_in(4)) linger(2'000);
  }
}

void crowd_with_deadlines() {
  Crowd all;
  crowd = &all;
  for (uint32_t i = 0; i < kParties; ++i) {
    all.parties.add([i] { select_with_deadlines(i, false); });
  }
  all.parties.join();
  check_crowd();
}

void crowd_with_cancellations() {
  Crowd all;
  crowd = &all;
  for (uint32_t i = 0; i < kParties; ++i) {
    all.parties.add([i] { select_with_deadlines(i, true); });
  }
  for (uint32_t i = 0; i < kParties; ++i) {
    if (one_in(2)) pause_thread(8'000);
    all.parties.cancel(random_below(kParties));
  }
  all.parties.join();
  check_crowd();
}

// --- without deadlines: who is served must wake, and no order of locks is a deadlock ---

constexpr uint32_t kSent = 6;  // by each sender

void send_somewhere() {
  for (uint32_t i = 0; i < kSent; ++i) {
    const Cell cell = cell_of(offer());
    SelectCase cases[kChannels];
    const uint32_t count = 2 + random_below(kChannels - 1);
    for (uint32_t j = 0; j < count; ++j) {
      cases[j] = case_of(any_channel(), ChannelCore::kSenders, cell);
    }
    SIM_CHECK(note_selected(cases, count, select_cases(cases, count)), "nothing was sent");
  }
}

// Until the context is done, from all of them.
void receive_from_all() {
  for (;;) {
    SelectCase cases[kChannels + 1];
    const uint32_t start = random_below(kChannels);
    for (uint32_t i = 0; i < kChannels; ++i) {
      cases[i] = case_of(crowd->channels[(start + i) % kChannels], ChannelCore::kReceivers);
    }
    cases[kChannels] = case_of(crowd->context.get(), 0);
    const Selected selected = select_cases(cases, kChannels + 1);
    SIM_CHECK(selected.status == WaitStatus::kDone, "a select ended in another way");
    if (selected.index == kChannels) return;
    note_received(cases[selected.index].cell);
  }
}

void crowd_without_deadlines() {
  Crowd all;
  crowd = &all;
  static Countdown* sending;
  Countdown senders(2);
  sending = &senders;
  on_everybody_asleep([](uint64_t left_ns) {
    const uint32_t sent = newest(crowd->sent);
    const uint32_t received = newest(crowd->received);
    const uint32_t buffered = look([] {
      uint32_t count = 0;
      for (const ChannelCore* channel : crowd->channels) count += channel->length();
      return count;
    });
    static uint64_t since_ns = 0;
    static uint32_t seen = 0;
    if (seen != sent + received || sent == received + buffered) since_ns = time_now_ns();
    seen = sent + received;
    const bool is_soon =
        left_ns != os::kNever && time_now_ns() + left_ns < since_ns + Unserved::kLimitNs;
    SIM_CHECK(is_soon || sent == received + buffered, "everybody sleeps: %u sent, %u received",
              sent, received);
  });
  for (uint32_t i = 0; i < 2; ++i) {
    all.parties.add([] {
      send_somewhere();
      sending->arrive();
    });
    all.parties.add(receive_from_all);
  }
  senders.wait();
  all.context->cancel();
  all.parties.join();
  check_crowd();
  SIM_CHECK(all.sent.load_relaxed() == 2 * kSent, "a value was not sent");
}

// --- sending and receiving on one channel in one select never meets itself ---

constexpr uint32_t kMeetings = 8;

void meet_others() {
  for (;;) {
    ChannelCore* const channel = crowd->channels[0];
    SelectCase cases[4] = {case_of(channel, ChannelCore::kSenders, cell_of(offer())),
                           case_of(channel, ChannelCore::kReceivers),
                           case_of(crowd->context.get(), 0),
                           case_of(one_in(2) ? channel : nullptr, ChannelCore::kReceivers)};
    const uint32_t own = value_of(cases[0].cell);
    const Selected selected = select_cases(cases, 4);
    SIM_CHECK(selected.status == WaitStatus::kDone, "a select ended in another way");
    if (selected.index == 2) return;
    if (selected.index == 0) {
      note_sent(cases[0].cell);
    } else {
      SIM_CHECK(value_of(cases[selected.index].cell) != own, "a select has met itself");
      note_received(cases[selected.index].cell);
      if (crowd->received.load_relaxed() >= kMeetings) crowd->context->cancel();
    }
  }
}

void selects_meet_each_other() {
  Crowd all;
  crowd = &all;
  all.channels[0]->release();
  all.channels[0] = ChannelCore::create(ChannelOptions{});
  for (uint32_t i = 0; i < 3; ++i) all.parties.add(meet_others);
  all.parties.join();
  check_crowd();
  SIM_CHECK(all.sent.load_relaxed() == all.received.load_relaxed(), "the sums differ");
}

// --- a select over channels that others leave ---

struct Leaving {
  Scheduler scheduler;
  Parties parties{scheduler};
  Atomic<uint32_t> helpers{2};
};
Leaving* leaving;

Ref<ChannelCore> tracked_channel() {
  ChannelOptions options;
  options.is_tracked = true;
  options.capacity = random_below(2);
  return Ref<ChannelCore>(ChannelCore::create(options));
}

// One handle for each of two channels, and two cases at one of them: that is still one who waits.
void receive_until_abandoned(Ref<ChannelCore> first, Ref<ChannelCore> second) {
  uint32_t received = 0;
  for (;;) {
    SelectCase cases[3] = {case_of(first.get(), ChannelCore::kReceivers),
                           case_of(second.get(), ChannelCore::kReceivers),
                           case_of(first.get(), ChannelCore::kReceivers)};
    const Selected selected = select_cases(cases, 3);
    if (selected.status == WaitStatus::kDone) {
      ++received;
      continue;
    }
    SIM_CHECK(selected.status == WaitStatus::kAbandoned, "a select ended in another way");
    // One of the two is left by all; the helper of the other may still be there.
    SIM_CHECK(leaving->helpers.load_acquire() < 2, "abandoned beside those who still send");
    const bool is_queued = first->has_waiters(0) || second->has_waiters(0);
    SIM_CHECK(!is_queued, "an abandoned select has left a node behind");
    return;
  }
}

void others_go_away() {
  Leaving all;
  leaving = &all;
  Ref<ChannelCore> channels[2] = {tracked_channel(), tracked_channel()};
  all.parties.add([first = channels[0], second = channels[1]]() mutable {
    receive_until_abandoned(std::move(first), std::move(second));
  });
  for (Ref<ChannelCore>& channel : channels) {
    all.parties.add([own = channel]() mutable {
      const Ref<ChannelCore> handle = std::move(own);
      for (uint32_t i = 0; i < random_below(3); ++i) {
        const WaitStatus status = handle->send(cell_of(i));
        if (status == WaitStatus::kAbandoned) break;  // the receiver has gone
        SIM_CHECK(status == WaitStatus::kDone, "a send failed");
        if (one_in(2)) linger(2'000);
      }
      leaving->helpers.fetch_sub_acq_rel(1);
    });
    channel = Ref<ChannelCore>();
  }
  all.parties.join();
}

}  // namespace

TEST_CASE("selects with deadlines lose no value and leave nothing queued") {
  CHECK(run_seeds({"select, deadlines", crowd_with_deadlines, 2'000, exact_time()}));
}

TEST_CASE("selects that are cancelled lose no value and leave nothing queued") {
  CHECK(run_seeds({"select, cancelled", crowd_with_cancellations, 2'000, exact_time()}));
}

TEST_CASE("selects over the same channels in any order serve each other") {
  CHECK(run_seeds({"select", crowd_without_deadlines, 2'000, exact_time()}));
  CHECK(run_seeds({"select, late threads", crowd_without_deadlines, 600, {}}));
}

TEST_CASE("a select that sends and receives on one channel meets only others") {
  CHECK(run_seeds({"select, meetings", selects_meet_each_other, 1'000, exact_time()}));
}

TEST_CASE("a select is abandoned when everybody else has left one of its channels") {
  CHECK(run_seeds({"select, abandoned", others_go_away, 1'000, exact_time()}));
}

}  // namespace heddle::sim
