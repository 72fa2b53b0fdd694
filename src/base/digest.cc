#include "base/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <new>

#include "base/bytes.h"
#include "llmq/error.h"

namespace llmq {
namespace {

// libcrypto refuses only what a machine's policy forbids, SHA-1 in the strictest of them.
void Check(int outcome) {
  if (outcome == 1) return;
  throw Error(ErrorCode::kGeneral, "libcrypto: expected SHA-1 and SHA-256, found them disabled",
              "Allow them in the machine's OpenSSL configuration");
}

}  // namespace

struct Digest::State {
  DigestKind kind;
  uint64_t size;
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free};
};

Digest::Digest(DigestKind kind, uint64_t size)
    : state_(std::make_unique<State>(State{.kind = kind, .size = size})) {
  if (!state_->context) throw std::bad_alloc();
  Restart();
}

Digest::~Digest() = default;

void Digest::Restart() {
  const bool git = state_->kind == DigestKind::kGitBlob;
  Check(EVP_DigestInit_ex(state_->context.get(), git ? EVP_sha1() : EVP_sha256(), nullptr));
  if (!git) return;
  std::string head = fmt::format("blob {}", state_->size);
  head.push_back('\0');
  Update(AsBytes(head));
}

void Digest::Update(std::span<const std::byte> bytes) {
  Check(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()));
}

std::string Digest::Finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> value = {};
  unsigned length = 0;
  Check(EVP_DigestFinal_ex(state_->context.get(), value.data(), &length));
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", value[i]);
  return hex;
}

std::string Sha256Hex(std::string_view bytes) {
  Digest digest(DigestKind::kSha256, bytes.size());
  digest.Update(AsBytes(bytes));
  return digest.Finish();
}

}  // namespace llmq
