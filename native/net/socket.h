// A stream socket for fibers: TCP or Unix, listening or connected.
//
// Operations are tried first and park their fiber if they would block. Of each direction one
// operation is in progress at a time; another one fails with EBUSY. close() may come from any
// thread at any moment: it ends the operations, with kClosedHere; the file descriptor is closed by
// whoever is the last to leave, so that its number cannot be another one's meanwhile.
//
// Buffers do not lie on the stack of a compact fiber, which moves.
#pragma once

#include "core/netpoll.h"
#include "os/socket.h"
#include "sync/waitable.h"

namespace heddle::net {

// Beyond errno: the socket was closed on this side; the deadline has passed.
inline constexpr int kClosedHere = -1;
inline constexpr int kTimedOut = -2;

using os::IoResult;
using os::IoSpan;

class SocketCore;

// An operation, or several: meanwhile the file descriptor stays open, and the direction is theirs.
class Use {
 public:
  explicit Use(SocketCore* socket) noexcept;
  Use(SocketCore* socket, Direction direction) noexcept;
  ~Use();
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  // 0, kClosedHere or EBUSY; later operations answer it as well.
  int error() const noexcept { return error_; }

 protected:
  SocketCore* const socket_;

 private:
  Atomic<bool>* busy_ = nullptr;
  int error_ = 0;
};

class Reader : public Use {
 public:
  explicit Reader(SocketCore* socket) noexcept : Use(socket, Direction::kRead) {}
  // What there is now; EAGAIN: wait() waits for more, without a buffer. For buffers that others may
  // use while the fiber is parked.
  IoResult try_read(void* data, size_t length) noexcept;
  int wait(uint64_t deadline_ns);
};

class Writer : public Use {
 public:
  explicit Writer(SocketCore* socket) noexcept : Use(socket, Direction::kWrite) {}
  // What fits now, perhaps nothing (EAGAIN).
  IoResult try_write(const void* data, size_t length) noexcept;
  // All of the spans, which are used up; on failure `count` says how much.
  IoResult write_all(IoSpan* spans, size_t count, uint64_t deadline_ns);
  IoResult write(const void* data, size_t length, uint64_t deadline_ns);
};

// Nobody waits for one with a node: it is a Waitable because handles are counted there.
class SocketCore final : public Waitable {
 public:
  // Takes over `file`, also if it fails: then nullptr and *error.
  static SocketCore* make(int file, int* error) noexcept;

  // At least one byte, or 0 at the end of the stream.
  IoResult read(void* data, size_t length, uint64_t deadline_ns);
  // All of it; on failure `count` says how much.
  IoResult write(const void* data, size_t length, uint64_t deadline_ns);
  // All of the spans, which are used up.
  IoResult write_all(IoSpan* spans, size_t count, uint64_t deadline_ns);
  // A connection, or nullptr and *error. Backs off while the process has no descriptors left.
  SocketCore* accept(uint64_t deadline_ns, int* error);
  // After a connect that is in progress: 0, or how it failed.
  int finish_connect(uint64_t deadline_ns);
  int end_writing() noexcept;
  int local_address(os::SocketAddress* address) noexcept;
  int peer_address(os::SocketAddress* address) noexcept;
  int set_option(os::SocketOption option, bool on) noexcept;
  // Once; false if it is closed already. `reset`: the other end is told that something went wrong.
  bool close(bool reset = false) noexcept;
  bool is_closed() const noexcept { return (use_.load_acquire() & kClosing) != 0; }

  Readiness try_locked(uint32_t, Cell*, Served*) noexcept override;
  bool is_ready_locked(uint32_t, const Cell&) const noexcept override { return false; }

 private:
  friend class Use;
  friend class Reader;
  friend class Writer;
  SocketCore(int file, PollDescriptor* descriptor) noexcept
      : Waitable(false), file_(file), descriptor_(descriptor) {}
  ~SocketCore() override;

  bool enter() noexcept;
  void leave() noexcept;
  void close_now() noexcept;
  int wait(Direction direction, uint64_t deadline_ns);
  int wait_on_thread(Direction direction, uint64_t deadline_ns);
  int pause_accepting(uint64_t until_ns);

  // How many are inside, and whether it is closed to others.
  static constexpr uint32_t kClosing = 1u << 31;
  Atomic<uint32_t> use_{0};
  Atomic<bool> is_busy_[2] = {};
  // The last read took all there was. Owned by the reader.
  bool is_drained_ = false;
  const int file_;
  PollDescriptor* const descriptor_;
};

// A buffer of the calling thread, valid until the fiber parks.
unsigned char* thread_buffer(size_t* length) noexcept;

}  // namespace heddle::net
