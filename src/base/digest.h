// The checksums by which others name what they publish, over OpenSSL's libcrypto. Files of our own
// are summed by Checksum64 (base/bytes.h).
#ifndef LLMQ_BASE_DIGEST_H_
#define LLMQ_BASE_DIGEST_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace llmq {

enum class DigestKind {
  kSha256,   // of the bytes: files of the Hub in LFS
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

std::string Sha256Hex(std::string_view bytes);  // 64 hexadecimal digits

}  // namespace llmq

#endif  // LLMQ_BASE_DIGEST_H_
