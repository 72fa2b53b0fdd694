// What a Parquet file says about itself, and a page about itself: parquet.thrift's structs, as far
// as rows need them.
//
// Before: thrift_reader.h. After: parquet_schema.h makes columns of the schema, column_reader.h
// reads their pages.
#ifndef LLMQ_PARQUET_PARQUET_METADATA_H_
#define LLMQ_PARQUET_PARQUET_METADATA_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace llmq {

// Numbers of parquet.thrift: do not renumber.
enum class ParquetType {
  kBoolean = 0,
  kInt32 = 1,
  kInt64 = 2,
  kInt96 = 3,
  kFloat = 4,
  kDouble = 5,
  kByteArray = 6,
  kFixedLenByteArray = 7,
};
enum class ParquetRepetition { kRequired = 0, kOptional = 1, kRepeated = 2 };
enum class ParquetCodec { kUncompressed = 0, kSnappy = 1, kGzip = 2, kZstd = 6 };
enum class ParquetEncoding { kPlain = 0, kPlainDictionary = 2, kRle = 3, kRleDictionary = 8 };
enum class ParquetPageType { kData = 0, kIndex = 1, kDictionary = 2, kDataV2 = 3 };

// A node of the schema's tree, which is stored depth first.
struct ParquetElement {
  std::string name;
  std::optional<int64_t> type;  // of a leaf: ParquetType
  ParquetRepetition repetition = ParquetRepetition::kRequired;
  int64_t children = 0;
  bool is_list = false;
  bool is_readable = true;  // its values are texts or numbers as they are stored
};

struct ParquetChunk {
  int64_t codec = 0;  // ParquetCodec, or another one's number
  int64_t values = 0;
  int64_t begin = 0;  // of its first page in the file
  int64_t bytes = 0;  // of all its pages, compressed
};

struct ParquetRowGroup {
  int64_t rows = 0;
  std::vector<ParquetChunk> chunks;  // [leaves of the schema]
};

struct ParquetMetadata {
  std::vector<ParquetElement> schema;
  int64_t rows = 0;
  std::vector<ParquetRowGroup> row_groups;
};

struct ParquetPage {
  int64_t type = -1;   // ParquetPageType
  int64_t bytes = -1;  // as they are stored
  int64_t uncompressed_bytes = -1;
  std::optional<uint32_t> crc;  // CRC-32 of the stored bytes
  int64_t values = -1;          // of levels or of the dictionary
  int64_t encoding = -1;        // ParquetEncoding, or another one's number
  int64_t definition_encoding = static_cast<int64_t>(ParquetEncoding::kRle);
  int64_t repetition_encoding = static_cast<int64_t>(ParquetEncoding::kRle);
  // Version 2 only.
  int64_t definition_bytes = 0;
  int64_t repetition_bytes = 0;
  bool is_compressed = true;
};

// `file` is the whole file, `where` its name. Both throw Error{kGeneral}.
ParquetMetadata ReadParquetMetadata(std::span<const std::byte> file, const std::string& where);
// The header at the beginning of `bytes`, and how many bytes it has.
std::pair<ParquetPage, uint64_t> ReadParquetPage(std::span<const std::byte> bytes,
                                                 const std::string& where);

}  // namespace llmq

#endif  // LLMQ_PARQUET_PARQUET_METADATA_H_
