// Waits for the first of several things, each with the same chance if several are ready.
//
//   int value = 0;
//   switch (heddle::select(heddle::recv(jobs, &value), heddle::send(results, 7),
//                          heddle::done(ctx), heddle::after(5'000'000)).index) { ... }
//
// A case that received from or sent to a closed channel is chosen with `ok` false.
#pragma once

#include <array>
#include <cstdint>
#include <tuple>
#include <utility>

#include "heddle/channel.h"
#include "heddle/context.h"
#include "sync/select.h"

namespace heddle {

template <typename T>
struct RecvCase {
  Channel<T>* channel;
  T* value;
};
template <typename T>
struct SendCase {
  Channel<T>* channel;
  T value;
};
struct DoneCase {
  const Context* context;
};
struct AfterCase {
  uint64_t deadline_ns;
};

// A null channel or context is a case that is never chosen.
template <typename T>
RecvCase<T> recv(Channel<T>& channel, T* value) noexcept {
  return {&channel, value};
}
template <typename T>
RecvCase<T> recv(Channel<T>* channel, T* value) noexcept {
  return {channel, value};
}
template <typename T, typename V>
SendCase<T> send(Channel<T>& channel, V&& value) {
  return {&channel, T(std::forward<V>(value))};
}
template <typename T, typename V>
SendCase<T> send(Channel<T>* channel, V&& value) {
  return {channel, T(std::forward<V>(value))};
}
inline DoneCase done(const Context& context) noexcept { return {&context}; }
inline AfterCase after(uint64_t duration_ns) noexcept {
  const uint64_t now = os::now_ns();
  return {duration_ns > os::kNever - now ? os::kNever : now + duration_ns};
}

struct Choice {
  int index = -1;  // of the case, from 0; -1: nothing was ready (select_now)
  bool ok = true;  // false: the channel of the case is closed
  WaitStatus status = WaitStatus::kDone;
};

namespace detail {

template <typename T>
void describe(const RecvCase<T>& each, SelectCase* out) {
  if (each.channel == nullptr) return;
  out->target = each.channel->core();
  out->queue = ChannelCore::kReceivers;
}
template <typename T>
void describe(SendCase<T>& each, SelectCase* out) {
  if (each.channel == nullptr) return;
  out->target = each.channel->core();
  out->queue = ChannelCore::kSenders;
  out->cell = to_cell(std::move(each.value));
}
inline void describe(const DoneCase& each, SelectCase* out) {
  out->target = each.context->core();
  out->queue = 0;
}
inline void describe(const AfterCase&, SelectCase*) noexcept {}

template <typename T>
void conclude(RecvCase<T>& each, SelectCase* out, bool chosen, bool done) {
  if (chosen && done) from_cell(out->cell, each.value);
}
template <typename T>
void conclude(SendCase<T>&, SelectCase* out, bool chosen, bool done) {
  if (out->target != nullptr && !(chosen && done)) drop_cell<T>(&out->cell);
}
inline void conclude(const DoneCase&, SelectCase*, bool, bool) noexcept {}
inline void conclude(const AfterCase&, SelectCase*, bool, bool) noexcept {}

// The earliest deadline among the cases, and which one it is.
struct Earliest {
  uint64_t deadline_ns = os::kNever;
  int index = -1;
};
template <typename C>
void note_deadline(const C&, int, Earliest*) noexcept {}
inline void note_deadline(const AfterCase& each, int index, Earliest* earliest) noexcept {
  if (earliest->index >= 0 && each.deadline_ns >= earliest->deadline_ns) return;
  *earliest = Earliest{each.deadline_ns, index};
}

// Frees what the cases hold if the select ends with an exception.
template <typename... Cases>
class Attempt {
 public:
  explicit Attempt(Cases&... cases) : cases_(&cases...) {
    describe_all(std::index_sequence_for<Cases...>());
  }
  ~Attempt() {
    if (!concluded_) conclude_all(-1, false, std::index_sequence_for<Cases...>());
  }
  void conclude_with(int index, bool done) {
    concluded_ = true;
    conclude_all(index, done, std::index_sequence_for<Cases...>());
  }
  std::array<SelectCase, sizeof...(Cases)> described{};
  Earliest earliest;

 private:
  template <size_t... I>
  void describe_all(std::index_sequence<I...>) {
    (describe(*std::get<I>(cases_), &described[I]), ...);
    (note_deadline(*std::get<I>(cases_), static_cast<int>(I), &earliest), ...);
  }
  template <size_t... I>
  void conclude_all([[maybe_unused]] int index, [[maybe_unused]] bool done,
                    std::index_sequence<I...>) {
    (conclude(*std::get<I>(cases_), &described[I], index == static_cast<int>(I), done), ...);
  }
  std::tuple<Cases*...> cases_;
  bool concluded_ = false;
};

inline Choice choice_of(const Selected& selected, int otherwise) {
  if (selected.status == WaitStatus::kNoMemory) made<void>(nullptr);
  if (selected.index == Selected::kNothing) return Choice{otherwise, true, WaitStatus::kDone};
  const bool ok = selected.status == WaitStatus::kDone;
  return Choice{static_cast<int>(selected.index), ok, selected.status};
}

}  // namespace detail

// Throws Cancelled; Error (ERR_HEDDLE_MEMORY). A value that was not sent is destroyed.
template <typename... Cases>
Choice select(Cases... cases) {
  detail::Attempt<Cases...> attempt(cases...);
  const Selected selected =
      select_cases(attempt.described.data(), sizeof...(Cases), attempt.earliest.deadline_ns);
  const Choice choice = detail::choice_of(selected, attempt.earliest.index);
  attempt.conclude_with(choice.index, choice.ok);
  return choice;
}

// Go's default: index -1 if no case is ready at this instant.
template <typename... Cases>
Choice select_now(Cases... cases) {
  detail::Attempt<Cases...> attempt(cases...);
  const Selected selected = try_select_cases(attempt.described.data(), sizeof...(Cases));
  const Choice choice = detail::choice_of(selected, -1);
  attempt.conclude_with(choice.index, choice.ok);
  return choice;
}

}  // namespace heddle
