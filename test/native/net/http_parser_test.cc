// Request heads: what is accepted and as what, what is refused and how, and that neither depends on
// how the bytes arrive.
#include "net/http_parser.h"

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
  std::string request;
  uint16_t status;
};

// A request with these lines behind its request line and Host.
std::string with_lines(const std::string& lines) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n";
}

std::string with_target(const std::string& target, const std::string& method = "GET") {
  return method + " " + target + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

std::string with_host(const std::string& host) {
  return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
}

const std::vector<Refusal>& refused_lines() {
  static const std::vector<Refusal> table = {
      {"G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"G\xc3T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
      {"GET /\r\nHost: a\r\n\r\n", 400},
      {"GET\r\n\r\n", 400},
      {"GET / \r\n\r\n", 400},
      {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/11.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTPP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/+1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505},
      {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {std::string(33, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"GET / HTTP/1.1\rHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n\rX", 400},
      {with_lines("A: b\rc\r\n"), 400},
      {with_lines("A: b\0c\r\n"s), 400},
      {with_lines("A: b\x01\r\n"), 400},
      {with_lines("A: b\x1f\r\n"), 400},
      {with_lines("A: b\x7f\r\n"), 400},
      {with_lines("A: b\r\n c\r\n"), 400},
      {with_lines("A: b\r\n\tc\r\n"), 400},
      {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
      {with_lines("A : b\r\n"), 400},
      {with_lines("A\t: b\r\n"), 400},
      {with_lines(": b\r\n"), 400},
      {with_lines("A\r\n"), 400},
      {with_lines("A b: c\r\n"), 400},
      {with_lines("A(b): c\r\n"), 400},
      {with_lines("A\0: c\r\n"s), 400},
      {with_lines("\xc3\xa4: c\r\n"), 400},
      {with_lines("A\x0b: c\r\n"), 400},
  };
  return table;
}

const std::vector<Refusal>& refused_framing() {
  static const std::vector<Refusal> table = {
      {with_lines("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400},
      {with_lines("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400},
      {with_lines("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
      {with_lines("Content-Length: 5\r\ncontent-length: 6\r\n"), 400},
      {with_lines("Content-Length: 5, 5\r\n"), 400},
      {with_lines("Content-Length: +5\r\n"), 400},
      {with_lines("Content-Length: -5\r\n"), 400},
      {with_lines("Content-Length: \r\n"), 400},
      {with_lines("Content-Length: 0x5\r\n"), 400},
      {with_lines("Content-Length: 5 5\r\n"), 400},
      {with_lines("Content-Length: 5.0\r\n"), 400},
      {with_lines("Content-Length: \"5\"\r\n"), 400},
      {with_lines("Content-Length: 18446744073709551616\r\n"), 413},
      {with_lines("Content-Length: " + std::string(400, '9') + "\r\n"), 413},
      {with_lines("Transfer-Encoding: gzip, chunked\r\n"), 501},
      {with_lines("Transfer-Encoding: gzip\r\n"), 400},
      {with_lines("Transfer-Encoding: identity\r\n"), 400},
      {with_lines("Transfer-Encoding: chunked, gzip\r\n"), 400},
      {with_lines("Transfer-Encoding: chunked, chunked\r\n"), 400},
      {with_lines("Transfer-Encoding: chunked,\r\n"), 400},
      {with_lines("Transfer-Encoding: , chunked\r\n"), 400},
      {with_lines("Transfer-Encoding: xchunked\r\n"), 400},
      {with_lines("Transfer-Encoding: chunked;q=1\r\n"), 400},
      {with_lines("Transfer-Encoding: \"chunked\"\r\n"), 400},
      {with_lines("Transfer-Encoding:\r\n"), 400},
      {with_lines("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
      {with_lines("Transfer-Encoding: \x0b"
                  "chunked\r\n"),
       400},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 400},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {with_lines("Expect: 200-ok\r\n"), 417},
      {with_lines("Expect:\r\n"), 417},
  };
  return table;
}

const std::vector<Refusal>& refused_targets() {
  static const std::vector<Refusal> table = {
      {with_target("/a#b"), 400},
      {with_target("/a\x01"), 400},
      {with_target("/a\x7f"), 400},
      {with_target("/a\tb"), 400},
      {with_target("/a\0b"s), 400},
      {with_target("/\xc3\xa4"), 400},
      {with_target("/a b"), 400},
      {with_target("a"), 400},
      {with_target("a/b"), 400},
      {with_target("*"), 400},
      {with_target("**", "OPTIONS"), 400},
      {with_target("a:80"), 400},
      {with_target("a:80", "OPTIONS"), 400},
      {with_target("/", "CONNECT"), 400},
      {with_target("a", "CONNECT"), 400},
      {with_target("a:", "CONNECT"), 400},
      {with_target(":80", "CONNECT"), 400},
      {with_target("a:99999", "CONNECT"), 400},
      {with_target("u@a:80", "CONNECT"), 400},
      {with_target("http://a:80", "CONNECT"), 400},
      {with_target("ftp://a/"), 400},
      {with_target("http:/a"), 400},
      {with_target("http://"), 400},
      {with_target("http:///a"), 400},
      {with_target("http://?a"), 400},
      {with_target("http://:80/"), 400},
      {with_target("http://u@a/"), 400},
      {with_target("http://a:b/"), 400},
      {with_target("http://[::1/"), 400},
      {with_target("http://a\\b/"), 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHOST: b\r\n\r\n", 400},
      {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"GET http://a/ HTTP/1.1\r\n\r\n", 400},
      {with_host("a b"), 400},
      {with_host("a/b"), 400},
      {with_host("u@a"), 400},
      {with_host("a:b"), 400},
      {with_host("a:80:80"), 400},
      {with_host("a:65536"), 400},
      {with_host("::1"), 400},
      {with_host("[::1"), 400},
      {with_host("[::1]x"), 400},
      {with_host("[]"), 400},
      {with_host("[a b]"), 400},
      {with_host("a%4"), 400},
      {with_host("a%zz"), 400},
      {with_host("a\\b"), 400},
      {with_host("\xc3\xa4"), 400},
  };
  return table;
}

std::vector<Refusal> all_refusals() {
  std::vector<Refusal> all;
  for (const auto* table : {&refused_lines(), &refused_framing(), &refused_targets()}) {
    for (const Refusal& each : *table) {
      all.push_back(each);
    }
  }
  return all;
}

const std::vector<std::string>& accepted_requests() {
  static const std::vector<std::string> table = {
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n",
      "get /%zz?a=\"b\"|{c}^`\\ HTTP/1.1\r\nhOsT:a:80\r\n\r\n",
      "M-SEARCH //x HTTP/1.1\r\nHost:\t [::ffff:1.2.3.4]:8080\t \r\nA:\r\nB: \t \r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
      "CONNECT a.example:443 HTTP/1.1\r\nHost: b\r\n\r\n",
      "GET HTTPS://h%20h:1?q HTTP/1.1\r\nHost: other\r\n\r\n",
      with_lines("Content-Length: 0\r\nExpect: 100-continue\r\n"),
      with_lines("Content-Length: 0018446744073709551615\r\nExpect: 100-Continue\r\n"),
      with_lines("Transfer-Encoding: Chunked\r\nExpect: 100-continue\r\n"),
      with_lines("Connection: , Upgrade ,close\r\nUpgrade: websocket\r\nUpgrade: b\r\n"),
      with_lines("Connection: keep-alive\r\nConnection: upgrade\r\n"),
      with_lines("A: tab\tand \x80\xff bytes, which are as they are\r\n!#$%&'*+-.^_`|~9: x\r\n"),
  };
  return table;
}

HttpProgress parse_whole(ParsedHead& parsed, const std::string& bytes) {
  parse_pieces(parsed, bytes, [](size_t left) { return left; });
  return parsed.progress;
}

}  // namespace

TEST_CASE("a request gives its parts as views") {
  const std::string bytes =
      "POST /a?b HTTP/1.1\r\nHost: a:80\r\nContent-Length:  12 \t\r\nX: y  z\r\n\r\nbody";
  ParsedHead parsed;
  REQUIRE(parse_whole(parsed, bytes) == HttpProgress::kComplete);
  const HttpRequestHead& head = parsed.parser.head();
  CHECK_EQ(head.length, bytes.size() - 4);
  CHECK_EQ(head.method.in(bytes.data()), "POST");
  CHECK_EQ(head.target.in(bytes.data()), "/a?b");
  CHECK_EQ(head.host.in(bytes.data()), "a:80");
  CHECK_EQ(head.minor_version, 1);
  CHECK_EQ(head.target_form, HttpTargetForm::kOrigin);
  CHECK_EQ(head.framing, HttpFraming::kLength);
  CHECK_EQ(head.content_length, 12u);
  CHECK(head.keep_alive);
  REQUIRE(head.header_count == 3);
  CHECK_EQ(head.headers[1].name.in(bytes.data()), "Content-Length");
  CHECK_EQ(head.headers[1].value.in(bytes.data()), "12");
  CHECK_EQ(head.headers[2].value.in(bytes.data()), "y  z");
}

TEST_CASE("what recipients could read differently is refused") {
  for (const Refusal& each : all_refusals()) {
    ParsedHead parsed;
    const HttpProgress progress = parse_whole(parsed, each.request);
    if (progress != HttpProgress::kError || parsed.parser.error().status != each.status) {
      std::printf("request: %s\n", each.request.c_str());
    }
    CHECK_EQ(progress, HttpProgress::kError);
    CHECK_EQ(parsed.parser.error().status, each.status);
    CHECK(std::strlen(parsed.parser.error().reason) > 0);
  }
}

TEST_CASE("what the grammar allows is accepted") {
  for (const std::string& request : accepted_requests()) {
    ParsedHead parsed;
    CHECK_EQ(parse_whole(parsed, request), HttpProgress::kComplete);
    if (parsed.progress == HttpProgress::kError) std::printf("request: %s\n", request.c_str());
    CHECK_EQ(parsed.parser.head().length, request.size());
    CHECK(is_valid_head(parsed.parser.head(), request));
  }
}

TEST_CASE("a request cut at any byte, or into bytes, gives what it gives in one piece") {
  std::vector<std::string> requests = accepted_requests();
  for (const Refusal& each : all_refusals()) requests.push_back(each.request);
  for (const std::string& request : requests) {
    const std::string whole = describe_head(request);
    for (size_t cut = 1; cut < request.size(); ++cut) {
      ParsedHead parsed;
      bool first = true;
      parse_pieces(parsed, request,
                   [&](size_t left) { return std::exchange(first, false) ? cut : left; });
      CHECK_EQ(describe_head(parsed, request.data()), whole);
    }
    ParsedHead parsed;
    parse_pieces(parsed, request, [](size_t) { return 1; });
    CHECK_EQ(describe_head(parsed, request.data()), whole);
  }
}

TEST_CASE("an unfinished head needs more at every byte") {
  for (const std::string& request : accepted_requests()) {
    for (size_t length = 0; length < request.size(); ++length) {
      CHECK_EQ(describe_head(request.substr(0, length)), "needs more");
    }
  }
}

TEST_CASE("the authority in a target goes before Host") {
  const auto host_of = [](const std::string& request) {
    ParsedHead parsed;
    if (parse_whole(parsed, request) != HttpProgress::kComplete) return "refused"s;
    return std::string(parsed.parser.head().host.in(request.data()));
  };
  CHECK_EQ(host_of("GET http://a:1/b HTTP/1.1\r\nHost: c\r\n\r\n"), "a:1");
  CHECK_EQ(host_of("GET http://a?b HTTP/1.0\r\n\r\n"), "a");
  CHECK_EQ(host_of("CONNECT [::1]:443 HTTP/1.1\r\nHost: c\r\n\r\n"), "[::1]:443");
  CHECK_EQ(host_of("OPTIONS * HTTP/1.1\r\nHost: c\r\n\r\n"), "c");
  CHECK_EQ(host_of("GET / HTTP/1.1\r\nHost: \r\n\r\n"), "");
  CHECK_EQ(host_of("GET / HTTP/1.0\r\n\r\n"), "");
}

TEST_CASE("connections are kept by default with 1.1, and on request with 1.0") {
  const auto is_kept = [](const std::string& version, const std::string& lines) {
    const std::string request = "GET / HTTP/" + version + "\r\nHost: a\r\n" + lines + "\r\n";
    ParsedHead parsed;
    CHECK_EQ(parse_whole(parsed, request), HttpProgress::kComplete);
    return parsed.parser.head().keep_alive;
  };
  CHECK(is_kept("1.1", ""));
  CHECK(is_kept("1.1", "Connection: x\r\n"));
  CHECK(!is_kept("1.1", "Connection: x, CLOSE\r\n"));
  CHECK(!is_kept("1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
  CHECK(!is_kept("1.0", ""));
  CHECK(is_kept("1.0", "Connection: x,Keep-Alive\r\n"));
  CHECK(!is_kept("1.0", "Connection: keep-alive, close\r\n"));
}

TEST_CASE("an upgrade takes both headers and HTTP/1.1") {
  const auto upgrade_of = [](const std::string& version, const std::string& lines) {
    const std::string request = "GET / HTTP/" + version + "\r\nHost: a\r\n" + lines + "\r\n";
    ParsedHead parsed;
    CHECK_EQ(parse_whole(parsed, request), HttpProgress::kComplete);
    const HttpRequestHead& head = parsed.parser.head();
    return head.upgrade_requested() ? std::string(head.upgrade.in(request.data())) : "none"s;
  };
  const std::string connection = "Connection: keep-alive, Upgrade\r\n";
  CHECK_EQ(upgrade_of("1.1", connection + "Upgrade: websocket\r\n"), "websocket");
  CHECK_EQ(upgrade_of("1.1", "Upgrade: websocket\r\n"), "none");
  CHECK_EQ(upgrade_of("1.1", connection), "none");
  CHECK_EQ(upgrade_of("1.1", connection + "Upgrade:\r\n"), "none");
  CHECK_EQ(upgrade_of("1.0", connection + "Upgrade: websocket\r\n"), "none");
}

TEST_CASE("100-continue is expected of a request that has a body, with HTTP/1.1") {
  const auto expects = [](const std::string& version, const std::string& lines) {
    const std::string request =
        "PUT / HTTP/" + version + "\r\nHost: a\r\nExpect: 100-Continue\r\n" + lines + "\r\n";
    ParsedHead parsed;
    CHECK_EQ(parse_whole(parsed, request), HttpProgress::kComplete);
    return parsed.parser.head().expects_continue;
  };
  CHECK(expects("1.1", "Content-Length: 1\r\n"));
  CHECK(expects("1.1", "Transfer-Encoding: chunked\r\n"));
  CHECK(!expects("1.1", "Content-Length: 0\r\n"));
  CHECK(!expects("1.1", ""));
  CHECK(!expects("1.0", "Content-Length: 1\r\n"));
}

TEST_CASE("pipelined requests are found one behind the other") {
  std::string bytes;
  for (const std::string& request : accepted_requests()) bytes += request;
  ParsedHead parsed;
  size_t at = 0;
  for (const std::string& request : accepted_requests()) {
    parsed.parser.reset();
    parsed.progress = parse_block(parsed.parser, std::string_view(bytes).substr(at));
    CHECK_EQ(parsed.progress, HttpProgress::kComplete);
    CHECK_EQ(describe_head(parsed, bytes.data() + at), describe_head(request));
    at += parsed.parser.head().length;
  }
  CHECK_EQ(at, bytes.size());
}

TEST_CASE("a result stays until the parser is reset") {
  ParsedHead parsed;
  const std::string good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string bad = "GET / HTTP/3.0\r\n\r\n";
  CHECK_EQ(parse_block(parsed.parser, bad), HttpProgress::kError);
  CHECK_EQ(parse_block(parsed.parser, bad + bad), HttpProgress::kError);
  CHECK_EQ(parsed.parser.error().status, 505);
  parsed.parser.reset();
  CHECK_EQ(parse_block(parsed.parser, good), HttpProgress::kComplete);
  CHECK_EQ(parse_block(parsed.parser, good + bad), HttpProgress::kComplete);
  CHECK_EQ(parsed.parser.head().length, good.size());
}

TEST_CASE("limits hold to the byte and to the header") {
  HttpLimits limits;
  const auto result = [&](const std::string& request) {
    const std::string whole = describe_head(request, limits);
    ParsedHead parsed(limits);
    parse_pieces(parsed, request, [](size_t) { return 1; });
    CHECK_EQ(describe_head(parsed, request.data()), whole);
    return parsed.progress == HttpProgress::kComplete ? 0 : parsed.parser.error().status;
  };
  const auto with_head_bytes = [](size_t length) {
    const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
    return start + std::string(length - start.size() - 4, 'b') + "\r\n\r\n";
  };
  CHECK_EQ(result(with_head_bytes(16 * 1024)), 0);
  CHECK_EQ(result(with_head_bytes(16 * 1024 + 1)), 431);
  CHECK_EQ(result(with_target("/" + std::string(8 * 1024 - 1, 'a'))), 0);
  CHECK_EQ(result(with_target("/" + std::string(8 * 1024, 'a'))), 414);
  const auto with_headers = [](size_t count) {
    std::string lines;
    for (size_t i = 1; i < count; ++i) lines += "A: b\r\n";
    return with_lines(lines);
  };
  CHECK_EQ(result(with_headers(100)), 0);
  CHECK_EQ(result(with_headers(101)), 431);
  CHECK_EQ(result(std::string(32, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
  limits = {40, 5, 2, 7};
  CHECK_EQ(result(with_head_bytes(40)), 0);
  CHECK_EQ(result(with_head_bytes(41)), 431);
  CHECK_EQ(result(with_target("/aaaa")), 0);
  CHECK_EQ(result(with_target("/aaaaa")), 414);
  limits.head_bytes_max = 100;
  CHECK_EQ(result(with_headers(2)), 0);
  CHECK_EQ(result(with_headers(3)), 431);
  CHECK_EQ(result(with_lines("Content-Length: 7\r\n")), 0);
  CHECK_EQ(result(with_lines("Content-Length: 8\r\n")), 413);
}

TEST_CASE("a head without an end is refused at the limit, wherever it stands still") {
  for (const char* start : {"", "G", "GET ", "GET /", "GET / ", "GET / HTTP/1.1\r\n",
                            "GET / HTTP/1.1\r\nA", "GET / HTTP/1.1\r\nA:"}) {
    for (const char filler : {'a', ' ', '\t', '/', '\r', '\n', '\0', '\x80'}) {
      const std::string request = start + std::string(20'000, filler);
      ParsedHead parsed;
      CHECK_EQ(parse_whole(parsed, request), HttpProgress::kError);
      ParsedHead bytewise;
      parse_pieces(bytewise, request.substr(0, 16 * 1024), [](size_t) { return 1; });
      CHECK_EQ(describe_head(bytewise, request.data()), describe_head(parsed, request.data()));
    }
  }
}

TEST_CASE("random changes of requests keep every view within the head") {
  uint64_t random = 0x9e3779b97f4a7c15;
  const std::string inserted = "\r\n\t :,#%[]@\0\x7f\x80/*0159aHGTC"s;
  std::vector<std::string> requests = accepted_requests();
  for (const Refusal& each : all_refusals()) requests.push_back(each.request);
  uint32_t accepted = 0;
  for (uint32_t round = 0; round < 40'000; ++round) {
    std::string request = requests[next_random(random) % requests.size()];
    for (uint64_t changes = 1 + next_random(random) % 3; changes > 0; --changes) {
      const size_t at = next_random(random) % (request.size() + 1);
      const char c = inserted[next_random(random) % inserted.size()];
      switch (next_random(random) % 3) {
        case 0:
          request.insert(at, 1, c);
          break;
        case 1:
          if (at < request.size()) request[at] = c;
          break;
        default:
          if (at < request.size()) request.erase(at, 1);
          break;
      }
    }
    ParsedHead parsed;
    parse_pieces(parsed, request, [&](size_t left) { return 1 + next_random(random) % left; });
    CHECK_EQ(describe_head(parsed, request.data()), describe_head(request));
    if (parsed.progress != HttpProgress::kComplete) continue;
    ++accepted;
    CHECK(is_valid_head(parsed.parser.head(), request));
  }
  CHECK(accepted > 1'000);
}

}  // namespace heddle::test
