// Waiting and acting from JavaScript. A call answers in the State that it shares with JavaScript:
// how it ended, and what kind of value was received.
#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "addon/addon.h"
#include "addon/environment.h"
#include "addon/handles.h"
#include "addon/runtime.h"
#include "addon/translate.h"
#include "addon/value_call.h"
#include "net/socket.h"
#include "sync/barrier.h"
#include "sync/channel.h"
#include "sync/context.h"
#include "sync/mutex.h"
#include "sync/once.h"
#include "sync/rw_mutex.h"
#include "sync/semaphore.h"
#include "sync/wait_group.h"

namespace heddle {

namespace {

// State::kStatus beyond those of WaitStatus; lib/waits.ts has them as well.
enum : uint32_t { kPending = 8, kNotReady = 9, kThrown = 10 };

uint32_t status_of_try(Readiness readiness) noexcept {
  if (readiness == Readiness::kNotReady) return kNotReady;
  return static_cast<uint32_t>(readiness == Readiness::kDone ? WaitStatus::kDone
                                                             : WaitStatus::kClosed);
}

constexpr uint32_t kNoSlot = UINT32_MAX;

// One case: what it waits for, and the cell with its value. False with an exception pending.
bool describe_case(const JsCall& call, uint32_t id, uint32_t queue, Mode mode, napi_value given,
                   SelectCase* out) {
  const HandleRef handle = call.environment->handle_at(id);
  out->target = handle.target;
  out->queue = queue;
  Value value;
  if (!read_value(call, mode, given, &value)) return false;
  switch (handle.kind) {
    case HandleKind::kChannel:
      value.move_to(&out->cell);
      return true;
    case HandleKind::kSemaphore:
      out->cell = SemaphoreCore::cell_for(static_cast<uint64_t>(value.number()));
      return true;
    case HandleKind::kRwMutex:
      out->cell = RwMutexCore::cell_for(value.number() != 0);
      return true;
    default:
      out->cell = Cell{};
      return true;
  }
}

void drop_unsent(const SelectCase& each) noexcept {
  if (each.queue != ChannelCore::kSenders) return;
  Value value;
  value.move_from(each.cell);
}

// What a case has brought, where JavaScript finds it.
void answer(const JsCall& call, const Selected& end, SelectCase* cases, size_t* offset) {
  uint32_t* const state = call.environment->state();
  SelectCase& chosen = cases[end.index];
  state[Environment::kStatus] = static_cast<uint32_t>(end.status);
  state[Environment::kIndex] = end.index;
  state[Environment::kValueKind] = 0;
  if (end.status != WaitStatus::kDone) return;
  if (chosen.target->passes_values()) {
    if (chosen.queue != ChannelCore::kReceivers) return;
    Value value;
    value.move_from(chosen.cell);
    state[Environment::kValueKind] =
        call.environment->write_value(value, 0, offset, call.environment->values());
  } else {
    state[Environment::kValueKind] = 1;
    call.environment->numbers()[0] = chosen.cell.bytes[0];
  }
}

// Under the locks, which it releases: leaves a promise's wait behind.
uint32_t wait_for(const JsCall& call, SelectCase* cases, uint32_t count, uint32_t slot,
                  uint64_t deadline_ns, WaitKind kind) {
  Environment& environment = *call.environment;
  PromiseWait* wait = PromiseWait::make(&environment, slot, count_present(cases, count));
  if (wait == nullptr) return static_cast<uint32_t>(WaitStatus::kNoMemory);
  bool holds = deadline_ns != os::kNever;
  for (uint32_t i = 0; i < count; ++i) {
    holds |= cases[i].target != nullptr && may_end_from_outside(*cases[i].target);
  }
  environment.note_waiting(wait, holds && kind == WaitKind::kPromise);
  const uint64_t epoch = wait->epoch() + 1;
  wait->wait->deadline_ns = deadline_ns;
  if (!wait->start(kind, cases, count)) {
    Cell cell;
    const Selected end = wait->finish(&cell);
    environment.state()[Environment::kIndex] = end.index;
    environment.forget_wait(wait);
    wait->free(environment.wait_stock());
    return static_cast<uint32_t>(end.status);
  }
  if (kind != WaitKind::kThread && deadline_ns != os::kNever) {
    runtime().arm_timer(deadline_ns, wait, epoch);
  }
  return kPending;
}

void drop_unsent(const SelectCase* cases, uint32_t count, uint32_t sent) noexcept {
  for (uint32_t i = 0; i < count; ++i) {
    if (i != sent && cases[i].target != nullptr) drop_unsent(cases[i]);
  }
}

// Tries, and with a slot leaves a promise's wait behind if nothing is ready.
void try_or_wait(const JsCall& call, SelectCase* cases, uint32_t count, uint32_t slot,
                 double timeout_ms, WaitKind kind) {
  uint32_t& status = call.environment->state()[Environment::kStatus];
  LockSet locks(cases, count);
  if (!locks.is_complete()) {
    drop_unsent(cases, count, Selected::kNothing);
    status = static_cast<uint32_t>(WaitStatus::kNoMemory);
    return;
  }
  Served served(nullptr);
  locks.lock();
  const Selected at_once = select_locked(cases, count, &served);
  if (at_once.index == Selected::kNothing && slot != kNoSlot) {
    const uint64_t deadline_ns = timeout_ms >= 0 ? deadline_after(timeout_ms) : os::kNever;
    status = wait_for(call, cases, count, slot, deadline_ns, kind);
    if (status != static_cast<uint32_t>(WaitStatus::kNoMemory)) return;
    locks.unlock();
    drop_unsent(cases, count, Selected::kNothing);
    return;
  }
  locks.unlock();
  const bool done = at_once.status == WaitStatus::kDone;
  drop_unsent(cases, count, done ? at_once.index : Selected::kNothing);
  status = kNotReady;
  size_t offset = 0;
  if (at_once.index != Selected::kNothing) answer(call, at_once, cases, &offset);
}

}  // namespace

// makeHandle(kind, number, most, tag): its number, or -1 without memory.
napi_value js_make_handle(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  runtime();
  const HandleRef handle = make_handle(static_cast<HandleKind>(call.index(0)), call.number(1),
                                       call.number(2), static_cast<uint8_t>(call.index(3)));
  if (handle.target == nullptr) return number_to_js(env, -1);
  return number_to_js(env, call.environment->add_handle(handle));
}

// dropHandle(id)
napi_value js_drop_handle(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  call.environment->drop_handle(call.index(0));
  return nullptr;
}

// waitOn(id, queue, mode, value, slot, timeoutMs, how): a slot of 2^32-1 only tries.
napi_value js_wait_on(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  SelectCase only;
  if (!describe_case(call, call.index(0), call.index(1), static_cast<Mode>(call.index(2)),
                     call.arguments[3], &only)) {
    call.environment->state()[Environment::kStatus] = kThrown;
    return nullptr;
  }
  try_or_wait(call, &only, 1, call.index(4), call.number(5), static_cast<WaitKind>(call.index(6)));
  return nullptr;
}

// trySend(id, mode, value): what most sends are, without the rest of waitOn.
napi_value js_try_send(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  uint32_t& status = call.environment->state()[Environment::kStatus];
  auto* channel = static_cast<ChannelCore*>(call.environment->handle_at(call.index(0)).target);
  Value value;
  status = kThrown;
  if (!read_value(call, static_cast<Mode>(call.index(1)), call.arguments[2], &value)) {
    return nullptr;
  }
  Cell cell;
  value.move_to(&cell);
  const Readiness readiness = channel->try_send(cell);
  if (readiness != Readiness::kDone) value.move_from(cell);
  status = status_of_try(readiness);
  return nullptr;
}

// tryReceive(id)
napi_value js_try_receive(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  uint32_t* const state = call.environment->state();
  auto* channel = static_cast<ChannelCore*>(call.environment->handle_at(call.index(0)).target);
  Cell cell;
  const Readiness readiness = channel->try_receive(&cell);
  state[Environment::kStatus] = status_of_try(readiness);
  if (readiness != Readiness::kDone) return nullptr;
  Value value;
  value.move_from(cell);
  size_t offset = 0;
  state[Environment::kValueKind] =
      call.environment->write_value(value, 0, &offset, call.environment->values());
  return nullptr;
}

// waitForAny(slot, count, timeoutMs): the cases are in entries (id, queue, mode) and values.
napi_value js_wait_for_any(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  const uint32_t count = call.index(1);
  std::vector<SelectCase> cases(count);
  const napi_value values = call.environment->values();
  const uint32_t* entries = call.environment->entries();
  for (uint32_t i = 0; i < count; ++i) {
    napi_value given = nullptr;
    napi_get_element(env, values, i, &given);
    if (describe_case(call, entries[3 * i], entries[3 * i + 1],
                      static_cast<Mode>(entries[3 * i + 2]), given, &cases[i])) {
      continue;
    }
    drop_unsent(cases.data(), i, Selected::kNothing);
    call.environment->state()[Environment::kStatus] = kThrown;
    return nullptr;
  }
  try_or_wait(call, cases.data(), count, call.index(0), call.number(2), WaitKind::kPromise);
  return nullptr;
}

// cancelWait(slot): true if the wait has ended by this.
napi_value js_cancel_wait(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  PromiseWait* wait = call.environment->wait_at(call.index(0));
  const bool cancelled = wait != nullptr && wait->cancel();
  if (cancelled) {
    call.environment->forget_wait(wait);
    Cell cell;
    // A barrier may find that all had met.
    wait->finish(&cell);
    wait->free(call.environment->wait_stock());
  }
  return boolean_to_js(env, cancelled);
}

// sleepOn(slot, ms): the isolate's thread sleeps for its wait; false when the time is over first.
napi_value js_sleep_on(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  PromiseWait* wait = call.environment->wait_at(call.index(0));
  if (!wait->sleep_until(deadline_after(call.number(1)))) return boolean_to_js(env, false);
  SelectCase only;
  only.target = wait->wait->nodes()[0].waitable;
  only.queue = wait->wait->nodes()[0].queue;
  const Selected end = wait->finish(&only.cell);
  size_t offset = 0;
  answer(call, Selected{0, end.status}, &only, &offset);
  call.environment->forget_wait(wait);
  wait->free(call.environment->wait_stock());
  return boolean_to_js(env, true);
}

// sendNumbers(id, from, count): how many of numbers[from...] were sent.
napi_value js_send_numbers(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  auto* channel = static_cast<ChannelCore*>(call.environment->handle_at(call.index(0)).target);
  const double* numbers = call.environment->numbers();
  uint32_t at = call.index(1);
  const uint32_t end = at + call.index(2);
  uint32_t sent = 0;
  Readiness readiness = Readiness::kDone;
  Served served(nullptr);
  channel->lock(0);
  for (; at < end; ++at, ++sent) {
    Value value;
    value.set_number(numbers[at]);
    Cell cell;
    value.move_to(&cell);
    readiness = channel->try_locked(ChannelCore::kSenders, &cell, &served);
    if (readiness != Readiness::kDone) break;
  }
  channel->unlock();
  served.resume_all();
  call.environment->state()[Environment::kStatus] = status_of_try(readiness);
  return number_to_js(env, sent);
}

// receiveMany(id, most): how many values were there, up to a batch; each as an entry.
napi_value js_receive_many(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  Environment& environment = *call.environment;
  auto* channel = static_cast<ChannelCore*>(environment.handle_at(call.index(0)).target);
  const uint32_t most = std::min(call.index(1), environment.capacity());
  std::vector<Value>& batch = environment.received();
  batch.clear();
  Readiness readiness = Readiness::kDone;
  Served served(nullptr);
  channel->lock(0);
  while (batch.size() < most) {
    Cell cell;
    readiness = channel->try_locked(ChannelCore::kReceivers, &cell, &served);
    if (readiness != Readiness::kDone) break;
    batch.emplace_back();
    batch.back().move_from(cell);
  }
  channel->unlock();
  served.resume_all();
  const napi_value values = environment.values();
  size_t offset = 0;
  for (uint32_t i = 0; i < batch.size(); ++i) {
    environment.entries()[2 * i + 1] = environment.write_value(batch[i], i, &offset, values);
  }
  const auto count = static_cast<double>(batch.size());
  batch.clear();
  environment.state()[Environment::kStatus] = status_of_try(readiness);
  return number_to_js(env, count);
}

// lookAt(id, what): 0 length or count, 1 capacity, 2 closed or locked, 3 poisoned, or the tag.
napi_value js_look_at(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  const HandleRef handle = call.environment->handle_at(call.index(0));
  const uint32_t what = call.index(1);
  double number = 0;
  switch (handle.kind) {
    case HandleKind::kChannel: {
      const auto* channel = static_cast<ChannelCore*>(handle.target);
      number = what == 0   ? channel->length()
               : what == 1 ? channel->capacity()
               : what == 2 ? static_cast<double>(channel->closed())
                           : channel->tag();
      break;
    }
    case HandleKind::kMutex: {
      const auto* mutex = static_cast<MutexCore*>(handle.target);
      number = what == 3 ? mutex->is_poisoned() : mutex->is_locked();
      break;
    }
    case HandleKind::kRwMutex:
      number = static_cast<RwMutexCore*>(handle.target)->is_poisoned() ? 1 : 0;
      break;
    case HandleKind::kSemaphore:
      if (what == 3) break;  // nothing that could be half done
      number = static_cast<double>(static_cast<SemaphoreCore*>(handle.target)->available());
      break;
    case HandleKind::kWaitGroup:
      number = static_cast<double>(static_cast<WaitGroupCore*>(handle.target)->count());
      break;
    case HandleKind::kOnce:
      number = static_cast<OnceCore*>(handle.target)->has_run() ? 1 : 0;
      break;
    case HandleKind::kBarrier:
      number = static_cast<BarrierCore*>(handle.target)->parties();
      break;
    case HandleKind::kContext:
      number = static_cast<double>(static_cast<ContextCore*>(handle.target)->error());
      break;
    case HandleKind::kSocket:
      number = static_cast<net::SocketCore*>(handle.target)->is_closed() ? 1 : 0;
      break;
  }
  return number_to_js(env, number);
}

// act(id, number): closes a channel; unlocks a mutex, or a readers-writer mutex (0 read, 1 write);
// releases permits; adds to a wait group; ends a once; closes a socket (1: by a reset). False if it
// is refused.
napi_value js_act(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  const uint32_t id = call.index(0);
  const HandleRef handle = call.environment->handle_at(id);
  const double number = call.number(1);
  bool done = false;
  switch (handle.kind) {
    case HandleKind::kChannel:
      done = static_cast<ChannelCore*>(handle.target)->close();
      break;
    case HandleKind::kMutex:
      done = static_cast<MutexCore*>(handle.target)->unlock_one();
      break;
    case HandleKind::kRwMutex: {
      auto* mutex = static_cast<RwMutexCore*>(handle.target);
      done = number != 0 ? mutex->unlock_write() : mutex->unlock_read();
      break;
    }
    case HandleKind::kSemaphore:
      done = static_cast<SemaphoreCore*>(handle.target)
                 ->release_permits(static_cast<uint64_t>(number));
      break;
    case HandleKind::kWaitGroup:
      done = static_cast<WaitGroupCore*>(handle.target)->add(static_cast<int64_t>(number));
      break;
    case HandleKind::kOnce:
      static_cast<OnceCore*>(handle.target)->finish();
      done = true;
      break;
    case HandleKind::kSocket:
      done = static_cast<net::SocketCore*>(handle.target)->close(number != 0);
      break;
    case HandleKind::kBarrier:
    case HandleKind::kContext:
      break;
  }
  return boolean_to_js(env, done);
}

// noteHeld(id, exclusive, delta): what this isolate holds, for its end.
napi_value js_note_held(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  call.environment->note_held(call.index(0), call.index(1) != 0,
                              static_cast<int64_t>(call.number(2)));
  return nullptr;
}

// childContext(parent, timeoutMs): NaN = without a deadline.
napi_value js_child_context(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  auto* parent = static_cast<ContextCore*>(call.environment->handle_at(call.index(0)).target);
  const double timeout_ms = call.number(1);
  Ref<ContextCore> child = std::isnan(timeout_ms)
                               ? parent->with_cancel()
                               : parent->with_deadline(deadline_after(timeout_ms));
  if (!child) return number_to_js(env, -1);
  return number_to_js(env, call.environment->add_handle({child.detach(), HandleKind::kContext}));
}

// cancelContext(id, mode, reason): true for the first one.
napi_value js_cancel_context(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  auto* context = static_cast<ContextCore*>(call.environment->handle_at(call.index(0)).target);
  auto reason = std::make_shared<Value>();
  const auto mode = static_cast<Mode>(call.index(1));
  if (!read_value(call, mode, call.arguments[2], reason.get())) return nullptr;
  if (mode == Mode::kNone) reason = nullptr;
  return boolean_to_js(env, context->cancel(reason));
}

// contextReason(id): true if there is one; it is where received values are.
napi_value js_context_reason(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  auto* context = static_cast<ContextCore*>(call.environment->handle_at(call.index(0)).target);
  const auto reason = std::static_pointer_cast<const Value>(context->reason());
  if (!reason) return boolean_to_js(env, false);
  size_t offset = 0;
  call.environment->state()[Environment::kValueKind] =
      call.environment->write_value(*reason, 0, &offset, call.environment->values());
  return boolean_to_js(env, true);
}

// allocate(length): an ArrayBuffer of a block, zeroed; undefined without memory.
napi_value js_allocate(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  Value value;
  Block* block = Block::make(static_cast<size_t>(call.number(0)), true);
  if (block == nullptr) return nullptr;
  value.set_block(block, block->length(), BytesShape::kArrayBuffer);
  return decode(env, value);
}

// carry(view): the same block as a new view, for this very isolate; leave() is still to come.
napi_value js_carry(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  Value value;
  if (!read_value(call, Mode::kMoved, call.arguments[0], &value)) return nullptr;
  return decode(env, value);
}

// free(view): the block of the view goes back to the pool; leave() is still to come.
napi_value js_free(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  Value value;
  read_value(call, Mode::kMoved, call.arguments[0], &value);
  return nullptr;
}

// leave(buffer): bytes that were given away leave this isolate; undefined: they stay. In the order
// in which they were given.
napi_value js_leave(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  std::vector<Block::Exposure*>& leaving = call.environment->leaving;
  Block::Exposure* exposure = nullptr;
  if (!leaving.empty()) {
    exposure = leaving.front();
    leaving.erase(leaving.begin());
  }
  napi_valuetype type = napi_undefined;
  napi_typeof(env, call.arguments[0], &type);
  const bool leaves = type != napi_undefined;
  if (leaves) napi_detach_arraybuffer(env, call.arguments[0]);
  if (exposure == nullptr) return nullptr;
  if (leaves) {
    std::exchange(exposure->block, nullptr)->release();
  } else {
    exposure->block->exchange_exposure(exposure);
  }
  return nullptr;
}

// shareHandle(id): a token for another isolate.
napi_value js_share_handle(napi_env env, napi_callback_info info) {
  const JsCall call(env, info);
  const HandleRef handle = call.environment->handle_at(call.index(0));
  handle.target->retain();
  call.environment->reconsider_waits();
  return number_to_js(env, make_token(handle));
}

// adoptHandle(token): (handle, kind) as a number, or -1.
napi_value js_adopt_handle(napi_env env, napi_callback_info info) {
  const SyncCall call(env, info);
  const HandleRef handle = take_token(call.number(0));
  if (handle.target == nullptr) return number_to_js(env, -1);
  return number_to_js(env, handle_word(call.environment->add_handle(handle), handle.kind));
}

}  // namespace heddle
