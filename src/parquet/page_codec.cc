#include "parquet/page_codec.h"

#include <fmt/format.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <limits>

#include "llmq/error.h"
#include "parquet/parquet_metadata.h"

namespace llmq {
namespace {

using Bytes = std::span<const std::byte>;

// Each fills `out` and says whether it has the right size.

bool FromSnappy(Bytes bytes, std::span<std::byte> out) {
  const char* data = reinterpret_cast<const char*>(bytes.data());
  size_t length = 0;
  return snappy::GetUncompressedLength(data, bytes.size(), &length) && length == out.size() &&
         snappy::RawUncompress(data, bytes.size(), reinterpret_cast<char*>(out.data()));
}

bool FromGzip(Bytes bytes, std::span<std::byte> out) {
  constexpr int kGzipOrZlib = 15 + 32;
  constexpr size_t kMost = std::numeric_limits<uInt>::max();
  if (bytes.size() > kMost || out.size() > kMost) return false;
  z_stream stream = {};
  if (inflateInit2(&stream, kGzipOrZlib) != Z_OK) return false;
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int end = inflate(&stream, Z_FINISH);
  const bool whole = end == Z_STREAM_END && stream.avail_out == 0 && stream.avail_in == 0;
  inflateEnd(&stream);
  return whole;
}

bool FromZstd(Bytes bytes, std::span<std::byte> out) {
  const size_t length = ZSTD_decompress(out.data(), out.size(), bytes.data(), bytes.size());
  return !ZSTD_isError(length) && length == out.size();
}

const char* CodecName(int64_t codec) {
  switch (codec) {
    case 3: return "LZO";
    case 4: return "BROTLI";
    case 5: return "LZ4";
    case 7: return "LZ4_RAW";
    default: return "an unknown codec";
  }
}

}  // namespace

void CheckPageCodec(int64_t codec, const std::string& where) {
  switch (static_cast<ParquetCodec>(codec)) {
    case ParquetCodec::kUncompressed:
    case ParquetCodec::kSnappy:
    case ParquetCodec::kGzip:
    case ParquetCodec::kZstd: return;
  }
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: expected compression by SNAPPY, GZIP, ZSTD or none, found {}", where,
                          CodecName(codec)),
              "Write the file again with one of these, or as JSONL");
}

std::vector<std::byte> DecompressPage(int64_t codec, Bytes bytes, uint64_t size,
                                      const std::string& where) {
  if (size == 0) return {};  // some writers compress nothing to nothing
  std::vector<std::byte> out(size);
  bool whole = false;
  switch (static_cast<ParquetCodec>(codec)) {
    case ParquetCodec::kUncompressed:
      whole = bytes.size() == size;
      if (whole) out.assign(bytes.begin(), bytes.end());
      break;
    case ParquetCodec::kSnappy: whole = FromSnappy(bytes, out); break;
    case ParquetCodec::kGzip: whole = FromGzip(bytes, out); break;
    case ParquetCodec::kZstd: whole = FromZstd(bytes, out); break;
  }
  if (whole) return out;
  throw Error(
      ErrorCode::kGeneral,
      fmt::format("{}: expected compressed bytes that give {} bytes, found others", where, size),
      "The file is damaged; fetch it again");
}

uint32_t Crc32(Bytes bytes) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace llmq
