// Contexts: a tree that is cancelled from several threads while it grows and withers. Whoever waits
// is woken once, the first reason wins, and no parent keeps a child that is over.
#include "sync/context.h"
#include "test/sim/parties.h"

namespace heddle::sim {
namespace {

using Context = Ref<ContextCore>;

// A reason, with something in it that was written by whoever cancelled.
struct Words {
  uint32_t by = 0;
  Plain<uint32_t> says;
};

ContextReason reason_of(uint32_t by) {
  auto words = std::make_shared<Words>();
  words->by = by;
  words->says.write(by + 1, "what a reason says");
  return words;
}

uint32_t who_cancelled(const ContextCore& context) noexcept {
  const ContextReason reason = context.reason();
  SIM_CHECK(reason != nullptr, "a context was cancelled without a reason");
  auto* words = const_cast<Words*>(static_cast<const Words*>(reason.get()));
  SIM_CHECK(words->says.read("what a reason says") == words->by + 1, "a reason without its words");
  return words->by;
}

WaitStatus wait_for(ContextCore& context, uint64_t deadline_ns) {
  Cell unused{};
  return wait_on(&context, 0, &unused, WaitReason::kContext, deadline_ns);
}

// Everybody sleeps, and what somebody waits for is over: it is woken by nobody.
class Sleepers {
 public:
  static constexpr uint32_t kMost = 8;
  Atomic<ContextCore*> waits_for[kMost];

  void check(uint64_t left_ns) noexcept {
    const bool is_over = look([this] {
      for (const Atomic<ContextCore*>& each : waits_for) {
        const ContextCore* context = each.load_relaxed();
        if (context != nullptr && context->is_done()) return true;
      }
      return false;
    });
    if (!is_over) since_ns_ = 0;
    if (is_over && since_ns_ == 0) since_ns_ = time_now_ns();
    if (!is_over) return;
    if (left_ns != os::kNever && time_now_ns() + left_ns < since_ns_ + Unserved::kLimitNs) return;
    fail("everybody sleeps, and somebody waits for a context that is done");
  }

