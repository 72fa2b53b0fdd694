#include "parquet/column_reader.h"

#include <fmt/format.h>

#include <bit>
#include <utility>

#include "base/bytes.h"
#include "llmq/error.h"
#include "parquet/page_codec.h"
#include "parquet/run_lengths.h"

namespace llmq {
namespace {

using Bytes = std::span<const std::byte>;

[[noreturn]] void Fail(const std::string& where, const std::string& what,
                       const std::string& suggestion = "The file is damaged; fetch it again") {
  throw Error(ErrorCode::kGeneral, where + ": " + what, suggestion);
}

constexpr const char* kRewrite =
    "Write the file again with plain or dictionary encoding, or as JSONL";

std::string EncodingName(int64_t encoding) {
  switch (encoding) {
    case 4: return "BIT_PACKED";
    case 5: return "DELTA_BINARY_PACKED";
    case 6: return "DELTA_LENGTH_BYTE_ARRAY";
    case 7: return "DELTA_BYTE_ARRAY";
    case 9: return "BYTE_STREAM_SPLIT";
    default: return fmt::format("number {}", encoding);
  }
}

// Appends `count` values as encoding PLAIN has them.
void AppendPlain(Bytes bytes, ParquetType type, size_t count, const std::string& where,
                 std::vector<ParquetValue>& out) {
  if (type == ParquetType::kBoolean) {
    for (const uint32_t bit : UnpackBits(bytes, 1, count, where)) out.emplace_back(bit != 0);
    return;
  }
  ByteReader reader(bytes, where);
  for (size_t i = 0; i < count; ++i) {
    switch (type) {
      case ParquetType::kInt32: out.emplace_back(int64_t{reader.Read<int32_t>()}); break;
      case ParquetType::kInt64: out.emplace_back(reader.Read<int64_t>()); break;
      case ParquetType::kFloat: out.emplace_back(double{reader.Read<float>()}); break;
      case ParquetType::kDouble: out.emplace_back(reader.Read<double>()); break;
      default: out.emplace_back(AsText(reader.Take(reader.Read<uint32_t>())));
    }
  }
}

class ChunkReader {
 public:
  ChunkReader(const ParquetChunk& chunk, const ParquetLeaf& leaf, ReadBudget& budget,
              const std::string& where)
      : chunk_(chunk), leaf_(leaf), budget_(budget), where_(where) {}

  ColumnData Run(Bytes bytes) {
    CheckLeaf();
    const auto wanted = static_cast<uint64_t>(chunk_.values);
    while (data_.definitions.size() < wanted) {
      const auto [page, header_bytes] = ReadParquetPage(bytes, where_);
      bytes = bytes.subspan(header_bytes);
      if (page.bytes < 0 || static_cast<uint64_t>(page.bytes) > bytes.size() ||
          page.uncompressed_bytes < 0) {
        Fail(where_, fmt::format("expected a page inside the column's {} bytes, found one of {}",
                                 bytes.size(), page.bytes));
      }
      const Bytes stored = bytes.first(static_cast<size_t>(page.bytes));
      bytes = bytes.subspan(stored.size());
      budget_.Spend(header_bytes + stored.size(), where_);
      ReadPage(page, stored);
    }
    if (data_.definitions.size() > wanted) {
      Fail(where_, fmt::format("expected {} values in all pages, found more", wanted));
    }
    return std::move(data_);
  }

 private:
  void CheckLeaf() const {
    CheckPageCodec(chunk_.codec, where_);
    if (!leaf_.is_readable || leaf_.type == ParquetType::kInt96 ||
        leaf_.type == ParquetType::kFixedLenByteArray) {
      Fail(where_,
           "expected texts, truth values, signed integers or floating-point numbers, found "
           "another type",
           "Write the column again as one of these");
    }
  }

  void ReadPage(const ParquetPage& page, Bytes stored) {
    if (page.crc && *page.crc != Crc32(stored)) {
      Fail(where_, "expected a page's bytes as its checksum says, found others");
    }
    switch (static_cast<ParquetPageType>(page.type)) {
      case ParquetPageType::kData: return ReadVersion1(page, stored);
      case ParquetPageType::kDataV2: return ReadVersion2(page, stored);
      case ParquetPageType::kDictionary: return ReadDictionary(page, stored);
      case ParquetPageType::kIndex: return;
    }
    Fail(where_, fmt::format("expected a page's type, found {}", page.type));
  }

  // Every entry costs its levels and at most one value; pages of no bytes may have many.
  size_t TakeCount(const ParquetPage& page) {
    constexpr uint64_t kBytesPerEntry = 2 * sizeof(uint32_t) + sizeof(ParquetValue);
    if (page.values < 0 || page.values > INT32_MAX) {
      Fail(where_, fmt::format("expected a page's number of values, found {}", page.values));
    }
    const auto count = static_cast<uint64_t>(page.values);
    budget_.Spend(count * kBytesPerEntry, where_);
    return count;
  }

  // The page's bytes in the clear, which stay as long as the values.
  Bytes Uncompressed(Bytes stored, int64_t size) {
    if (static_cast<ParquetCodec>(chunk_.codec) == ParquetCodec::kUncompressed) return stored;
    budget_.Spend(static_cast<uint64_t>(size), where_);
    return data_.pages.emplace_back(
        DecompressPage(chunk_.codec, stored, static_cast<uint64_t>(size), where_));
  }

  // Where all levels must be 0, none are written.
  std::vector<uint32_t> Levels(Bytes bytes, uint32_t most, size_t count) const {
    if (most == 0) return std::vector<uint32_t>(count, 0);
    std::vector<uint32_t> levels = DecodeRunLengths(bytes, std::bit_width(most), count, where_);
    for (const uint32_t level : levels) {
      if (level > most)
        Fail(where_, fmt::format("expected levels up to {}, found {}", most, level));
    }
    return levels;
  }

