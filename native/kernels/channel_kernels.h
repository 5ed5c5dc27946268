// What the kernels share that speak channels. They run compact: a cell lies on the fiber's own
// stack only while the fiber runs, and travels by value.
#pragma once

#include "kernels/kernel.h"
#include "sync/channel.h"

namespace heddle {

// A channel of JavaScript as an argument; the task holds the handle.
class ValueChannel {
 public:
  explicit ValueChannel(const Value& argument) noexcept
      : core_(static_cast<ChannelCore*>(argument.handle().target)) {}

  // False at its end. Throws SyncFailure if nobody is left who could send.
  bool receive(Value* value) const;
  // Throws SyncFailure if it is closed or nobody is left who could receive; the value is freed
  // then.
  void send(Value value) const;
  void close() const noexcept { core_->close(); }

 private:
  ChannelCore* core_;
};

// Closes the channel that is the argument `at`, as the last act, if the third one is true.
class CloseAtEnd {
 public:
  CloseAtEnd(const KernelCall& call, uint32_t at) noexcept
      : channel_(call.at(at)), closes_(call.has(2) && call.at(2).boolean()) {}
  ~CloseAtEnd() {
    if (closes_) channel_.close();
  }
  CloseAtEnd(const CloseAtEnd&) = delete;
  CloseAtEnd& operator=(const CloseAtEnd&) = delete;

 private:
  const ValueChannel channel_;
  const bool closes_;
};

}  // namespace heddle
