// The compression of Parquet's pages: the only file that sees zlib, Snappy and Zstandard.
#ifndef LLMQ_PARQUET_PAGE_CODEC_H_
#define LLMQ_PARQUET_PAGE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llmq {

// The codec of this number (ParquetCodec) is one of those that are built in. Throws Error{kGeneral}
// with its name if not.
void CheckPageCodec(int64_t codec, const std::string& where);

// `bytes` decompressed, which must give `size` bytes exactly. Memory is taken for `size`: the
// caller has made sure that it is bearable. Throws Error{kGeneral}.
std::vector<std::byte> DecompressPage(int64_t codec, std::span<const std::byte> bytes,
                                      uint64_t size, const std::string& where);

// CRC-32 as of gzip.
uint32_t Crc32(std::span<const std::byte> bytes);

}  // namespace llmq

#endif  // LLMQ_PARQUET_PAGE_CODEC_H_
