// Contexts: cancellation, deadlines and values reach everything below, and nothing above.
#include "heddle/context.h"

#include <algorithm>
#include <random>
#include <string>

#include "heddle/select.h"
#include "test/native/sync/sync_support.h"

namespace heddle::test {
namespace {

ContextReason reason_of(const char* text) { return std::make_shared<const std::string>(text); }

std::string text_of(const ContextReason& reason) {
  return reason == nullptr ? "" : *static_cast<const std::string*>(reason.get());
}

void wait_for_end(const Context& ctx) {
  CHECK_EQ(select(done(ctx)).index, 0);
  CHECK(ctx.is_done());
}

// Nodes of a tree: each one's parent comes before it.
std::vector<Ref<ContextCore>> random_tree(uint32_t count, std::minstd_rand& random) {
  std::vector<Ref<ContextCore>> nodes{ContextCore::background()->with_cancel()};
  while (nodes.size() < count) {
    // Some deep, some wide.
    const size_t among = random() % 3 == 0 ? 1 : nodes.size();
    nodes.push_back(nodes[nodes.size() - 1 - random() % among]->with_cancel());
  }
  return nodes;
}

}  // namespace

// Row 36.
TEST_CASE("cancelling a context ends all its descendants, and nothing beside or above") {
  in_every_kind([] {
    const Context root = background();
    auto top = root.with_cancel();
    auto left = top.ctx.with_cancel();
    auto right = top.ctx.with_cancel();
    auto leaf = left.ctx.with_cancel();
    left.cancel();
    CHECK(left.ctx.is_done() && leaf.ctx.is_done());
    CHECK(!right.ctx.is_done() && !top.ctx.is_done() && !root.is_done());
    CHECK_EQ(leaf.ctx.error(), ContextError::kCancelled);
    CHECK_EQ(right.ctx.error(), ContextError::kNone);
    top.cancel();
    CHECK(right.ctx.is_done());
    CHECK(!root.is_done());
    CHECK(top.ctx.with_cancel().ctx.is_done());  // below one that is done already
    CHECK_EQ(top.ctx.core()->child_count(), 0u);
  });
}

// Row 36.
TEST_CASE("everyone who waits for a context or one above it goes on when it ends") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    auto top = background().with_cancel();
    Context below = top.ctx;
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 12; ++i) {
      crew.add(kind_of(i), [below] { wait_for_end(below); });
      await_waits(below.core(), 1);
      below = below.with_cancel().ctx;
    }
    top.cancel();
    crew.join();
    finish(scheduler);
  }
}

// Row 40.
TEST_CASE("the first reason wins, and descendants share it") {
  in_every_kind([] {
    const Ref<ContextCore> top = ContextCore::background()->with_cancel();
    const Ref<ContextCore> child = top->with_cancel();
    const Ref<ContextCore> grandchild = child->with_cancel();
    const Ref<ContextCore> other = top->with_deadline(os::now_ns() + 3'600'000 * kMs);
    CHECK(child->cancel(reason_of("first")));
    CHECK(!child->cancel(reason_of("second")));
    CHECK(top->cancel(reason_of("third")));
    CHECK(!other->cancel(reason_of("fourth")));
    CHECK_EQ(text_of(child->reason()), "first");
    CHECK_EQ(text_of(grandchild->reason()), "first");
    CHECK_EQ(text_of(top->reason()), "third");
    CHECK_EQ(text_of(other->reason()), "third");
    CHECK_EQ(other->error(), ContextError::kCancelled);
    CHECK_EQ(text_of(top->with_cancel()->reason()), "third");
  });
}

// Row 40.
TEST_CASE("of many who cancel at once one is the first, and its reason stays") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    for (uint32_t round = 0; round < scaled(60, 30); ++round) {
      const Ref<ContextCore> context = ContextCore::background()->with_cancel();
      const Ref<ContextCore> child = context->with_cancel();
      Atomic<uint32_t> firsts{0};
      Atomic<uint32_t> first{0};
      Crew crew(scheduler);
      for (uint32_t i = 0; i < 6; ++i) {
        crew.add(i == 0 ? Kind::kThread : kFiberKinds[i % 2], [&, i] {
          if (context->cancel(reason_of(std::to_string(i).c_str()))) {
            first.store_relaxed(i);
            firsts.fetch_add_relaxed(1);
          }
          CHECK(context->is_done());
        });
      }
      crew.join();
      CHECK_EQ(firsts.load_relaxed(), 1u);
      CHECK_EQ(text_of(context->reason()), std::to_string(first.load_relaxed()));
      CHECK_EQ(text_of(child->reason()), text_of(context->reason()));
    }
    finish(scheduler);
  }
}

