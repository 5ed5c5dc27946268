// What the HTTP layer makes of raw requests, as JSON: the side of the comparison with node:http
// that is ours. Not a test of its own; test/process/http-oracle.test.ts builds and runs it.
//
// Standard input: connections, each as its length in decimal, a line feed, and its bytes. Standard
// output: one line for each, with its messages, and how it ended: "end" (nothing is left), "more"
// (a message is not finished), "closed" (what is left is no request), or the error. Strings
// hold bytes as U+0000 to U+00FF.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/http_body.h"
#include "net/http_parser.h"

namespace heddle::test {

namespace {

void append_string(std::string& out, std::string_view bytes) {
  out += '"';
  for (const char c : bytes) {
    char escaped[8];
    const auto byte = static_cast<unsigned>(static_cast<unsigned char>(c));
    std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
    out += escaped;
  }
  out += '"';
}

void append_member(std::string& out, const char* name, std::string_view bytes) {
  out.append("\"").append(name).append("\":");
  append_string(out, bytes);
  out += ',';
}

enum class Body { kWhole, kUnfinished, kRefused };

struct Message {
  std::string_view rest;  // behind the head, then behind the body
  std::string body;
  HttpError error;
};

Body read_body(const HttpRequestHead& head, Message& message) {
  if (head.framing != HttpFraming::kChunked) {
    if (message.rest.size() < head.content_length) return Body::kUnfinished;
    message.body = message.rest.substr(0, head.content_length);
    message.rest.remove_prefix(head.content_length);
    return Body::kWhole;
  }
  ChunkedDecoder decoder;
  for (;;) {
    const HttpBodyPart part = decoder.decode(message.rest.data(), message.rest.size());
    message.body.append(part.data.in(message.rest.data()));
    message.rest.remove_prefix(part.used);
    message.error = decoder.error();
    if (part.state == HttpBodyState::kComplete) return Body::kWhole;
    if (part.state == HttpBodyState::kNeedMore) return Body::kUnfinished;
    if (part.state == HttpBodyState::kError) return Body::kRefused;
  }
}

void append_message(std::string& out, const HttpRequestHead& head, const char* data,
                    std::string_view body) {
  out += '{';
  append_member(out, "method", head.method.in(data));
  append_member(out, "url", head.target.in(data));
  append_member(out, "version", head.minor_version == 1 ? "1.1" : "1.0");
  append_member(out, "body", body);
  out += "\"headers\":[";
  for (uint32_t i = 0; i < head.header_count; ++i) {
    if (i > 0) out += ',';
    append_string(out, head.headers[i].name.in(data));
    out += ',';
    append_string(out, head.headers[i].value.in(data));
  }
  out += "]},";
}

std::string error_text(const HttpError& error) {
  return std::to_string(error.status) + " " + error.reason;
}

// Appends the messages; how the connection ended.
std::string read_connection(std::string_view bytes, std::string& out) {
  HttpHeader headers[100];
  HttpParser parser(headers);
  while (!bytes.empty()) {
    parser.reset();
    const HttpProgress progress = parser.parse(bytes.data(), bytes.size());
    if (progress == HttpProgress::kError) return error_text(parser.error());
    if (progress == HttpProgress::kNeedMore) return "more";
    const HttpRequestHead& head = parser.head();
    Message message{bytes.substr(head.length), {}, {}};
    const Body body = read_body(head, message);
    if (body == Body::kRefused) return error_text(message.error);
    if (body == Body::kUnfinished) return "more";
    append_message(out, head, bytes.data(), message.body);
    // What follows CONNECT or an upgrade may be of another protocol.
    const bool is_tunnel = head.target_form == HttpTargetForm::kAuthority;
    if (!head.keep_alive || is_tunnel || head.upgrade_requested()) return "closed";
    bytes = message.rest;
  }
  return "end";
}

void print_connection(const std::string& bytes) {
  std::string line = "{\"messages\":[";
  const std::string end = read_connection(bytes, line);
  if (line.back() == ',') line.pop_back();
  line.append("],\"end\":\"").append(end).append("\"}");
  std::puts(line.c_str());
}

int print_all() {
  unsigned long length = 0;
  while (std::scanf("%lu", &length) == 1) {
    if (std::getchar() != '\n') return EXIT_FAILURE;
    std::string bytes(length, '\0');
    if (std::fread(bytes.data(), 1, length, stdin) != length) return EXIT_FAILURE;
    print_connection(bytes);
  }
  return std::feof(stdin) != 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

}  // namespace heddle::test

int main() { return heddle::test::print_all(); }
