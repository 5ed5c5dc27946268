// produce, consume, relay and pingPong: the ends and stages of pipelines between JavaScript and
// fibers.
#include "kernels/channel_kernels.h"

#include <new>
#include <utility>

namespace heddle {

namespace {

constexpr double kMostRounds = 9007199254740991;  // 2^53 - 1

void require(WaitStatus status, const char* what) {
  if (status == WaitStatus::kDone) return;
  if (status == WaitStatus::kNoMemory) throw std::bad_alloc();
  throw SyncFailure(status == WaitStatus::kClosed ? "ERR_HEDDLE_CLOSED" : "ERR_HEDDLE_ABANDONED",
                    what);
}

}  // namespace

bool ValueChannel::receive(Value* value) const {
  Cell cell;
  const WaitStatus status = core_->receive(&cell);
  if (status == WaitStatus::kClosed) return false;
  require(status, "a kernel received from a channel that nobody else holds");
  value->move_from(cell);
  return true;
}

void ValueChannel::send(Value value) const {
  Cell cell;
  value.move_to(&cell);
  // Not sent, also by an exception: it is ours again.
  struct TakeBack {
    Cell* cell;
    Value* value;
    ~TakeBack() {
      if (cell != nullptr) value->move_from(*cell);
    }
  } take_back{&cell, &value};
  const WaitStatus status = core_->send(cell);
  if (status == WaitStatus::kDone) take_back.cell = nullptr;
  require(status, "a kernel sent to a channel that is closed, or that nobody else holds");
}

namespace {

void run_produce(KernelCall& call) {
  const ValueChannel to(call.at(0));
  const CloseAtEnd close(call, 0);
  const double count = call.number(1);
  for (double i = 0; i < count; ++i) {
    Value value;
    value.set_number(i);
    to.send(std::move(value));
  }
  call.result().set_number(count);
}

void run_consume(KernelCall& call) {
  const ValueChannel from(call.at(0));
  double count = 0;
  for (Value value; from.receive(&value);) ++count;
  call.result().set_number(count);
}

void run_relay(KernelCall& call) {
  const ValueChannel from(call.at(0));
  const ValueChannel to(call.at(1));
  const CloseAtEnd close(call, 1);
  double count = 0;
  for (Value value; from.receive(&value); ++count) to.send(std::move(value));
  call.result().set_number(count);
}

}  // namespace

const Kernel kProduceKernel = {"produce",
                               run_produce,
                               StackClass::kCompact,
                               3,
                               {{"to", ArgumentKind::kChannel},
                                {"count", ArgumentKind::kInteger, 0, kMostRounds},
                                {"close", ArgumentKind::kBoolean, 0, 0, true}}};
const Kernel kConsumeKernel = {
    "consume", run_consume, StackClass::kCompact, 1, {{"from", ArgumentKind::kChannel}}};
const Kernel kRelayKernel = {"relay",
                             run_relay,
                             StackClass::kCompact,
                             3,
                             {{"from", ArgumentKind::kChannel},
                              {"to", ArgumentKind::kChannel},
                              {"close", ArgumentKind::kBoolean, 0, 0, true}}};
const Kernel kPingPongKernel = {"pingPong",
                                run_relay,
                                StackClass::kCompact,
                                2,
                                {{"from", ArgumentKind::kChannel}, {"to", ArgumentKind::kChannel}}};

}  // namespace heddle
