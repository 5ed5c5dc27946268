// Chunked bodies: what is decoded, what is refused, and how much besides data a sender can send.
#include "net/http_body.h"

#include <string>
#include <utility>
#include <vector>

#include "core/random.h"
#include "test/native/harness.h"
#include "test/native/net/http_support.h"

namespace heddle::test {

namespace {

using std::string_literals::operator""s;

struct Refusal {
  std::string body;
  uint16_t status;
};

const std::vector<std::string>& accepted_bodies() {
  static const std::vector<std::string> table = {
      "0\r\n\r\n",
      "5\r\nhello\r\n0\r\n\r\n",
      "00A\r\n\r\n0\r\n\r\n0\r\n\r\n000\r\n\r\n",
      "a;x\r\n0123456789\r\n1;y=z;w=\"q\\\"\\\\ \t\x80\";v\r\n!\r\n0;end=1\r\n\r\n",
      "1;a=\"\"\r\nx\r\n0\r\n\r\n",
      "3\r\n\0\xff\n\r\n0\r\nX-Sum: 1\r\nEmpty:\r\nDigest: \t a b\x80 \r\n\r\n"s,
      "1\r\nx\r\n0\r\nContent-Lengths: 5\r\nHos: a\r\nifs: a\r\n\r\n",
      "1\r\nx\r\n0\r\nproxy-authorizationX: 5\r\n\r\n",
      "00000000000000ff\r\n" + std::string(255, 'f') + "\r\n0\r\n\r\n",
  };
  return table;
}

const std::vector<Refusal>& refused_bodies() {
  static const std::vector<Refusal> table = {
      {"\r\n", 400},
      {"g\r\n", 400},
      {"-1\r\n", 400},
      {"+1\r\n", 400},
      {"0x5\r\n", 400},
      {" 5\r\nhello\r\n", 400},
      {"5 \r\nhello\r\n", 400},
      {"5\t;a\r\nhello\r\n", 400},
      {"5\nhello\r\n", 400},
      {"5\rhello\r\n", 400},
      {"5\r\r\nhello\r\n", 400},
      {"5\r\nhello0\r\n\r\n", 400},
      {"5\r\nhello\n0\r\n\r\n", 400},
      {"5\r\nhello\r0\r\n\r\n", 400},
      {"5\r\nhello\r\n\r\n0\r\n\r\n", 400},
      {"ffffffffffffffff0\r\n", 400},
      {"00000000000000005\r\nhello\r\n", 400},
      {"5;\r\nhello\r\n", 400},
      {"5;;a\r\nhello\r\n", 400},
      {"5; a\r\nhello\r\n", 400},
      {"5;a \r\nhello\r\n", 400},
      {"5;a=\r\nhello\r\n", 400},
      {"5;a=;b\r\nhello\r\n", 400},
      {"5;=b\r\nhello\r\n", 400},
      {"5;a=b=c\r\nhello\r\n", 400},
      {"5;a=\"b\r\nhello\r\n", 400},
      {"5;a=\"b\"c\r\nhello\r\n", 400},
      {"5;a=\"\\\r\"\r\nhello\r\n", 400},
      {"5;a=b\"c\"\r\nhello\r\n", 400},
      {"5;a\nhello\r\n", 400},
      {"5;a\rb\r\nhello\r\n", 400},
      {"5;a\0\r\nhello\r\n"s, 400},
      {"5;a=\"\x01\"\r\nhello\r\n", 400},
      {"5;\x80\r\nhello\r\n", 400},
      {"0\r\n\n", 400},
      {"0\r\n\rx", 400},
      {"0\r\nA\r\n\r\n", 400},
      {"0\r\n: b\r\n\r\n", 400},
      {"0\r\nA : b\r\n\r\n", 400},
      {"0\r\n A: b\r\n\r\n", 400},
      {"0\r\nA: b\r\n c\r\n\r\n", 400},
      {"0\r\nA: b\n\r\n", 400},
      {"0\r\nA: b\rc\r\n\r\n", 400},
      {"0\r\nA: b\0\r\n\r\n"s, 400},
      {"0\r\nA: b\x7f\r\n\r\n", 400},
      {"0\r\nContent-Length: 5\r\n\r\n", 400},
      {"0\r\ncontent-LENGTH:\r\n\r\n", 400},
      {"0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"0\r\nHost: a\r\n\r\n", 400},
      {"0\r\nProxy-Authorization: a\r\n\r\n", 400},
      {"0\r\nIf-Match: a\r\n\r\n", 400},
  };
  return table;
}

}  // namespace

TEST_CASE("the chunks' data is handed out, and nothing else") {
  const auto data_of = [](const std::string& bytes) {
    return decode_pieces(bytes, [](size_t left) { return left; }).data;
  };
  CHECK_EQ(data_of("0\r\n\r\n"), "");
  CHECK_EQ(data_of("5\r\nhello\r\n1\r\n \r\n5;a=b\r\nworld\r\n0\r\nX: y\r\n\r\n"), "hello world");
  CHECK_EQ(data_of("4\r\n\r\n\r\n\r\n0\r\n\r\n"), "\r\n\r\n");
  CHECK_EQ(data_of("1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"), "abcdefghijklmnopqrstuvwxyz");
}

TEST_CASE("a body ends where the next message begins") {
  for (const std::string& body : accepted_bodies()) {
    const DecodedBody decoded =
        decode_pieces(body + "GET / HTTP/1.1\r\n", [](size_t left) { return left; });
    if (decoded.state == HttpBodyState::kError) {
      std::printf("%s: %s\n", decoded.error.reason, body.c_str());
    }
    CHECK_EQ(decoded.state, HttpBodyState::kComplete);
    CHECK_EQ(decoded.used, body.size());
  }
}

TEST_CASE("a malformed body is refused") {
  for (const Refusal& each : refused_bodies()) {
    const DecodedBody decoded = decode_pieces(each.body, [](size_t left) { return left; });
    if (decoded.state != HttpBodyState::kError) std::printf("body: %s\n", each.body.c_str());
    CHECK_EQ(decoded.state, HttpBodyState::kError);
    CHECK_EQ(decoded.error.status, each.status);
  }
}

TEST_CASE("a body cut at any byte, or into bytes, gives what it gives in one piece") {
  std::vector<std::string> bodies = accepted_bodies();
  for (const Refusal& each : refused_bodies()) bodies.push_back(each.body);
  for (const std::string& body : bodies) {
    const std::string whole = describe_body(body);
    for (size_t cut = 1; cut < body.size(); ++cut) {
      bool first = true;
      const auto next = [&](size_t left) { return std::exchange(first, false) ? cut : left; };
      CHECK_EQ(describe_body(decode_pieces(body, next)), whole);
    }
    CHECK_EQ(describe_body(decode_pieces(body, [](size_t) { return size_t{1}; })), whole);
  }
}

TEST_CASE("an unfinished body needs more at every byte") {
  for (const std::string& body : accepted_bodies()) {
    for (size_t length = 1; length < body.size(); ++length) {
      const DecodedBody decoded =
          decode_pieces(body.substr(0, length), [](size_t left) { return left; });
      CHECK_EQ(decoded.state, HttpBodyState::kNeedMore);
      CHECK_EQ(decoded.used, length);
    }
  }
}

TEST_CASE("more data than the limit is refused before it comes") {
  HttpBodyLimits limits;
  limits.body_bytes_max = 10;
  const auto status_of = [&](const std::string& body) {
    return decode_pieces(body, [](size_t left) { return left; }, limits).error.status;
  };
  CHECK_EQ(status_of("a\r\n0123456789\r\n0\r\n\r\n"), 0);
  CHECK_EQ(status_of("5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"), 0);
  CHECK_EQ(status_of("b\r\n"), 413);
  CHECK_EQ(status_of("5\r\n01234\r\n6\r\n"), 413);
  CHECK_EQ(status_of("5\r\n01234\r\nffffffffffffffff\r\n"), 413);
  limits = {};
  CHECK_EQ(status_of("ffffffffffffffff\r\n"), 0);
  CHECK_EQ(status_of("1\r\nx\r\nffffffffffffffff\r\n"), 413);
}

TEST_CASE("extensions are bounded by the data that comes with them") {
  HttpBodyLimits limits;
  limits.extension_bytes_max = 100;
  const auto status_of = [&](const std::string& body) {
    return decode_pieces(body, [](size_t left) { return left; }, limits).error.status;
  };
  // One byte of the extension is its CR.
  CHECK_EQ(status_of("1;" + std::string(99, 'a') + "\r\nx\r\n0\r\n\r\n"), 0);
  CHECK_EQ(status_of("1;" + std::string(100, 'a') + "\r\nx\r\n0\r\n\r\n"), 413);
  const std::string paid = "40;" + std::string(63, 'a') + "\r\n" + std::string(64, 'x') + "\r\n";
  const std::string unpaid = "1;" + std::string(20, 'a') + "\r\nx\r\n";
  std::string body;
  for (int i = 0; i < 1'000; ++i) body += paid;
  CHECK_EQ(status_of(body + "0\r\n\r\n"), 0);
  for (int i = 0; i < 6; ++i) body += unpaid;
  CHECK_EQ(status_of(body + "0\r\n\r\n"), 413);
}

TEST_CASE("trailers are bounded to the byte") {
  HttpBodyLimits limits;
  limits.trailer_bytes_max = 20;
  const auto status_of = [&](size_t value_bytes) {
    const std::string body = "0\r\nA: " + std::string(value_bytes, 'b') + "\r\nC: d\r\n\r\n";
    return decode_pieces(body, [](size_t left) { return left; }, limits).error.status;
  };
  CHECK_EQ(status_of(7), 0);
  CHECK_EQ(status_of(8), 431);
}

TEST_CASE("data is handed out as it comes, and where it lies") {
  ChunkedDecoder decoder;
  const std::string first = "a\r\n0123";
  const HttpBodyPart part = decoder.decode(first.data(), first.size());
  CHECK_EQ(part.state, HttpBodyState::kData);
  CHECK_EQ(part.data.in(first.data()), "0123");
  CHECK_EQ(part.used, first.size());
  CHECK_EQ(decoder.decode(first.data(), 0).state, HttpBodyState::kNeedMore);
  const std::string second = "456789\r\n0\r\n\r\nrest";
  const HttpBodyPart rest = decoder.decode(second.data(), second.size());
  CHECK_EQ(rest.data.in(second.data()), "456789");
  const HttpBodyPart last = decoder.decode(second.data() + rest.used, second.size() - rest.used);
  CHECK_EQ(last.state, HttpBodyState::kComplete);
  CHECK_EQ(rest.used + last.used, second.size() - 4);
  CHECK_EQ(decoder.body_bytes(), 10u);
  CHECK_EQ(decoder.decode("x", 1).state, HttpBodyState::kComplete);
  CHECK_EQ(decoder.decode("x", 1).used, 0u);
}

TEST_CASE("random changes of bodies do not depend on how they are cut") {
  uint64_t random = 0x2545f4914f6cdd1d;
  const std::string inserted = "\r\n\t ;=\"\\0159afx\0\x7f\x80"s;
  std::vector<std::string> bodies = accepted_bodies();
  for (const Refusal& each : refused_bodies()) bodies.push_back(each.body);
  for (uint32_t round = 0; round < 40'000; ++round) {
    std::string body = bodies[next_random(random) % bodies.size()];
    for (uint64_t changes = 1 + next_random(random) % 3; changes > 0; --changes) {
      const size_t at = next_random(random) % body.size();
      const char c = inserted[next_random(random) % inserted.size()];
      if (next_random(random) % 2 == 0) {
        body.insert(at, 1, c);
      } else {
        body[at] = c;
      }
    }
    const auto next = [&](size_t left) { return 1 + next_random(random) % left; };
    CHECK_EQ(describe_body(decode_pieces(body, next)), describe_body(body));
  }
}

}  // namespace heddle::test
