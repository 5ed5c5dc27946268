// A libFuzzer target for what reads requests; `node scripts/fuzz.mjs` builds and runs it.
//
// Invariants: how the bytes arrive changes nothing; a complete head has its views within itself,
// and written anew it is read as the same; a body is decoded alike in one piece and in many.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/random.h"
#include "test/native/net/http_support.h"

namespace heddle::test {

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "expected: %s\n", what);
  std::abort();
}

// FNV-1a of the input: the same input is cut at the same places.
uint64_t seed_of(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash | 1;
}

// Mostly small pieces, so that short inputs are cut often.
struct RandomPieces {
  uint64_t state;

  size_t operator()(size_t left) {
    const size_t longest = next_random(state) % 4 == 0 ? left : (left < 8 ? left : 8);
    return 1 + next_random(state) % longest;
  }
};

void check_body(std::string_view bytes, RandomPieces pieces) {
  HttpBodyLimits limits;
  limits.body_bytes_max = 1 << 20;
  limits.extension_bytes_max = 64;
  limits.trailer_bytes_max = 64;
  const DecodedBody cut = decode_pieces(bytes, pieces, limits);
  require(describe_body(cut) == describe_body(bytes, limits), "a body that does not mind cuts");
  require(cut.used <= bytes.size() && cut.data.size() <= cut.used, "a body from its bytes");
}

void check_rewritten(const ParsedHead& parsed, std::string_view bytes, const HttpLimits& limits) {
  HttpLimits wider = limits;
  wider.head_bytes_max *= 2;
  const std::string again = write_request(parsed.parser.head(), bytes.data());
  require(describe_head(again, wider) == describe_head(parsed, bytes.data()),
          "a head written anew that is read as the same");
}

void check_head(std::string_view bytes, const HttpLimits& limits) {
  const RandomPieces pieces{seed_of(bytes)};
  ParsedHead cut(limits);
  parse_pieces(cut, bytes, pieces);
  const std::string whole = describe_head(bytes, limits);
  require(describe_head(cut, bytes.data()) == whole, "a head that does not mind cuts");
  if (cut.progress != HttpProgress::kComplete) return;
  const HttpRequestHead& head = cut.parser.head();
  require(is_valid_head(head, bytes), "views within the head");
  check_rewritten(cut, bytes, limits);
  if (head.framing == HttpFraming::kChunked) check_body(bytes.substr(head.length), pieces);
}

}  // namespace

}  // namespace heddle::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heddle::test;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_head(bytes, {});
  check_head(bytes, {96, 24, 3, 100});
  check_body(bytes, {seed_of(bytes)});
  return 0;
}
