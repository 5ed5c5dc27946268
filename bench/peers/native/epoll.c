// The bare epoll loop in C that others are measured beside, and the clients that drive all of them.
//   epoll-peer serve                           echoes on a port of its choice, which it prints
//   epoll-peer drive port=P connections=N ms=T
// drive opens N connections, each with one message of 64 bytes on its way at a time. It prints
// `open` when all are open, `begin` after a warm-up, and in the end one JSON object.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kMessage = 64, kEvents = 256, kBuffer = 65536, kWarmUpMs = 300 };

static void fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void raise_descriptors(rlim_t wanted) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < wanted) {
    fprintf(stderr, "needs %lu descriptors, the limit is %lu\n", (unsigned long)wanted,
            (unsigned long)limit.rlim_max);
    exit(1);
  }
}

static void without_delay(int file) {
  const int on = 1;
  setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void add(int epoll, int file) {
  struct epoll_event interest = {.events = EPOLLIN, .data.fd = file};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, file, &interest) != 0) fail("epoll_ctl");
}

static void accept_all(int epoll, int listener) {
  for (;;) {
    const int file = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (file < 0) return;
    without_delay(file);
    add(epoll, file);
  }
}

// Messages are far smaller than what a socket takes at once.
static void echo(int file) {
  static char buffer[kBuffer];
  const ssize_t count = read(file, buffer, sizeof buffer);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0 || send(file, buffer, (size_t)count, MSG_NOSIGNAL) != count) close(file);
}

static _Noreturn void serve(void) {
  raise_descriptors(0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr*)&address, length) != 0) fail("bind");
  if (listen(listener, 4096) != 0) fail("listen");
  if (getsockname(listener, (struct sockaddr*)&address, &length) != 0) fail("getsockname");
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  add(epoll, listener);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    struct epoll_event events[kEvents];
    const int count = epoll_wait(epoll, events, kEvents, -1);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.fd == listener) {
        accept_all(epoll, listener);
      } else {
        echo(events[i].data.fd);
      }
    }
  }
}

static long number(int count, char** arguments, const char* key) {
  const size_t length = strlen(key);
  for (int i = 2; i < count; ++i) {
    if (strncmp(arguments[i], key, length) == 0 && arguments[i][length] == '=') {
      return atol(arguments[i] + length + 1);
    }
  }
  fprintf(stderr, "expected %s=number\n", key);
  exit(2);
}

static int dial(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (file < 0 || connect(file, (struct sockaddr*)&address, sizeof address) != 0) fail("connect");
  without_delay(file);
  // No TIME_WAIT: the next run needs the ports.
  const struct linger reset = {.l_onoff = 1, .l_linger = 0};
  setsockopt(file, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  return file;
}

static void ask(int file) {
  static const char message[kMessage];
  if (send(file, message, kMessage, MSG_NOSIGNAL) != kMessage) fail("send");
}

static void say(const char* word) {
  printf("%s\n", word);
  fflush(stdout);
}

// Round trips until then. Answers come whole or in parts.
static uint64_t drive_until(int epoll, uint16_t* got, uint64_t until_ns) {
  static char buffer[kBuffer];
  uint64_t round_trips = 0;
  while (now_ns() < until_ns) {
    struct epoll_event events[kEvents];
    const int count = epoll_wait(epoll, events, kEvents, 100);
    for (int i = 0; i < count; ++i) {
      const int file = events[i].data.fd;
      const ssize_t bytes = read(file, buffer, kMessage - got[file]);
      if (bytes <= 0) fail("an answer");
      got[file] = (uint16_t)(got[file] + bytes);
      if (got[file] < kMessage) continue;
      got[file] = 0;
      ++round_trips;
      ask(file);
    }
  }
  return round_trips;
}

static int drive(int port, long connections, long ms) {
  raise_descriptors((rlim_t)connections + 32);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  int* const files = calloc((size_t)connections, sizeof *files);
  uint16_t* const got = calloc((size_t)connections + 64, sizeof *got);
  for (long i = 0; i < connections; ++i) {
    files[i] = dial(port);
    add(epoll, files[i]);
  }
  say("open");
  usleep(200000);
  for (long i = 0; i < connections; ++i) ask(files[i]);
  drive_until(epoll, got, now_ns() + kWarmUpMs * 1000000ull);
  say("begin");
  const uint64_t began_ns = now_ns();
  const uint64_t round_trips = drive_until(epoll, got, began_ns + (uint64_t)ms * 1000000u);
  printf("{\"roundTrips\": %lu, \"ns\": %lu}\n", (unsigned long)round_trips,
         (unsigned long)(now_ns() - began_ns));
  return 0;
}

int main(int count, char** arguments) {
  if (count > 1 && strcmp(arguments[1], "serve") == 0) serve();
  if (count > 1 && strcmp(arguments[1], "drive") == 0) {
    return drive((int)number(count, arguments, "port"), number(count, arguments, "connections"),
                 number(count, arguments, "ms"));
  }
  fprintf(stderr, "usage: epoll-peer serve | drive port=P connections=N ms=T\n");
  return 2;
}
