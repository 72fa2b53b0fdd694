// SHA-256 (FIPS 180-4), for comparing with published digests. Not for secrets, not for speed: files
// of the formats are summed by Checksum64 (base/bytes.h).
#ifndef LLMQ_BASE_SHA256_H_
#define LLMQ_BASE_SHA256_H_

#include <string>
#include <string_view>

namespace llmq {

// The digest as 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view bytes);

}  // namespace llmq

#endif  // LLMQ_BASE_SHA256_H_
