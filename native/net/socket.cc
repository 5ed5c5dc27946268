#include "net/socket.h"

#include <cerrno>
#include <memory>
#include <new>

#include "core/park.h"

namespace heddle::net {

// Of a machine, or of another thread; given back with it.
__attribute__((noinline)) unsigned char* thread_buffer(size_t* length) noexcept {
  constexpr size_t kBytes = 64 * 1024;
  static thread_local std::unique_ptr<unsigned char[]> buffer;
  if (!buffer) buffer = std::make_unique<unsigned char[]>(kBytes);
  *length = kBytes;
  return buffer.get();
}

namespace {
constexpr uint64_t kFirstPauseNs = 5'000'000;  // of an accept without descriptors; Go's as well
constexpr uint64_t kLongestPauseNs = 1'000'000'000;

bool would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

// What a client can cause before it is accepted, which concerns nobody else.
bool concerns_one_client(int error) noexcept {
  return error == ECONNABORTED || error == EPROTO || error == ENETDOWN || error == EHOSTUNREACH ||
         error == ENETUNREACH || error == EOPNOTSUPP;
}

bool lacks_descriptors(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}
}  // namespace

Use::Use(SocketCore* socket) noexcept : socket_(socket) {
  if (!socket->enter()) error_ = kClosedHere;
}

Use::Use(SocketCore* socket, Direction direction) noexcept : Use(socket) {
  if (error_ != 0) return;
  Atomic<bool>& busy = socket->is_busy_[static_cast<size_t>(direction)];
  if (busy.exchange_acq_rel(true)) {
    error_ = EBUSY;
  } else {
    busy_ = &busy;
  }
}

Use::~Use() {
  if (busy_ != nullptr) busy_->store_release(false);
  if (error_ != kClosedHere) socket_->leave();
}

SocketCore* SocketCore::make(int file, int* error) noexcept {
  PollDescriptor* descriptor = nullptr;
  *error = watch(file, &descriptor);
  auto* socket = *error == 0 ? new (std::nothrow) SocketCore(file, descriptor) : nullptr;
  if (socket != nullptr) return socket;
  if (*error == 0) {
    *error = ENOMEM;
    unwatch(file, descriptor);
  }
  os::close_file(file);
  return nullptr;
}

SocketCore::~SocketCore() { close(); }

bool SocketCore::enter() noexcept {
  uint32_t use = use_.load_acquire();
  while ((use & kClosing) == 0) {
    if (use_.compare_exchange_acq_rel(use, use + 1)) return true;
  }
  return false;
}

void SocketCore::leave() noexcept {
  if (use_.fetch_sub_acq_rel(1) == (kClosing | 1)) close_now();
}

bool SocketCore::close(bool reset) noexcept {
  if (!enter()) return false;
  if (reset) os::reset_at_close(file_);
  const bool is_first = (use_.fetch_or_acq_rel(kClosing) & kClosing) == 0;
  if (is_first) evict(descriptor_);
  leave();
  return is_first;
}

void SocketCore::close_now() noexcept {
  unwatch(file_, descriptor_);
  os::close_file(file_);
}

// On an OS thread in slices, so that a cancel or a close is noticed.
int SocketCore::wait_on_thread(Direction direction, uint64_t deadline_ns) {
  constexpr uint64_t kSliceNs = 20'000'000;
  for (;;) {
    checkpoint();
    if (is_closed()) return kClosedHere;
    const uint64_t now = os::now_ns();
    if (now >= deadline_ns) return kTimedOut;
    const uint64_t until = deadline_ns - now > kSliceNs ? now + kSliceNs : deadline_ns;
    if (os::wait_for_file(file_, direction == Direction::kWrite, until)) return 0;
  }
}

int SocketCore::wait(Direction direction, uint64_t deadline_ns) {
  const Machine* const machine = Machine::current();
  if (machine == nullptr || machine->blocking.load_relaxed() != 0) {
    return wait_on_thread(direction, deadline_ns);
  }
  switch (wait_ready(descriptor_, direction, deadline_ns)) {
    case PollStatus::kReady:
      return 0;
    case PollStatus::kTimedOut:
      return kTimedOut;
    case PollStatus::kClosed:
      break;
  }
  return kClosedHere;
}

// After a read that took all there was, the next one would only be refused. An edge that came since
// has left its mark, so a wait ends at once then; but after the other end's close none comes.
IoResult Reader::try_read(void* data, size_t length) noexcept {
  if (error() != 0) return {0, error()};
  if (socket_->is_drained_) return {0, EAGAIN};
  PollDescriptor* const descriptor = socket_->descriptor_;
  forget_edge(descriptor, Direction::kRead);
  const IoResult result = os::read_some(socket_->file_, data, length);
  socket_->is_drained_ = would_block(result.error) ||
                         (result.error == 0 && result.count != 0 && result.count < length &&
                          !descriptor->is_hung_up.load_acquire());
  return result;
}

int Reader::wait(uint64_t deadline_ns) {
  if (error() != 0 || !socket_->is_drained_) return error();
  socket_->is_drained_ = false;
  return socket_->wait(Direction::kRead, deadline_ns);
}

IoResult Writer::try_write(const void* data, size_t length) noexcept {
  if (error() != 0) return {0, error()};
  forget_edge(socket_->descriptor_, Direction::kWrite);
  return os::write_some(socket_->file_, data, length);
}

namespace {
// Moves on by what was written; how many spans are left.
size_t use_up(IoSpan** spans, size_t count, size_t bytes) noexcept {
  for (IoSpan*& first = *spans; count != 0; ++first, --count) {
    const size_t used = bytes < first->length ? bytes : first->length;
    first->data = static_cast<char*>(first->data) + used;
    first->length -= used;
    bytes -= used;
    if (first->length != 0) break;
  }
  return count;
}
}  // namespace

IoResult Writer::write_all(IoSpan* spans, size_t count, uint64_t deadline_ns) {
  IoResult all{0, error()};
  count = use_up(&spans, count, 0);
  while (count != 0 && all.error == 0) {
    forget_edge(socket_->descriptor_, Direction::kWrite);
    const IoResult some = count == 1 ? os::write_some(socket_->file_, spans->data, spans->length)
                                     : os::write_spans(socket_->file_, spans, count);
    if (would_block(some.error)) {
      all.error = socket_->wait(Direction::kWrite, deadline_ns);
    } else {
      all.error = some.error;
      all.count += some.count;
      count = use_up(&spans, count, some.count);
    }
  }
  return all;
}

IoResult Writer::write(const void* data, size_t length, uint64_t deadline_ns) {
  IoSpan span{const_cast<void*>(data), length};
  return write_all(&span, 1, deadline_ns);
}

IoResult SocketCore::read(void* data, size_t length, uint64_t deadline_ns) {
  Reader reader(this);
  for (;;) {
    const IoResult result = reader.try_read(data, length);
    if (!would_block(result.error)) return result;
    if (const int error = reader.wait(deadline_ns)) return {0, error};
  }
}

IoResult SocketCore::write(const void* data, size_t length, uint64_t deadline_ns) {
  return Writer(this).write(data, length, deadline_ns);
}

IoResult SocketCore::write_all(IoSpan* spans, size_t count, uint64_t deadline_ns) {
  return Writer(this).write_all(spans, count, deadline_ns);
}

// Until then, whoever comes meanwhile, unless it is closed.
int SocketCore::pause_accepting(uint64_t until_ns) {
  if (Machine::current() == nullptr) {
    sleep_until(until_ns);
    return is_closed() ? kClosedHere : 0;
  }
  int error = 0;
  while (error == 0) error = wait(Direction::kRead, until_ns);
  return error == kTimedOut ? 0 : error;
}

SocketCore* SocketCore::accept(uint64_t deadline_ns, int* error) {
  const Use use(this, Direction::kRead);
  *error = use.error();
  uint64_t pause_ns = kFirstPauseNs;
  while (*error == 0) {
    forget_edge(descriptor_, Direction::kRead);
    int file = -1;
    *error = os::accept_one(file_, &file);
    if (*error == 0) {
      SocketCore* const accepted = make(file, error);
      if (accepted != nullptr) return accepted;
    }
    if (would_block(*error)) {
      *error = wait(Direction::kRead, deadline_ns);
    } else if (lacks_descriptors(*error)) {
      // They come back when others close theirs; meanwhile clients wait in the backlog.
      const uint64_t until = os::now_ns() + pause_ns;
      *error = pause_accepting(until < deadline_ns ? until : deadline_ns);
      pause_ns = pause_ns * 2 < kLongestPauseNs ? pause_ns * 2 : kLongestPauseNs;
      if (*error == 0 && until >= deadline_ns) *error = kTimedOut;
    } else if (concerns_one_client(*error)) {
      *error = 0;
    }
  }
  return nullptr;
}

int SocketCore::finish_connect(uint64_t deadline_ns) {
  const Use use(this, Direction::kWrite);
  int error = use.error();
  while (error == 0) {
    error = os::connect_error(file_);
    os::SocketAddress peer;
    if (error != 0 || os::peer_address(file_, &peer) == 0) break;
    error = wait(Direction::kWrite, deadline_ns);
  }
  return error;
}

int SocketCore::end_writing() noexcept {
  const Use use(this);
  return use.error() != 0 ? use.error() : os::end_writing(file_);
}

int SocketCore::local_address(os::SocketAddress* address) noexcept {
  const Use use(this);
  return use.error() != 0 ? use.error() : os::local_address(file_, address);
}

int SocketCore::peer_address(os::SocketAddress* address) noexcept {
  const Use use(this);
  return use.error() != 0 ? use.error() : os::peer_address(file_, address);
}

int SocketCore::set_option(os::SocketOption option, bool on) noexcept {
  const Use use(this);
  return use.error() != 0 ? use.error() : os::set_option(file_, option, on);
}

Readiness SocketCore::try_locked(uint32_t, Cell*, Served*) noexcept { return Readiness::kNotReady; }

}  // namespace heddle::net