// Row 37.
TEST_CASE("a child that ends or is forgotten leaves its parent untouched and unlinked") {
  in_every_kind([] {
    auto parent = background().with_cancel();
    ContextCore* const core = parent.ctx.core();
    {
      std::vector<Context::Cancellable> children;
      for (int i = 0; i < 10; ++i) children.push_back(parent.ctx.with_cancel());
      for (int i = 0; i < 10; ++i) {
        children.push_back(parent.ctx.with_timeout(3'600'000 * kMs));
      }
      CHECK_EQ(core->child_count(), 20u);
      for (int i : {3, 0, 9, 12, 19}) children[static_cast<size_t>(i)].cancel();
      CHECK_EQ(core->child_count(), 15u);
      const Context last = children[5].ctx.with_value(core, nullptr);
      children.erase(children.begin(), children.begin() + 10);
      CHECK_EQ(core->child_count(), 9u);  // one is kept by its child
      for (const Context::Cancellable& each : children) each.cancel();
      CHECK_EQ(core->child_count(), 1u);
    }
    CHECK_EQ(core->child_count(), 0u);
    auto soon = parent.ctx.with_timeout(kMs);
    wait_for_end(soon.ctx);
    yield_until([core] { return core->child_count() == 0; });  // right after its waiters are told
    CHECK(!parent.ctx.is_done());
  });
}

// Row 38.
TEST_CASE("a deadline in the past is over at once, and says why") {
  in_every_kind([] {
    auto parent = background().with_cancel();
    for (uint64_t deadline_ns : {uint64_t{0}, os::now_ns()}) {
      auto late = parent.ctx.with_deadline(deadline_ns);
      CHECK(late.ctx.is_done());
      CHECK_EQ(late.ctx.error(), ContextError::kDeadline);
      late.cancel();
      CHECK_EQ(late.ctx.error(), ContextError::kDeadline);
      CHECK_EQ(late.ctx.with_cancel().ctx.error(), ContextError::kDeadline);
    }
    CHECK(parent.ctx.with_timeout(0).ctx.is_done());
    CHECK_EQ(parent.ctx.core()->child_count(), 0u);
  });
}

TEST_CASE("a deadline ends a context and what is below it, never early") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 30; ++i) {
      crew.add(kind_of(i), [i] {
        const Context root = background();
        for (uint64_t duration_ns : {i * 1'000ul, i * 40'000ul, 1ul}) {
          auto timed = root.with_timeout(duration_ns);
          const Context below = timed.ctx.with_cancel().ctx;
          CHECK_EQ(below.deadline_ns(), timed.ctx.deadline_ns());
          wait_for_end(below);
          CHECK(os::now_ns() >= timed.ctx.deadline_ns());
          CHECK_EQ(below.error(), ContextError::kDeadline);
        }
      });
    }
    crew.join();
    finish(scheduler);
  }
}

TEST_CASE("a deadline that passes while its context is being made ends it") {
  Scheduler scheduler(with_processors(1));
  Atomic<bool> is_over{false};
  Crew crew(scheduler);
  crew.add(Kind::kStandard, [&] { yield_until([&] { return is_over.load_acquire(); }); });
  const Context root = background();
  for (uint32_t i = 0; i < scaled(3'000, 1'500); ++i) {
    auto timed = root.with_timeout(i % 100 * 100);
    wait_for_end(timed.ctx.with_cancel().ctx);
    CHECK_EQ(timed.ctx.error(), ContextError::kDeadline);
  }
  wait_until([&] { return root.core()->child_count() == 0; });
  is_over.store_release(true);
  crew.join();
  finish(scheduler);
}

TEST_CASE("the nearest deadline above counts, and a later one below it changes nothing") {
  in_every_kind([] {
    auto outer = background().with_timeout(2 * kMs);
    auto inner = outer.ctx.with_timeout(3'600'000 * kMs);
    CHECK_EQ(inner.ctx.deadline_ns(), outer.ctx.deadline_ns());
    CHECK_EQ(background().deadline_ns(), os::kNever);
    CHECK_EQ(background().with_timeout(os::kNever).ctx.deadline_ns(), os::kNever);
    wait_for_end(inner.ctx);
    CHECK_EQ(inner.ctx.error(), ContextError::kDeadline);
  });
}

