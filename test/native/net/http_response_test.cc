// Response heads: their lines, which framing they get, and what is refused.
#include "net/http_response.h"

#include <string>
#include <vector>

#include "test/native/harness.h"

namespace heddle::test {

namespace {

using std::string_literals::operator""s;

struct Response {
  HttpWritten written;
  std::string text;
};

Response write(const HttpResponseHead& head, size_t capacity = 4096) {
  Response response;
  std::vector<char> buffer(capacity);
  response.written = write_response_head(head, buffer.data(), capacity);
  if (response.written.status == HttpWriteStatus::kWritten) {
    response.text.assign(buffer.data(), response.written.length);
  }
  return response;
}

Response write_with(const HttpResponseHeader& header, HttpResponseHead head = {}) {
  head.headers = &header;
  head.header_count = 1;
  return write(head);
}

HttpResponseHead with_framing(uint16_t status, HttpFraming framing, uint64_t length = 0) {
  HttpResponseHead head;
  head.status = status;
  head.framing = framing;
  head.content_length = length;
  return head;
}

}  // namespace

TEST_CASE("a head has its status, its framing, and the headers in order") {
  const HttpResponseHeader headers[] = {{"content-type", "text/plain"}, {"X-Empty", ""}};
  HttpResponseHead head = with_framing(200, HttpFraming::kLength, 12);
  head.headers = headers;
  head.header_count = 2;
  head.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  const Response response = write(head);
  CHECK_EQ(response.text,
           "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 12\r\n"
           "content-type: text/plain\r\nX-Empty: \r\n\r\n");
  CHECK(response.written.has_body);
  CHECK(response.written.keep_alive);
  CHECK_EQ(response.written.framing, HttpFraming::kLength);
}

TEST_CASE("the reason phrase is the usual one unless another is given") {
  CHECK_EQ(write(with_framing(404, HttpFraming::kLength)).text,
           "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
  CHECK_EQ(write(with_framing(599, HttpFraming::kLength)).text,
           "HTTP/1.1 599 \r\ncontent-length: 0\r\n\r\n");
  HttpResponseHead head = with_framing(200, HttpFraming::kLength);
  head.reason = "Fine so far";
  CHECK_EQ(write(head).text, "HTTP/1.1 200 Fine so far\r\ncontent-length: 0\r\n\r\n");
  for (const uint16_t status : {400, 413, 414, 417, 431, 501, 505}) {
    CHECK(!reason_phrase(status).empty());
  }
}

TEST_CASE("the framing of a body is written, and none where there may be no body") {
  const auto text_of = [](uint16_t status, HttpFraming framing) {
    return write(with_framing(status, framing, 5)).text;
  };
  CHECK_EQ(text_of(200, HttpFraming::kChunked),
           "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  CHECK_EQ(text_of(200, HttpFraming::kNone), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
  CHECK_EQ(text_of(100, HttpFraming::kLength), "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK_EQ(text_of(101, HttpFraming::kNone),
           "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\n");
  CHECK_EQ(text_of(204, HttpFraming::kLength), "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK_EQ(text_of(204, HttpFraming::kChunked), "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK_EQ(text_of(304, HttpFraming::kLength), "HTTP/1.1 304 Not Modified\r\n\r\n");
  for (const uint16_t status : {100, 101, 204, 304}) {
    const Response response = write(with_framing(status, HttpFraming::kChunked));
    CHECK(!response.written.has_body);
    CHECK(response.written.keep_alive);
    CHECK_EQ(response.written.framing, HttpFraming::kNone);
  }
  CHECK(!write(with_framing(200, HttpFraming::kLength, 0)).written.has_body);
  CHECK(!write(with_framing(200, HttpFraming::kNone)).written.keep_alive);
}

TEST_CASE("an answer to HEAD is the head of an answer to GET") {
  for (const HttpFraming framing : {HttpFraming::kLength, HttpFraming::kChunked}) {
    HttpResponseHead head = with_framing(200, framing, 5);
    const Response get = write(head);
    head.answers_head = true;
    const Response answer = write(head);
    CHECK_EQ(answer.text, get.text);
    CHECK(get.written.has_body);
    CHECK(!answer.written.has_body);
  }
  HttpResponseHead head = with_framing(200, HttpFraming::kNone);
  head.answers_head = true;
  CHECK_EQ(write(head).text, "HTTP/1.1 200 OK\r\n\r\n");
}

TEST_CASE("the connection line says what differs from the version's default") {
  HttpResponseHead head;
  CHECK_EQ(write(head).text, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  head.keep_alive = false;
  CHECK_EQ(write(head).text, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  head.minor_version = 0;
  CHECK_EQ(write(head).text, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  head.keep_alive = true;
  CHECK_EQ(write(head).text,
           "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n");
}

TEST_CASE("a client of HTTP/1.0 gets no chunks, and the end of the connection instead") {
  HttpResponseHead head = with_framing(200, HttpFraming::kChunked);
  head.minor_version = 0;
  const Response response = write(head);
  CHECK_EQ(response.text, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
  CHECK_EQ(response.written.framing, HttpFraming::kNone);
  CHECK(response.written.has_body);
  CHECK(!response.written.keep_alive);
}

TEST_CASE("a header that would inject another is refused and named") {
  const std::string bad_values[] = {"a\r\nb: c", "a\r", "\na", "a\0b"s, "\x7f", "\x01", "\x1f"};
  for (const std::string& value : bad_values) {
    const HttpResponseHeader headers[] = {{"a", "b"}, {"x", value}, {"c", "d"}};
    HttpResponseHead head;
    head.headers = headers;
    head.header_count = 3;
    const Response response = write(head);
    CHECK_EQ(response.written.status, HttpWriteStatus::kBadValue);
    CHECK_EQ(response.written.header_index, 1u);
    CHECK_EQ(response.written.length, 0u);
  }
  for (const std::string& name : {""s, "a b"s, "a:"s, "a\r\n"s, "\xc3\xa4"s, "a\0"s, "a "s}) {
    CHECK_EQ(write_with({name, "x"}).written.status, HttpWriteStatus::kBadName);
  }
  for (const char* name : {"Content-Length", "transfer-encoding", "CONNECTION", "Keep-Alive"}) {
    CHECK_EQ(write_with({name, "x"}).written.status, HttpWriteStatus::kReservedName);
  }
  CHECK_EQ(write_with({"a", "tab\t, space and \x80\xff"}).written.status,
           HttpWriteStatus::kWritten);
}

TEST_CASE("every byte of a value is looked at, wherever it stands") {
  for (size_t length = 1; length <= 40; ++length) {
    for (size_t at = 0; at < length; ++at) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        std::string value(length, 'a');
        value[at] = static_cast<char>(byte);
        const bool is_good = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        const auto expected = is_good ? HttpWriteStatus::kWritten : HttpWriteStatus::kBadValue;
        CHECK_EQ(write_with({"x", value}).written.status, expected);
      }
    }
  }
}

TEST_CASE("a status or a reason that is none is refused") {
  for (const uint16_t status : {0, 99, 600, 1000}) {
    CHECK_EQ(write(with_framing(status, HttpFraming::kLength)).written.status,
             HttpWriteStatus::kBadStatus);
  }
  HttpResponseHead head;
  head.reason = "OK\r\nSet-Cookie: a";
  CHECK_EQ(write(head).written.status, HttpWriteStatus::kBadReason);
}

TEST_CASE("a buffer that is too small is left alone beyond its end, and its need is told") {
  const HttpResponseHeader header{"name", "value"};
  HttpResponseHead head = with_framing(200, HttpFraming::kLength, 123);
  head.headers = &header;
  head.header_count = 1;
  const size_t needed = write(head).written.length;
  for (size_t capacity = 0; capacity < needed; ++capacity) {
    const Response response = write(head, capacity);
    CHECK_EQ(response.written.status, HttpWriteStatus::kTooSmall);
    CHECK_EQ(response.written.length, needed);
  }
  CHECK_EQ(write(head, needed).written.status, HttpWriteStatus::kWritten);
}

TEST_CASE("a chunk header is its size in hex") {
  const auto header_of = [](uint64_t size) {
    char bytes[kChunkHeaderBytesMax];
    return std::string(bytes, write_chunk_header(size, bytes));
  };
  CHECK_EQ(header_of(1), "1\r\n");
  CHECK_EQ(header_of(255), "ff\r\n");
  CHECK_EQ(header_of(4096), "1000\r\n");
  CHECK_EQ(header_of(UINT64_MAX), "ffffffffffffffff\r\n");
}

}  // namespace heddle::test
