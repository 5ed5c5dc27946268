// Channels between fibers, threads and mixes of them: every value is delivered once or stays with
// its sender, in order, whoever comes, gives up, is cancelled or closes meanwhile.
#include "sync/channel.h"
#include "test/sim/parties.h"

namespace heddle::sim {
namespace {

constexpr uint64_t kPatienceNs = 4'000;

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

// It sizes itself between `capacity` and `most`, if that is more.
ChannelCore* new_channel(uint32_t capacity, bool is_tracked = false, uint32_t most = 0) noexcept {
  ChannelOptions options;
  options.capacity = capacity;
  options.max_capacity = most;
  options.is_tracked = is_tracked;
  ChannelCore* const channel = ChannelCore::create(options);
  SIM_CHECK(channel != nullptr, "no memory for a channel");
  return channel;
}

// What is always true under a channel's lock.
void check_channel(const ChannelCore& channel) noexcept {
  const bool receivers = channel.has_waiters(ChannelCore::kReceivers);
  const bool senders = channel.has_waiters(ChannelCore::kSenders);
  SIM_CHECK(!receivers || (channel.length() == 0 && !senders), "receivers wait beside values");
  SIM_CHECK(!senders || channel.length() == channel.capacity(), "senders wait beside room");
  SIM_CHECK(!channel.closed() || (!receivers && !senders), "a closed channel has waiters");
}

void check_unused(const ChannelCore& channel) noexcept {
  SIM_CHECK(channel.wait_count() == 0 && !channel.has_waiters(ChannelCore::kReceivers) &&
                !channel.has_waiters(ChannelCore::kSenders),
            "somebody has left a node behind");
}

// --- senders and receivers of all kinds ---

constexpr uint32_t kSenders = 3;
constexpr uint32_t kReceivers = 2;
constexpr uint32_t kValues = 5;  // of each sender

struct Value {
  Plain<uint32_t> says;
  Plain<uint32_t> sent;
  Plain<uint32_t> received;
};

struct Traffic {
  Scheduler scheduler;
  Parties parties{scheduler};
  ChannelCore* channel = new_channel(random_below(3), false, one_in(3) ? 4 : 0);
  Value values[kSenders][kValues];
  Atomic<uint32_t> sent{0};
  Atomic<uint32_t> received{0};
  Atomic<uint32_t> senders{kSenders};
  Atomic<uint32_t> receivers{kReceivers};
  Atomic<uint32_t> closed{0};
  bool some_give_up = false;  // deadlines; receivers that leave early
  bool cancels = false;

  void close() noexcept {
    if (channel->close()) SIM_CHECK(closed.exchange_acq_rel(1) == 0, "closed twice");
  }
};
Traffic* traffic;

// The last one of its side closes the channel, however it ends.
class Side {
 public:
  explicit Side(Atomic<uint32_t>& left) noexcept : left_(left) {}
  ~Side() {
    if (left_.fetch_sub_acq_rel(1) == 1) traffic->close();
  }

