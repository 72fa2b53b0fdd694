// The checksums by which the Hub names files, over OpenSSL's libcrypto.
#ifndef LLMQ_HUB_DIGEST_H_
#define LLMQ_HUB_DIGEST_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace llmq {

enum class DigestKind {
  kSha256,   // of the bytes: files in LFS
  kGitBlob,  // SHA-1 of "blob <size>\0" and the bytes: files in git itself
};

class Digest {
 public:
  Digest(DigestKind kind, uint64_t size);  // bytes that will come
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void Update(std::span<const std::byte> bytes);
  void Restart();        // as if nothing had come
  std::string Finish();  // hexadecimal digits; then only Restart()

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmq

#endif  // LLMQ_HUB_DIGEST_H_
