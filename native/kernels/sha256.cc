// sha256(bytes): the digest (FIPS 180-4), 32 bytes. OpenSSL is the one that Node contains.
#include <new>
#include <stdexcept>

#include <openssl/evp.h>

#include "core/park.h"
#include "kernels/kernel.h"

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

void run(KernelCall& call) {
  const ByteSpan bytes = call.bytes(0);
  Digest digest;
  if (digest.context == nullptr) throw std::bad_alloc();
  require(EVP_DigestInit_ex(digest.context, EVP_sha256(), nullptr));
  for (size_t done = 0; done < bytes.length; done += kStepBytes) {
    const size_t left = bytes.length - done;
    const size_t step = left < kStepBytes ? left : kStepBytes;
    require(EVP_DigestUpdate(digest.context, bytes.data + done, step));
    checkpoint();
  }
  unsigned char* out = call.result().set_bytes(kDigestBytes);
  if (out == nullptr) throw std::bad_alloc();
  require(EVP_DigestFinal_ex(digest.context, out, nullptr));
}

}  // namespace

const Kernel kSha256Kernel = {
    "sha256", run, StackClass::kStandard, 1, {{"bytes", ArgumentKind::kBytes}}};

}  // namespace heddle