 private:
  Atomic<uint32_t>& left_;
};

uint64_t random_deadline() noexcept {
  if (!traffic->some_give_up || one_in(3)) return os::kNever;
  return os::now_ns() + random_below(kPatienceNs);
}

WaitStatus status_of_try(Readiness readiness) noexcept {
  if (readiness == Readiness::kNotReady) return WaitStatus::kTimedOut;
  return readiness == Readiness::kDone ? WaitStatus::kDone : WaitStatus::kClosed;
}

// False: the channel is closed.
bool send_one(uint32_t sender, uint32_t index) {
  Value& value = traffic->values[sender][index];
  value.says.write(index + 1, "what a value says");
  const Cell cell = cell_of(sender * kValues + index);
  for (;;) {
    const bool tries = one_in(4);
    const WaitStatus status = tries ? status_of_try(traffic->channel->try_send(cell))
                                    : traffic->channel->send(cell, random_deadline());
    if (status == WaitStatus::kDone) {
      traffic->sent.fetch_add_relaxed(1);
      value.sent.write(1, "whether a value was sent");
      return true;
    }
    if (status == WaitStatus::kClosed) return false;
    SIM_CHECK(status == WaitStatus::kTimedOut, "a send ended in an unknown way");
    if (traffic->some_give_up && one_in(2)) return true;  // it stays here
    linger(2'000);
  }
}

void send_all(uint32_t sender) {
  const Side side(traffic->senders);
  if (traffic->cancels) traffic->parties.let_thread_be_cancelled(sender);
  for (uint32_t i = 0; i < kValues && send_one(sender, i); ++i) {
    if (one_in(4)) linger(2'000);
  }
}

void note_received(const Cell& cell, uint32_t* last) noexcept {
  const uint32_t number = value_of(cell);
  const uint32_t sender = number / kValues;
  const uint32_t index = number % kValues;
  SIM_CHECK(sender < kSenders, "a value that nobody sent");
  Value& value = traffic->values[sender][index];
  SIM_CHECK(value.says.read("what a value says") == index + 1, "a value came without its data");
  SIM_CHECK(value.received.read("whether a value came") == 0, "a value came twice");
  value.received.write(1, "whether a value came");
  SIM_CHECK(last[sender] <= index, "values of one sender came in another order");
  last[sender] = index + 1;
}

void receive_all(uint32_t receiver) {
  const Side side(traffic->receivers);
  if (traffic->cancels) traffic->parties.let_thread_be_cancelled(kSenders + receiver);
  uint32_t last[kSenders] = {};
  for (;;) {
    Cell cell{};
    const WaitStatus status = one_in(4) ? status_of_try(traffic->channel->try_receive(&cell))
                                        : traffic->channel->receive(&cell, random_deadline());
    if (status == WaitStatus::kClosed) return;
    if (status == WaitStatus::kDone) {
      traffic->received.fetch_add_relaxed(1);
      note_received(cell, last);
    } else {
      SIM_CHECK(status == WaitStatus::kTimedOut, "a receive ended in an unknown way");
    }
    if (status != WaitStatus::kDone || one_in(4)) linger(2'000);
    if (traffic->some_give_up && one_in(16)) return;
  }
}

// Everybody sleeps: then nobody is inside an operation but those who wait. What was sent is in the
// buffer or has arrived; if not, somebody was served and not woken.
void nobody_sleeps_on_a_value(uint64_t left_ns) {
  static uint64_t since_ns = 0;
  static uint32_t seen = 0;
  const uint32_t sent = newest(traffic->sent);
  const uint32_t received = newest(traffic->received);
  const uint32_t length = look([] { return traffic->channel->length(); });
  if (sent == received + length) {
    since_ns = 0;
    return;
  }
  if (since_ns == 0 || seen != sent + received) since_ns = time_now_ns();
  seen = sent + received;
  if (left_ns != os::kNever && time_now_ns() + left_ns < since_ns + Unserved::kLimitNs) return;
  fail("everybody sleeps: %u values sent, %u received, %u buffered", sent, received, length);
}

void check_traffic() {
  ChannelCore* const channel = traffic->channel;
  check_unused(*channel);
  SIM_CHECK(channel->closed() && !channel->close(), "the channel is still open");
  SIM_CHECK(traffic->closed.load_relaxed() == 1, "nobody has closed the channel first");
  uint32_t last[kSenders] = {};
  uint32_t left = 0;
  for (Cell cell; channel->try_receive(&cell) == Readiness::kDone; ++left) {
    note_received(cell, last);
  }
  uint32_t sent = 0;
  for (uint32_t i = 0; i < kSenders * kValues; ++i) {
    Value& value = traffic->values[i / kValues][i % kValues];
    const bool was_sent = value.sent.read("whether a value was sent") != 0;
    const bool came = value.received.read("whether a value came") != 0;
    SIM_CHECK(!was_sent || came, "value %u was sent, and has not come", i);
    SIM_CHECK(was_sent || !came, "value %u came, and its sender still has it", i);
    sent += was_sent ? 1 : 0;
  }
  SIM_CHECK(sent == traffic->received.load_relaxed() + left, "the sums differ");
}

void start_traffic() {
  Traffic& all = *traffic;
  for (uint32_t i = 0; i < kSenders; ++i) all.parties.add([i] { send_all(i); });
  for (uint32_t i = 0; i < kReceivers; ++i) all.parties.add([i] { receive_all(i); });
}

void values_arrive_once() {
  Traffic all;
  traffic = &all;
  start_traffic();
  all.parties.join();
  check_traffic();
  SIM_CHECK(all.received.load_relaxed() == kSenders * kValues, "a value was lost");
  all.channel->release();
}

void values_arrive_soon() {
  on_everybody_asleep([](uint64_t left_ns) {
    if (traffic == nullptr) return;
    look([] {
      check_channel(*traffic->channel);
      return 0;
    });
    nobody_sleeps_on_a_value(left_ns);
  });
  values_arrive_once();
}

void some_give_up() {
  Traffic all;
  traffic = &all;
  all.some_give_up = true;
  on_everybody_asleep(nobody_sleeps_on_a_value);
  start_traffic();
  all.parties.join();
  check_traffic();
  all.channel->release();
}

void closed_at_any_time() {
  Traffic all;
  traffic = &all;
  all.some_give_up = one_in(3);
  start_traffic();
  const uint32_t closers = 1 + random_below(2);
  for (uint32_t i = 0; i < closers; ++i) {
    all.parties.add([] {
      if (!one_in(4)) sleep_until(os::now_ns() + random_below(20'000));
      traffic->close();
    });
  }
  all.parties.join();
  check_traffic();
  all.channel->release();
}

void cancelled_at_any_time() {
  Traffic all;
  traffic = &all;
  all.cancels = true;
  all.some_give_up = one_in(3);
  start_traffic();
  for (uint32_t i = 0; i < 4; ++i) {
    if (!one_in(4)) pause_thread(10'000);
    all.parties.cancel(random_below(kSenders + kReceivers));
  }
  all.parties.join();
  check_traffic();
  all.channel->release();
}

// --- a channel with room for one is a lock: a receive comes before the send that it makes room for

struct Tokens {
  Scheduler scheduler;
  Parties parties{scheduler};
  ChannelCore* channel = new_channel(1);
  Plain<uint32_t> count;
};
Tokens* tokens;

void one_place_excludes() {
  Tokens all;
  tokens = &all;
  constexpr uint32_t kParties = 3;
  constexpr uint32_t kTurns = 4;
  for (uint32_t i = 0; i < kParties; ++i) {
    all.parties.add([] {
      for (uint32_t turn = 0; turn < kTurns; ++turn) {
        Cell cell = cell_of(turn);
        SIM_CHECK(tokens->channel->send(cell) == WaitStatus::kDone, "a send failed");
        const uint32_t count = tokens->count.read("what a token guards");
        if (one_in(2)) linger(2'000);
        tokens->count.write(count + 1, "what a token guards");
        SIM_CHECK(tokens->channel->receive(&cell) == WaitStatus::kDone, "a receive failed");
      }
    });
  }
  all.parties.join();
  SIM_CHECK(all.count.read("what a token guards") == kParties * kTurns, "a turn was lost");
  check_unused(*all.channel);
  all.channel->release();
}

// --- first come, first served ---

constexpr uint32_t kQueueing = 4;

struct Arrivals {
  Scheduler scheduler;
  Parties parties{scheduler};
  ChannelCore* channel = new_channel(0);
  bool they_send = one_in(2);
};
Arrivals* arrivals;

uint32_t waiting_now() noexcept {
  arrivals->channel->lock();
  const uint32_t count = arrivals->channel->wait_count();
  arrivals->channel->unlock();
  return count;
}

void served_in_order_of_arrival() {
  Arrivals all;
  arrivals = &all;
  for (uint32_t i = 0; i < kQueueing; ++i) {
    all.parties.add([i] {
      while (waiting_now() != i) linger(2'000);
      Cell cell = cell_of(i);
      const WaitStatus status =
          arrivals->they_send ? arrivals->channel->send(cell) : arrivals->channel->receive(&cell);
      SIM_CHECK(status == WaitStatus::kDone, "an operation failed");
      SIM_CHECK(value_of(cell) == i, "number %u got what is number %u's", i, value_of(cell));
    });
  }
  while (waiting_now() != kQueueing) pause_thread(2'000);
  for (uint32_t i = 0; i < kQueueing; ++i) {
    Cell cell = cell_of(i);
    const Readiness readiness =
        all.they_send ? all.channel->try_receive(&cell) : all.channel->try_send(cell);
    SIM_CHECK(readiness == Readiness::kDone, "nobody is there");
    SIM_CHECK(value_of(cell) == i, "number %u came as number %u", value_of(cell), i);
  }
  all.parties.join();
  check_unused(*all.channel);
  all.channel->release();
}

// --- channels whose users go away ---

enum class Doing : uint32_t { kActive, kInside, kDropping, kAbandoned };

struct Leaving {
  Scheduler scheduler;
  Parties parties{scheduler};
  Value values[kSenders][kValues];
  Atomic<Doing> doing[kSenders + kReceivers];
  Atomic<uint32_t> received{0};
  Atomic<uint32_t> sent{0};
};
Leaving* leaving;

void check_alone(uint32_t self) noexcept {
  leaving->doing[self].store_seq_cst(Doing::kAbandoned);
  for (const Atomic<Doing>& each : leaving->doing) {
    SIM_CHECK(each.load_acquire() != Doing::kActive, "abandoned while somebody is active");
  }
}

void send_and_leave(uint32_t self, Ref<ChannelCore> channel, uint32_t count) {
  Atomic<Doing>& doing = leaving->doing[self];
  for (uint32_t i = 0; i < count; ++i) {
    Value& value = leaving->values[self][i];
    value.says.write(i + 1, "what a value says");
    doing.store_seq_cst(Doing::kInside);
    const WaitStatus status = channel->send(cell_of(self * kValues + i));
    if (status == WaitStatus::kAbandoned) {
      for (uint32_t j = kSenders; j < kSenders + kReceivers; ++j) {
        SIM_CHECK(leaving->doing[j].load_acquire() == Doing::kDropping,
                  "a sender was abandoned beside a receiver");
      }
      return check_alone(self);
    }
    doing.store_seq_cst(Doing::kActive);
    SIM_CHECK(status == WaitStatus::kDone, "a send failed");
    leaving->sent.fetch_add_relaxed(1);
    if (one_in(3)) linger(2'000);
    if (one_in(4)) {
      const Ref<ChannelCore> copy = channel;
      channel = copy;
    }
  }
  doing.store_seq_cst(Doing::kDropping);
}

void receive_and_leave(uint32_t self, Ref<ChannelCore> channel, uint32_t most) {
  Atomic<Doing>& doing = leaving->doing[self];
  for (uint32_t i = 0; i < most; ++i) {
    Cell cell{};
    doing.store_seq_cst(Doing::kInside);
    const WaitStatus status = channel->receive(&cell);
    if (status == WaitStatus::kAbandoned) {
      for (uint32_t j = 0; j < kSenders; ++j) {
        SIM_CHECK(leaving->doing[j].load_acquire() == Doing::kDropping,
                  "a receiver was abandoned beside a sender");
      }
      return check_alone(self);
    }
    doing.store_seq_cst(Doing::kActive);
    SIM_CHECK(status == WaitStatus::kDone, "a receive failed");
    leaving->received.fetch_add_relaxed(1);
    const uint32_t number = value_of(cell);
    Value& value = leaving->values[number / kValues][number % kValues];
    SIM_CHECK(value.says.read("what a value says") == number % kValues + 1, "without its data");
    value.received.write(1, "whether a value came");
    if (one_in(3)) linger(2'000);
  }
  doing.store_seq_cst(Doing::kDropping);
}

void users_go_away() {
  Leaving all;
  leaving = &all;
  const uint32_t capacity = random_below(3);
  Ref<ChannelCore> channel(new_channel(capacity, true));
  const bool receivers_stay = one_in(2);
  for (uint32_t i = 0; i < kSenders; ++i) {
    const uint32_t count = 1 + random_below(kValues);
    all.parties.add(
        [i, channel, count]() mutable { send_and_leave(i, std::move(channel), count); });
  }
  for (uint32_t i = kSenders; i < kSenders + kReceivers; ++i) {
    const uint32_t most = receivers_stay ? 1'000 : random_below(4);
    all.parties.add(
        [i, channel, most]() mutable { receive_and_leave(i, std::move(channel), most); });
  }
  channel = Ref<ChannelCore>();
  all.parties.join();
  const uint32_t sent = all.sent.load_relaxed();
  const uint32_t received = all.received.load_relaxed();
  SIM_CHECK(received <= sent && sent <= received + capacity, "%u sent, %u received", sent,
            received);
  SIM_CHECK(!receivers_stay || sent == received, "values were left beside receivers");
}

// Nobody sends. All who wait are told, also by one who keeps its own handle afterwards.
void all_are_abandoned_together() {
  Leaving all;
  leaving = &all;
  Ref<ChannelCore> channel(new_channel(random_below(2), true));
  static Atomic<uint32_t> told;
  told.store_relaxed(0);
  for (uint32_t i = 0; i < kReceivers + 1; ++i) {
    all.parties.add([channel]() mutable {
      const Ref<ChannelCore> own = std::move(channel);
      Cell cell{};
      SIM_CHECK(own->receive(&cell) == WaitStatus::kAbandoned, "a value that nobody sent");
      told.fetch_add_acq_rel(1);
      while (told.load_acquire() != kReceivers + 1) linger(2'000);
    });
  }
  channel = Ref<ChannelCore>();
  all.parties.join();
}

}  // namespace

TEST_CASE("every value that was sent is received once, in its sender's order") {
  CHECK(run_seeds({"channel", values_arrive_once, 1'000, {}}));
}

TEST_CASE("nobody sleeps while a value or room is there") {
  CHECK(run_seeds({"channel, awake", values_arrive_soon, 1'000, exact_time()}));
}

TEST_CASE("a value whose time is over stays with its sender") {
  CHECK(run_seeds({"channel, deadlines", some_give_up, 2'000, exact_time()}));
}

TEST_CASE("a close hides no value that was sent") {
  CHECK(run_seeds({"channel, closed", closed_at_any_time, 2'000, exact_time()}));
}

TEST_CASE("a cancelled sender or receiver passes nothing on") {
  CHECK(run_seeds({"channel, cancelled", cancelled_at_any_time, 2'000, exact_time()}));
}

TEST_CASE("a receive comes before the send that it makes room for") {
  CHECK(run_seeds({"channel, one place", one_place_excludes, 1'000, {}}));
}

TEST_CASE("fibers and threads that wait for a channel are served in the order of their arrival") {
  CHECK(run_seeds({"channel, arrivals", served_in_order_of_arrival, 1'000, exact_time()}));
}

TEST_CASE("who waits for a channel is abandoned when nobody else is left, and not before") {
  CHECK(run_seeds({"channel, abandoned", users_go_away, 2'000, exact_time()}));
  CHECK(run_seeds({"channel, nobody sends", all_are_abandoned_together, 1'000, exact_time()}));
}

}  // namespace heddle::sim
