// Sockets on fibers: every byte arrives in order, and a close or deadline ends what it should.
#include "net/socket.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/services.h"
#include "test/native/harness.h"
#include "test/native/runtime_support.h"

namespace heddle::test {

namespace {

using net::Endpoint;
using net::IoResult;
using net::SocketCore;

constexpr uint64_t kNever = os::kNever;

uint64_t in_ms(uint64_t ms) { return os::now_ns() + ms * 1'000'000; }

Endpoint endpoint(const std::string& text) {
  Endpoint parsed;
  REQUIRE(net::parse_endpoint(text, &parsed));
  return parsed;
}

Ref<SocketCore> listen_at(const std::string& text) {
  int error = 0;
  Ref<SocketCore> listener(net::listen(endpoint(text), {}, &error));
  REQUIRE(error == 0);
  return listener;
}

// A machine may have no IPv6.
bool can_listen(const std::string& text) {
  const Scheduler scheduler(with_processors(1));
  int error = 0;
  const Ref<SocketCore> listener(net::listen(endpoint(text), {}, &error));
  return error != EADDRNOTAVAIL && error != EAFNOSUPPORT;
}

std::string address_of(const Ref<SocketCore>& socket) {
  os::SocketAddress address;
  REQUIRE(socket->local_address(&address) == 0);
  return net::endpoint_of(address);
}

// Two ends of one connection, made by fibers.
struct Pair {
  Ref<SocketCore> listener, client, server;
  explicit Pair(Scheduler& scheduler, const std::string& where = "127.0.0.1:0") {
    listener = listen_at(where);
    const std::string to = address_of(listener);
    Countdown made(2);
    spawn(scheduler, [&] {
      int error = 0;
      server = Ref<SocketCore>(listener->accept(kNever, &error));
      made.arrive();
    });
    spawn(scheduler, [&] {
      int error = 0;
      client = Ref<SocketCore>(net::dial(endpoint(to), kNever, &error));
      made.arrive();
    });
    made.wait();
    REQUIRE(client && server);
  }
};

void write_pattern(SocketCore* socket, size_t bytes) {
  std::vector<unsigned char> chunk(100'000);
  for (size_t sent = 0; sent < bytes;) {
    const size_t length = std::min(chunk.size(), bytes - sent);
    for (size_t i = 0; i < length; ++i) chunk[i] = static_cast<unsigned char>((sent + i) * 7);
    const IoResult result = socket->write(chunk.data(), length, kNever);
    CHECK_EQ(result.error, 0);
    CHECK_EQ(result.count, length);
    if (result.error != 0) return;
    sent += length;
  }
}

// Until the end of the stream; how many came in order.
size_t read_pattern(SocketCore* socket) {
  std::vector<unsigned char> chunk(30'000);
  for (size_t got = 0;;) {
    const IoResult result = socket->read(chunk.data(), chunk.size(), kNever);
    if (result.error != 0 || result.count == 0) return got;
    for (size_t i = 0; i < result.count; ++i) {
      if (chunk[i] != static_cast<unsigned char>((got + i) * 7)) return got;
    }
    got += result.count;
  }
}

}  // namespace

TEST_CASE("bytes go both ways at once, over TCP and Unix sockets, each way to its own end") {
  const size_t bytes = kSanitized ? 2'000'000 : 20'000'000;
  for (const char* where : {"127.0.0.1:0", "[::1]:0", "@heddle-socket-test"}) {
    if (!can_listen(where)) continue;
    for (uint32_t processors : {1u, 2u, 4u}) {
      Scheduler scheduler(with_processors(processors));
      const Pair pair(scheduler, where);
      Atomic<size_t> got[2] = {};
      SocketCore* const ends[] = {pair.client.get(), pair.server.get()};
      for (size_t i = 0; i < 2; ++i) {
        spawn(scheduler, [&, i] {
          write_pattern(ends[i], bytes);
          CHECK_EQ(ends[i]->end_writing(), 0);
        });
        spawn(scheduler, [&, i] { got[i].store_release(read_pattern(ends[i])); });
      }
      finish(scheduler);
      for (const auto& each : got) CHECK_EQ(each.load_acquire(), bytes);
    }
  }
}

TEST_CASE("a close ends a parked read, write and accept, and what comes later") {
  for (uint32_t processors : {1u, 2u}) {
    Scheduler scheduler(with_processors(processors));
    const Pair pair(scheduler);
    Atomic<uint32_t> ended{0};
    const auto count_closed = [&](int error) {
      CHECK_EQ(error, net::kClosedHere);
      ended.fetch_add_acq_rel(1);
    };
    std::vector<unsigned char> much(50'000'000);
    const uint64_t parked_before = stats_of(scheduler).parked;
    spawn(scheduler, [&] {
      unsigned char byte;
      count_closed(pair.client->read(&byte, 1, kNever).error);
      count_closed(pair.client->read(&byte, 1, kNever).error);
    });
    spawn(scheduler,
          [&] { count_closed(pair.client->write(much.data(), much.size(), kNever).error); });
    spawn(scheduler, [&] {
      int error = 0;
      CHECK(pair.listener->accept(kNever, &error) == nullptr);
      count_closed(error);
    });
    wait_until([&] { return stats_of(scheduler).parked >= parked_before + 3; });
    CHECK(pair.client->close());
    CHECK(!pair.client->close());
    CHECK(pair.listener->close());
    finish(scheduler);
    CHECK_EQ(ended.load_acquire(), 4u);
  }
}

TEST_CASE("a deadline ends a read, and later bytes are not lost") {
  Scheduler scheduler(with_processors(2));
  const Pair pair(scheduler);
  spawn(scheduler, [&] {
    for (int i = 0; i < 10; ++i) {
      char byte = 0;
      const uint64_t deadline_ns = in_ms(2);
      CHECK_EQ(pair.client->read(&byte, 1, deadline_ns).error, net::kTimedOut);
      CHECK(os::now_ns() >= deadline_ns);
      CHECK_EQ(pair.server->write("x", 1, kNever).error, 0);
      CHECK_EQ(pair.client->read(&byte, 1, in_ms(5'000)).count, 1u);
      CHECK_EQ(byte, 'x');
    }
  });
  finish(scheduler);
}

TEST_CASE("of a direction one operation is in progress at a time") {
  Scheduler scheduler(with_processors(2));
  const Pair pair(scheduler);
  const uint64_t parked_before = stats_of(scheduler).parked;
  spawn(scheduler, [&] {
    char byte;
    CHECK_EQ(pair.client->read(&byte, 1, kNever).count, 1u);
  });
  wait_until([&] { return stats_of(scheduler).parked > parked_before; });
  spawn(scheduler, [&] {
    char byte;
    CHECK_EQ(pair.client->read(&byte, 1, kNever).error, EBUSY);
    CHECK_EQ(pair.client->write("y", 1, kNever).error, 0);
    CHECK_EQ(pair.server->write("x", 1, kNever).error, 0);
  });
  finish(scheduler);
}

TEST_CASE("the end of a stream that comes together with its last bytes is seen") {
  Scheduler scheduler(with_processors(2));
  for (int round = 0; round < 200; ++round) {
    const Pair pair(scheduler);
    Countdown both(2);
    spawn(scheduler, [&] {
      CHECK_EQ(pair.server->write("last", 4, kNever).count, 4u);
      CHECK(pair.server->close());
      both.arrive();
    });
    spawn(scheduler, [&] {
      char bytes[64];
      size_t got = 0;
      for (IoResult some{1, 0}; some.count != 0; got += some.count) {
        some = pair.client->read(bytes, sizeof bytes, in_ms(5'000));
        CHECK_EQ(some.error, 0);
        if (some.error != 0) break;
      }
      CHECK_EQ(got, 4u);
      both.arrive();
    });
    both.wait();
  }
  finish(scheduler);
}

TEST_CASE("a reset reaches the fiber of its connection, and no other") {
  Scheduler scheduler(with_processors(2));
  const Pair hit(scheduler);
  const Pair other(scheduler);
  spawn(scheduler, [&] {
    char byte;
    CHECK_EQ(hit.client->read(&byte, 1, kNever).error, ECONNRESET);
    CHECK_EQ(other.server->write("x", 1, kNever).error, 0);
  });
  spawn(scheduler, [&] {
    char byte;
    CHECK_EQ(other.client->read(&byte, 1, kNever).count, 1u);
  });
  hit.server->close(true);
  finish(scheduler);
}

TEST_CASE("an accept without descriptors waits for some, and does not spin") {
  Scheduler scheduler(with_processors(1));
  const Ref<SocketCore> listener = listen_at("127.0.0.1:0");
  const std::string to = address_of(listener);
  Ref<SocketCore> client;
  Countdown dialled(1);
  spawn(scheduler, [&] {
    int error = 0;
    client = Ref<SocketCore>(net::dial(endpoint(to), kNever, &error));
    CHECK_EQ(error, 0);
    dialled.arrive();
  });
  dialled.wait();
  rlimit limit;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit none{0, limit.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const uint64_t timers_before = stats_of(scheduler).timers_fired;
  Atomic<bool> is_accepted{false};
  spawn(scheduler, [&] {
    int error = 0;
    const Ref<SocketCore> server(listener->accept(kNever, &error));
    CHECK_EQ(error, 0);
    is_accepted.store_release(true);
  });
  wait_until([&] { return stats_of(scheduler).timers_fired >= timers_before + 2; });
  CHECK(!is_accepted.load_acquire());
  CHECK(stats_of(scheduler).timers_fired < timers_before + 10);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  finish(scheduler);
  CHECK(is_accepted.load_acquire());
}

TEST_CASE("a thread outside the runtime reads and writes as a fiber does") {
  Scheduler scheduler(with_processors(1));
  const Pair pair(scheduler);
  char byte = 0;
  CHECK_EQ(pair.client->read(&byte, 1, in_ms(3)).error, net::kTimedOut);
  CHECK_EQ(pair.server->write("t", 1, kNever).count, 1u);
  CHECK_EQ(pair.client->read(&byte, 1, kNever).count, 1u);
  CHECK_EQ(byte, 't');
  finish(scheduler);
}

TEST_CASE("what cannot be dialled or listened at is an error with its number") {
  Scheduler scheduler(with_processors(2));
  const Ref<SocketCore> taken = listen_at("127.0.0.1:0");
  const std::string busy = address_of(taken);
  spawn(scheduler, [&] {
    int error = 0;
    CHECK(net::listen(endpoint(busy), {}, &error) == nullptr);
    CHECK_EQ(error, EADDRINUSE);
    CHECK(net::dial(endpoint("127.0.0.1:1"), kNever, &error) == nullptr);
    CHECK_EQ(error, ECONNREFUSED);
    CHECK(net::dial(endpoint("/no/such/socket"), kNever, &error) == nullptr);
    CHECK_EQ(error, ENOENT);
    CHECK(net::dial(endpoint("no..host:80"), kNever, &error) == nullptr);
    CHECK(error <= net::kResolveError);
    const std::string long_path = "/" + std::string(200, 'x');
    CHECK(net::listen(endpoint(long_path), {}, &error) == nullptr);
    CHECK_EQ(error, ENAMETOOLONG);
  });
  finish(scheduler);
}

TEST_CASE("endpoints are read as they are written") {
  for (const char* text : {"127.0.0.1:80", "[::1]:65535", "/tmp/socket", "@name"}) {
    Endpoint parsed;
    REQUIRE(net::parse_endpoint(text, &parsed));
    os::SocketAddress address;
    const bool is_path = !parsed.path.empty();
    REQUIRE(is_path ? os::address_from_path(parsed.path, &address)
                    : os::address_from_figures(parsed.host.c_str(), parsed.port, &address));
    CHECK(net::endpoint_of(address) == text);
  }
  for (const char* text : {"", "80", "host:", "host:99999", "host:-1", "a:b:80", "::1:80", "@"}) {
    Endpoint parsed;
    CHECK(!net::parse_endpoint(text, &parsed));
  }
}

TEST_CASE("an echo service answers many at once, and its end is theirs") {
  Scheduler scheduler(with_processors(2));
  const Ref<SocketCore> listener = listen_at("127.0.0.1:0");
  const std::string to = address_of(listener);
  constexpr uint32_t kClients = 100;
  const size_t bytes = kSanitized ? 50'000 : 500'000;
  Atomic<uint64_t> served{0};
  int service_error = 0;
  spawn(scheduler, [&] { served.store_release(net::serve_echo(listener.get(), &service_error)); });
  Countdown done(kClients);
  std::vector<Ref<SocketCore>> clients(kClients);
  for (uint32_t i = 0; i < kClients; ++i) {
    spawn(scheduler, [&, i] {
      int error = 0;
      clients[i] = Ref<SocketCore>(net::dial(endpoint(to), kNever, &error));
      SocketCore* const client = clients[i].get();
      spawn(scheduler, [client, bytes] { write_pattern(client, bytes); });
      std::vector<unsigned char> chunk(10'000);
      size_t got = 0;
      while (got < bytes) {
        const IoResult some = client->read(chunk.data(), chunk.size(), kNever);
        CHECK_EQ(some.error, 0);
        if (some.error != 0 || some.count == 0) break;
        got += some.count;
      }
      CHECK_EQ(got, bytes);
      done.arrive();
    });
  }
  done.wait();
  listener->close();
  Countdown ended(1);
  spawn(scheduler, [&] {
    char byte;
    for (const Ref<SocketCore>& client : clients) {
      const IoResult end = client->read(&byte, 1, kNever);
      CHECK(end.error == ECONNRESET || (end.error == 0 && end.count == 0));
    }
    ended.arrive();
  });
  ended.wait();
  finish(scheduler);
  CHECK_EQ(served.load_acquire(), kClients);
}

}  // namespace heddle::test
