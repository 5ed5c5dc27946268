// sha256(bytes): the digest (FIPS 180-4), 32 bytes. OpenSSL is the one that Node contains.
#include <new>
#include <stdexcept>
#include <utility>

#include <openssl/evp.h>

#include "core/park.h"
#include "kernels/channel_kernels.h"

namespace heddle {

namespace {

constexpr size_t kDigestBytes = 32;
constexpr size_t kStepBytes = 128 * 1024;  // below 1 ms even without SHA instructions

// Owns the context, so that a cancelled task frees it.
struct Digest {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Digest() = default;
  ~Digest() { EVP_MD_CTX_free(context); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;
};

void require(int success) {
  if (success != 1) throw std::runtime_error("OpenSSL refused to compute SHA-256");
}

void hash(ByteSpan bytes, Value* result) {
  Digest digest;
  if (digest.context == nullptr) throw std::bad_alloc();
  require(EVP_DigestInit_ex(digest.context, EVP_sha256(), nullptr));
  for (size_t done = 0; done < bytes.length; done += kStepBytes) {
    const size_t left = bytes.length - done;
    const size_t step = left < kStepBytes ? left : kStepBytes;
    require(EVP_DigestUpdate(digest.context, bytes.data + done, step));
    checkpoint();
  }
  unsigned char* out = result->set_bytes(kDigestBytes);
  if (out == nullptr) throw std::bad_alloc();
  require(EVP_DigestFinal_ex(digest.context, out, nullptr));
}

void run(KernelCall& call) { hash(call.bytes(0), &call.result()); }

// mapBytes(from, to, close): the digest of each value, in order; what is no bytes is an error.
void run_map(KernelCall& call) {
  const ValueChannel from(call.at(0));
  const ValueChannel to(call.at(1));
  const CloseAtEnd close(call, 1);
  double count = 0;
  for (Value value; from.receive(&value); ++count) {
    if (!value.is_bytes()) {
      throw std::invalid_argument("expected bytes from the channel, got another value");
    }
    Value digest;
    hash(value.bytes(), &digest);
    to.send(std::move(digest));
  }
  call.result().set_number(count);
}

}  // namespace

const Kernel kSha256Kernel = {
    "sha256", run, StackClass::kStandard, 1, {{"bytes", ArgumentKind::kBytes}}};
const Kernel kMapBytesKernel = {"mapBytes",
                                run_map,
                                StackClass::kStandard,
                                3,
                                {{"from", ArgumentKind::kChannel},
                                 {"to", ArgumentKind::kChannel},
                                 {"close", ArgumentKind::kBoolean, 0, 0, true}}};

}  // namespace heddle