TEST_CASE("a cancelled context does not end again at its deadline, and lets go of its timer") {
  in_every_kind([] {
    auto value = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = value;
    {
      const Context root = background().with_value(&watch, std::move(value));
      auto timed = root.with_timeout(2 * kMs);
      timed.cancel();
      CHECK_EQ(timed.ctx.error(), ContextError::kCancelled);
      sleep_until(timed.ctx.deadline_ns() + kMs);
      CHECK_EQ(timed.ctx.error(), ContextError::kCancelled);
      CHECK(!watch.expired());
      auto far = root.with_timeout(3'600'000 * kMs);
      far.cancel();
    }
    CHECK(watch.expired());  // also of the one whose timer has not fired
  });
}

TEST_CASE("values come from the nearest context above that has them") {
  static const char first_key = 0;
  static const char second_key = 0;
  in_every_kind([] {
    const auto number = [](const Context& ctx, const void* key) {
      const auto value = ctx.value(key);
      return value == nullptr ? -1 : *static_cast<const int*>(value.get());
    };
    const Context root = background();
    const Context outer = root.with_value(&first_key, std::make_shared<int>(1));
    const Context middle = outer.with_value(&second_key, std::make_shared<int>(2));
    auto cancellable = middle.with_cancel();
    const Context inner = cancellable.ctx.with_value(&first_key, std::make_shared<int>(3));
    CHECK_EQ(number(root, &first_key), -1);
    CHECK_EQ(number(middle, &first_key), 1);
    CHECK_EQ(number(cancellable.ctx, &second_key), 2);
    CHECK_EQ(number(inner, &first_key), 3);
    CHECK_EQ(number(inner, &number), -1);
    cancellable.cancel();
    CHECK(inner.is_done());
    CHECK_EQ(number(inner, &second_key), 2);
  });
}

// Row 39.
TEST_CASE("a tree of 100 nodes that is cancelled in random orders from many sides never sticks") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    std::minstd_rand random(processors);
    for (uint32_t round = 0; round < scaled(40, 10); ++round) {
      const std::vector<Ref<ContextCore>> nodes = random_tree(100, random);
      std::vector<size_t> order(nodes.size());
      for (size_t i = 0; i < order.size(); ++i) order[i] = i;
      Crew waiting(scheduler);
      for (size_t i = 0; i < nodes.size(); i += 9) {
        waiting.add(kFiberKinds[i % 2], [node = nodes[i]] { wait_for_end(Context(node)); });
      }
      waiting.add(Kind::kThread, [node = nodes.back()] { wait_for_end(Context(node)); });
      Crew cancelling(scheduler);
      for (uint32_t i = 0; i < 4; ++i) {
        std::shuffle(order.begin(), order.end(), random);
        cancelling.add(kind_of(i + round), [&nodes, order] {
          for (size_t each : order) nodes[each]->cancel();
        });
      }
      cancelling.join();
      waiting.join();
      for (const Ref<ContextCore>& node : nodes) {
        CHECK(node->is_done());
        CHECK_EQ(node->child_count(), 0u);
        CHECK_EQ(waits_at(node.get()), 0u);
      }
    }
    finish(scheduler);
  }
}

TEST_CASE("contexts that are made, cancelled, forgotten and timed out at once leave nothing") {
  for (uint32_t processors : kProcessorCounts) {
    Scheduler scheduler(with_processors(processors));
    const uint32_t rounds = scaled(300, 40);
    auto value = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = value;
    auto top = background().with_value(&watch, std::move(value)).with_cancel();
    Crew crew(scheduler);
    for (uint32_t i = 0; i < 8; ++i) {
      crew.add(kind_of(i), [&top, i, rounds] {
        std::minstd_rand random(i + 1);
        for (uint32_t n = 0; n < rounds; ++n) {
          auto timed = top.ctx.with_timeout(random() % 30'000);
          auto below = timed.ctx.with_cancel();
          const Context leaf = below.ctx.with_value(&top, nullptr);
          if (n % 3 == 0) below.cancel();
          if (n % 3 == 1) wait_for_end(leaf);
          if (n % 5 == 0) timed.cancel();
          if (n % 7 == 0 && i == 0) checkpoint();
        }
      });
    }
    crew.join();
    wait_until([&] { return top.ctx.core()->child_count() == 0; });  // the last deadlines
    top.cancel();
    top = background().with_cancel();
    wait_until([&] { return watch.expired(); });
    finish(scheduler);
  }
}

TEST_CASE("a chain of 2,000 contexts ends and is freed on any stack") {
  for (Kind kind : kKinds) {
    Scheduler scheduler(with_processors(1));
    run_as(scheduler, kind, [] {
      auto top = background().with_cancel();
      Context last = top.ctx;
      for (int i = 0; i < 2'000; ++i) last = last.with_cancel().ctx;
      top.cancel();
      CHECK(last.is_done());
    });
    finish(scheduler);
  }
}

}  // namespace heddle::test
