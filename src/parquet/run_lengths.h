// Parquet's hybrid of run lengths and packed bits: levels, dictionary indices, truth values.
#ifndef LLMQ_PARQUET_RUN_LENGTHS_H_
#define LLMQ_PARQUET_RUN_LENGTHS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llmq {

// `count` numbers of `bits` (0 to 32) bits each. The caller has made sure that `count` is bearable:
// a run of any length takes a few bytes. Throws Error{kGeneral}.
std::vector<uint32_t> DecodeRunLengths(std::span<const std::byte> bytes, int bits, size_t count,
                                       const std::string& where);

// `count` numbers of `bits` bits, the lowest bits of the first byte first.
std::vector<uint32_t> UnpackBits(std::span<const std::byte> bytes, int bits, size_t count,
                                 const std::string& where);

}  // namespace llmq

#endif  // LLMQ_PARQUET_RUN_LENGTHS_H_
