#include "net/services.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/park.h"
#include "core/scheduler.h"

namespace heddle::net {

namespace {

constexpr uint64_t kNever = os::kNever;

// The connections of a service, so that its end is theirs. Fibers of theirs hold it as well.
class Connections {
 public:
  // False if the service has ended meanwhile.
  bool add(SocketCore* socket) {
    LockGuard guard(lock_);
    if (is_over_) return false;
    open_.insert(socket);
    return true;
  }
  void remove(SocketCore* socket) {
    LockGuard guard(lock_);
    open_.erase(socket);
  }
  // A close wakes fibers, which may not be done under a lock.
  void close_all() {
    std::vector<Ref<SocketCore>> open;
    {
      LockGuard guard(lock_);
      is_over_ = true;
      for (SocketCore* socket : open_) {
        if (socket->try_retain()) open.emplace_back(socket);
      }
    }
    for (const Ref<SocketCore>& socket : open) socket->close();
  }

 private:
  Lock lock_{LockRank::kLeaf};
  bool is_over_ = false;
  std::unordered_set<SocketCore*> open_;
};

// One connection of a service, open and listed for the life of this.
class Member {
 public:
  Member(std::shared_ptr<Connections> all, Ref<SocketCore> socket)
      : all_(std::move(all)), socket_(std::move(socket)) {
    is_listed_ = all_->add(socket_.get());
    if (!is_listed_) socket_->close();
  }
  Member(Member&& other) noexcept
      : all_(std::move(other.all_)),
        socket_(std::move(other.socket_)),
        is_listed_(std::exchange(other.is_listed_, false)) {}
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;
  Member& operator=(Member&&) = delete;
  ~Member() {
    if (!socket_) return;
    if (is_listed_) all_->remove(socket_.get());
    socket_->close();
  }
  SocketCore* operator->() const noexcept { return socket_.get(); }
  const std::shared_ptr<Connections>& all() const noexcept { return all_; }

 private:
  std::shared_ptr<Connections> all_;
  Ref<SocketCore> socket_;
  bool is_listed_ = false;
};

// Passes on what comes until the end of the stream: 0, or what went wrong. The buffer is the
// thread's, and not used while the fiber is parked: a connection that waits has none.
int pass_on(SocketCore* from, SocketCore* to) {
  Reader reader(from);
  Writer writer(to);
  for (;;) {
    checkpoint();  // one whose ends are both fast never waits
    size_t length = 0;
    unsigned char* const buffer = thread_buffer(&length);
    const IoResult read = reader.try_read(buffer, length);
    if (read.error == EAGAIN) {
      if (const int error = reader.wait(kNever)) return error;
      continue;
    }
    if (read.error != 0 || read.count == 0) return read.error;
    const IoResult written = writer.try_write(buffer, read.count);
    if (written.error != 0 && written.error != EAGAIN) return written.error;
    const size_t left = read.count - written.count;
    if (left == 0) continue;
    const auto rest = std::make_unique<unsigned char[]>(left);
    std::memcpy(rest.get(), buffer + written.count, left);
    if (const int error = writer.write(rest.get(), left, kNever).error) return error;
  }
}

SpawnOptions compact_options(const char* name) noexcept {
  SpawnOptions options;
  options.stack_class = StackClass::kCompact;
  options.name = name;
  return options;
}

// `serve` gets a Member; it runs on a fiber of its own.
template <typename Serve>
uint64_t serve_each(SocketCore* listener, const char* name, int* error, const Serve& serve) {
  auto all = std::make_shared<Connections>();
  // Also when the fiber is cancelled.
  struct Closing {
    Connections* all;
    ~Closing() { all->close_all(); }
  } const closing{all.get()};
  for (uint64_t count = 0;; ++count) {
    checkpoint();
    Ref<SocketCore> accepted(listener->accept(kNever, error));
    if (!accepted) {
      if (*error == kClosedHere) *error = 0;
      return count;
    }
    accepted->set_option(os::SocketOption::kNoDelay, true);
    Scheduler::running().go(
        [member = Member(all, std::move(accepted)), serve]() mutable { serve(member); },
        compact_options(name));
  }
}

// The end of a stream is passed on as well. A failure takes both ends with it; both are told,
// unless it is the end of the service.
void connect_one_way(Member& from, Member& to) {
  const int error = pass_on(from.operator->(), to.operator->());
  if (error == 0) {
    to->end_writing();
    return;
  }
  from->close(error != kClosedHere);
  to->close(error != kClosedHere);
}

}  // namespace

uint64_t serve_echo(SocketCore* listener, int* error) {
  return serve_each(listener, "echo connection", error,
                    [](Member& member) { pass_on(member.operator->(), member.operator->()); });
}

uint64_t serve_proxy(SocketCore* listener, const Endpoint& to, int* error) {
  return serve_each(listener, "proxy connection", error, [to](Member& client) {
    int failure = 0;
    Ref<SocketCore> dialled(dial(to, kNever, &failure));
    if (!dialled) return;
    auto server = std::make_shared<Member>(client.all(), std::move(dialled));
    auto ours = std::make_shared<Member>(std::move(client));
    // The way back has a fiber of its own.
    Scheduler::running().go([server, ours] { connect_one_way(*server, *ours); },
                            compact_options("proxy answer"));
    connect_one_way(*ours, *server);
  });
}

}  // namespace heddle::net