  // Version 1 writes the length of the levels before them.
  std::vector<uint32_t> LevelsWithLength(ByteReader& reader, int64_t encoding, uint32_t most,
                                         size_t count) const {
    if (most == 0) return Levels({}, most, count);
    if (encoding != static_cast<int64_t>(ParquetEncoding::kRle)) {
      Fail(where_, fmt::format("expected levels in RLE, found {}", EncodingName(encoding)),
           kRewrite);
    }
    return Levels(reader.Take(reader.Read<uint32_t>()), most, count);
  }

  void ReadVersion1(const ParquetPage& page, Bytes stored) {
    const size_t count = TakeCount(page);
    const Bytes bytes = Uncompressed(stored, page.uncompressed_bytes);
    ByteReader reader(bytes, where_);
    const auto repetitions =
        LevelsWithLength(reader, page.repetition_encoding, leaf_.max_repetition, count);
    const auto definitions =
        LevelsWithLength(reader, page.definition_encoding, leaf_.max_definition, count);
    AddEntries(repetitions, definitions, page.encoding, bytes.subspan(reader.offset()));
  }

  // Version 2 leaves the levels uncompressed and says their lengths in the header.
  void ReadVersion2(const ParquetPage& page, Bytes stored) {
    const size_t count = TakeCount(page);
    ByteReader reader(stored, where_);
    const auto take = [&](int64_t bytes) { return reader.Take(static_cast<uint64_t>(bytes)); };
    if (page.repetition_bytes < 0 || page.definition_bytes < 0) {
      Fail(where_, "expected lengths of levels, found negative ones");
    }
    const auto repetitions = Levels(take(page.repetition_bytes), leaf_.max_repetition, count);
    const auto definitions = Levels(take(page.definition_bytes), leaf_.max_definition, count);
    const int64_t size = page.uncompressed_bytes - page.repetition_bytes - page.definition_bytes;
    if (size < 0) Fail(where_, "expected levels that are a part of the page, found longer ones");
    const Bytes values = stored.subspan(reader.offset());
    AddEntries(repetitions, definitions, page.encoding,
               page.is_compressed ? Uncompressed(values, size) : values);
  }

  void ReadDictionary(const ParquetPage& page, Bytes stored) {
    if (!dictionary_.empty() || !data_.definitions.empty()) {
      Fail(where_, "expected one dictionary, before all values, found another");
    }
    if (page.encoding != static_cast<int64_t>(ParquetEncoding::kPlain) &&
        page.encoding != static_cast<int64_t>(ParquetEncoding::kPlainDictionary)) {
      Fail(where_,
           fmt::format("expected a plain dictionary, found {}", EncodingName(page.encoding)),
           kRewrite);
    }
    const size_t count = TakeCount(page);
    AppendPlain(Uncompressed(stored, page.uncompressed_bytes), leaf_.type, count, where_,
                dictionary_);
  }

  void AddEntries(const std::vector<uint32_t>& repetitions,
                  const std::vector<uint32_t>& definitions, int64_t encoding, Bytes values) {
    size_t count = 0;
    for (const uint32_t level : definitions) count += level == leaf_.max_definition;
    data_.repetitions.insert(data_.repetitions.end(), repetitions.begin(), repetitions.end());
    data_.definitions.insert(data_.definitions.end(), definitions.begin(), definitions.end());
    if (count > 0) AddValues(encoding, values, count);
  }

  void AddValues(int64_t encoding, Bytes bytes, size_t count) {
    switch (static_cast<ParquetEncoding>(encoding)) {
      case ParquetEncoding::kPlain:
        return AppendPlain(bytes, leaf_.type, count, where_, data_.values);
      case ParquetEncoding::kPlainDictionary:
      case ParquetEncoding::kRleDictionary: return AddFromDictionary(bytes, count);
      case ParquetEncoding::kRle:
        if (leaf_.type == ParquetType::kBoolean) return AddRunsOfTruth(bytes, count);
    }
    Fail(where_,
         fmt::format("expected encoding PLAIN or RLE_DICTIONARY, found {}", EncodingName(encoding)),
         kRewrite);
  }

  // One byte says how many bits an index has.
  void AddFromDictionary(Bytes bytes, size_t count) {
    ByteReader reader(bytes, where_);
    const auto bits = reader.Read<uint8_t>();
    for (const uint32_t index : DecodeRunLengths(bytes.subspan(1), bits, count, where_)) {
      if (index >= dictionary_.size()) {
        Fail(where_, fmt::format("expected an index into a dictionary of {}, found {}",
                                 dictionary_.size(), index));
      }
      data_.values.push_back(dictionary_[index]);
    }
  }

  void AddRunsOfTruth(Bytes bytes, size_t count) {
    ByteReader reader(bytes, where_);
    const Bytes runs = reader.Take(reader.Read<uint32_t>());
    for (const uint32_t bit : DecodeRunLengths(runs, 1, count, where_)) {
      data_.values.emplace_back(bit != 0);
    }
  }

  const ParquetChunk& chunk_;
  const ParquetLeaf& leaf_;
  ReadBudget& budget_;
  const std::string& where_;
  std::vector<ParquetValue> dictionary_;
  ColumnData data_;
};

}  // namespace

ColumnData ReadColumn(Bytes file, const ParquetChunk& chunk, const ParquetLeaf& leaf,
                      ReadBudget& budget, const std::string& where) {
  const Bytes bytes =
      file.subspan(static_cast<size_t>(chunk.begin), static_cast<size_t>(chunk.bytes));
  return ChunkReader(chunk, leaf, budget, where).Run(bytes);
}

}  // namespace llmq