 private:
  uint64_t since_ns_ = 0;
};

// --- a tree of fixed shape, cancelled in any order ---

constexpr uint32_t kNodes = 7;  // the children of i are 2 i + 1 and 2 i + 2
constexpr uint32_t kCancellers = 3;
constexpr uint32_t kWaiters = 3;

struct Tree {
  Scheduler scheduler;
  Parties parties{scheduler};
  Context background = ContextCore::background();
  Context nodes[kNodes];
  Atomic<uint32_t> first_by[kNodes];  // one more than who was the first
  Sleepers sleepers;
};
Tree* tree;

void cancel_some(uint32_t self) {
  for (uint32_t i = 0; i < kNodes; ++i) {
    // The root is last, so that everybody else's turn comes as well.
    const uint32_t node = i + 1 == kNodes ? 0 : random_below(kNodes);
    if (node == 0 && i + 1 != kNodes && !one_in(8)) continue;
    if (tree->nodes[node]->cancel(reason_of(self))) {
      const uint32_t before = tree->first_by[node].exchange_acq_rel(self + 1);
      SIM_CHECK(before == 0, "a context was ended twice");
      SIM_CHECK(who_cancelled(*tree->nodes[node]) == self, "another reason than the first");
    }
    SIM_CHECK(tree->nodes[node]->is_done(), "a cancelled context is not done");
    if (one_in(3)) linger(2'000);
  }
}

void wait_somewhere(uint32_t self) {
  const uint32_t node = random_below(kNodes);
  ContextCore& context = *tree->nodes[node];
  Atomic<ContextCore*>& shown = tree->sleepers.waits_for[self];
  WaitStatus status = WaitStatus::kTimedOut;
  const bool only_looks = one_in(3);
  if (!only_looks) shown.store_release(&context);
  while (status == WaitStatus::kTimedOut) {
    if (only_looks) {
      while (!context.is_done()) linger(2'000);
      status = WaitStatus::kDone;
    } else {
      status = wait_for(context, one_in(2) ? os::kNever : os::now_ns() + random_below(4'000));
    }
  }
  shown.store_release(nullptr);
  SIM_CHECK(status == WaitStatus::kDone && context.is_done(), "woken before the end");
  SIM_CHECK(context.error() == ContextError::kCancelled, "a context ended in another way");
  who_cancelled(context);
}

void cancelled_in_any_order() {
  Tree all;
  tree = &all;
  on_everybody_asleep([](uint64_t left_ns) { tree->sleepers.check(left_ns); });
  for (uint32_t i = 0; i < kNodes; ++i) {
    all.nodes[i] = (i == 0 ? all.background : all.nodes[(i - 1) / 2])->with_cancel();
  }
  for (uint32_t i = 0; i < kWaiters; ++i) all.parties.add([i] { wait_somewhere(i); });
  for (uint32_t i = 0; i < kCancellers; ++i) all.parties.add([i] { cancel_some(i); });
  all.parties.join();
  on_everybody_asleep(nullptr);
  SIM_CHECK(all.background->child_count() == 0, "the root keeps a child");
  for (uint32_t i = 0; i < kNodes; ++i) {
    ContextCore& node = *all.nodes[i];
    SIM_CHECK(node.is_done(), "a descendant is not done");
    SIM_CHECK(node.child_count() == 0, "a context keeps a child");
    SIM_CHECK(node.wait_count() == 0, "somebody left a node behind");
    // By whoever was first, or with the parent.
    const uint32_t first_by = all.first_by[i].load_relaxed();
    const ContextReason reason = node.reason();
    SIM_CHECK(first_by != 0 ? who_cancelled(node) + 1 == first_by
                            : reason == all.nodes[(i - 1) / 2]->reason(),
              "a context has somebody else's reason");
  }
}

// --- a tree that grows and withers meanwhile ---

constexpr uint32_t kPlaces = 4;
constexpr uint32_t kGardeners = 4;

struct Garden {
  Scheduler scheduler;
  Parties parties{scheduler};
  Context root = ContextCore::background()->with_cancel();
  Lock lock{LockRank::kLeaf};
  Context places[kPlaces];  // under the lock
  Sleepers sleepers;
};
Garden* garden;

Context pick() {
  const LockGuard guard(garden->lock);
  const Context& found = garden->places[random_below(kPlaces)];
  return found && !one_in(4) ? found : garden->root;
}

void plant(Context context) {
  {
    const LockGuard guard(garden->lock);
    std::swap(garden->places[random_below(kPlaces)], context);
  }
  // Here the last handle of the one before may go.
}

Context grow(ContextCore& parent) {
  switch (random_below(4)) {
    case 0:
      return parent.with_value(garden, nullptr);
    case 1: {
      const uint64_t now = os::now_ns();
      const uint64_t deadline = now + random_below(10'000) - (one_in(8) ? 20'000 : 0);
      Context child = parent.with_deadline(deadline);
      // If the parent's own comes first, its timer ends both.
      const bool is_over = deadline <= now && deadline < parent.deadline_ns();
      SIM_CHECK(!is_over || child->is_done(), "a deadline in the past is not over");
      SIM_CHECK(child->deadline_ns() <= deadline, "a child outlives its deadline");
      return child;
    }
    default:
      return parent.with_cancel();
  }
}

void check_end(const ContextCore& context) noexcept {
  if (context.error() == ContextError::kCancelled) {
    who_cancelled(context);
  } else {
    SIM_CHECK(context.error() == ContextError::kDeadline, "woken before the end");
    SIM_CHECK(os::now_ns() >= context.deadline_ns(), "a deadline came early");
  }
}

void look_after(uint32_t self) {
  for (uint32_t round = 0; round < 5; ++round) {
    const Context parent = pick();
    const bool is_late = parent->is_done();
    const Context child = grow(*parent);
    if (is_late) SIM_CHECK(child->is_done(), "a child outlives its parent");
    if (one_in(2)) plant(child);
    const Context other = pick();
    const bool is_root = other.get() == garden->root.get();
    if (!is_root && one_in(3)) {
      other->cancel(reason_of(self));
      SIM_CHECK(other->is_done(), "a cancelled context is not done");
    }
    if (one_in(3)) {
      garden->sleepers.waits_for[self].store_release(other.get());
      const WaitStatus status = wait_for(*other, os::now_ns() + random_below(8'000));
      garden->sleepers.waits_for[self].store_release(nullptr);
      SIM_CHECK(status == WaitStatus::kTimedOut || status == WaitStatus::kDone, "a wait failed");
      if (status == WaitStatus::kDone) check_end(*other);
    }
    if (one_in(4)) linger(2'000);
  }
}

void grows_and_withers() {
  Garden all;
  garden = &all;
  on_everybody_asleep([](uint64_t left_ns) { garden->sleepers.check(left_ns); });
  for (uint32_t i = 0; i < kGardeners; ++i) all.parties.add([i] { look_after(i); });
  // One waits for a leaf until the end, which is its root's.
  all.parties.add([] {
    const Context leaf = garden->root->with_cancel()->with_value(nullptr, nullptr);
    garden->sleepers.waits_for[kGardeners].store_release(leaf.get());
    SIM_CHECK(wait_for(*leaf, os::kNever) == WaitStatus::kDone, "a wait failed");
    garden->sleepers.waits_for[kGardeners].store_release(nullptr);
    check_end(*leaf);
  });
  pause_thread(20'000);
  if (one_in(2)) pause_thread(30'000);
  SIM_CHECK(all.root->cancel(reason_of(kGardeners)), "somebody else has ended the root");
  all.parties.join();
  on_everybody_asleep(nullptr);
  for (Context& place : all.places) {
    if (!place) continue;
    SIM_CHECK(place->is_done() && place->child_count() == 0, "a descendant is not done");
    place = Context();
  }
  SIM_CHECK(all.root->child_count() == 0, "the root keeps a child");
}

// --- children that are only dropped ---

void dropped_children_are_forgotten() {
  Garden all;
  garden = &all;
  for (uint32_t i = 0; i < 3; ++i) {
    all.parties.add([i] {
      Context last;
      for (uint32_t round = 0; round < 4; ++round) {
        Context child = (last && one_in(2) ? last : garden->root)->with_cancel();
        if (one_in(3)) plant(child);
        if (one_in(4)) child->cancel(reason_of(i));
        if (one_in(3)) linger(1'000);
        last = one_in(2) ? std::move(child) : Context();
      }
    });
  }
  all.parties.join();
  for (Context& place : all.places) place = Context();
  SIM_CHECK(all.root->child_count() == 0, "a child that nobody has is kept");
  SIM_CHECK(!all.root->is_done(), "a child has ended its parent");
}

// --- children whose time is over, while others still have them ---

void over_children_are_forgotten() {
  constexpr uint32_t kChildren = 4;
  struct Kept {
    Context children[kChildren];
  };
  Garden all;
  garden = &all;
  Kept kept[2];
  for (Kept& own : kept) {
    all.parties.add([&own] {
      for (Context& child : own.children) {
        child = garden->root->with_deadline(os::now_ns() + random_below(1'000));
        if (one_in(3)) linger(1'000);
      }
      for (const Context& child : own.children) {
        SIM_CHECK(wait_for(*child, os::kNever) == WaitStatus::kDone, "a wait failed");
        check_end(*child);
      }
    });
  }
  all.parties.join();
  SIM_CHECK(all.root->child_count() == 0, "a child that is over is kept");
}

}  // namespace

TEST_CASE("a tree that is cancelled in any order ends, each node with its first reason") {
  CHECK(run_seeds({"contexts, any order", cancelled_in_any_order, 2'000, exact_time()}));
  CHECK(run_seeds({"contexts, late threads", cancelled_in_any_order, 600, {}}));
}

TEST_CASE("a tree that grows while it is cancelled ends, deadlines and all") {
  CHECK(run_seeds({"contexts, growing", grows_and_withers, 2'000, exact_time()}));
}

TEST_CASE("a child that is dropped is forgotten by its parent") {
  CHECK(run_seeds({"contexts, dropped", dropped_children_are_forgotten, 1'000, {}}));
}

TEST_CASE("a child whose deadline has passed is forgotten by its parent") {
  CHECK(run_seeds({"contexts, over", over_children_are_forgotten, 2'000, exact_time()}));
}

}  // namespace heddle::sim
