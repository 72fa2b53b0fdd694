#include "parquet/parquet_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "base/limits.h"
#include "llmq/error.h"
#include "parquet/thrift_reader.h"

namespace llmq {
namespace {

constexpr std::string_view kMagic = "PAR1";
constexpr std::string_view kEncryptedMagic = "PARE";
constexpr uint64_t kTailBytes = 8;  // length of the metadata, magic
constexpr uint64_t kMaxMetadataBytes = uint64_t{16} << 20;
constexpr size_t kMaxNodes = 10000;

// ConvertedType and the fields of LogicalType, as far as stored values mean themselves.
constexpr std::array<int64_t, 9> kPlainConverted = {0 /*UTF8*/,     4 /*ENUM*/,    11 /*UINT_8*/,
                                                    12 /*UINT_16*/, 15 /*INT_8*/,  16 /*INT_16*/,
                                                    17 /*INT_32*/,  18 /*INT_64*/, 19 /*JSON*/};
constexpr std::array<int, 4> kPlainLogical = {1 /*STRING*/, 4 /*ENUM*/, 10 /*INTEGER*/,
                                              12 /*JSON*/};
constexpr int64_t kConvertedList = 3;
constexpr int kLogicalList = 3;

[[noreturn]] void Fail(const std::string& where, const std::string& what,
                       const std::string& suggestion = "The file is damaged; fetch it again") {
  throw Error(ErrorCode::kGeneral, where + ": " + what, suggestion);
}

ParquetElement ReadElement(ThriftReader& reader, const std::string& where) {
  ParquetElement element;
  std::optional<int64_t> converted;
  int logical = 0;
  reader.ReadStruct([&](ThriftField field) {
    switch (field.id) {
      case 1: element.type = reader.ReadInt(field); return;
      case 3: {
        const int64_t repetition = reader.ReadInt(field);
        if (repetition < 0 || repetition > 2) {
          Fail(where, fmt::format("schema: expected a repetition type, found {}", repetition));
        }
        element.repetition = static_cast<ParquetRepetition>(repetition);
        return;
      }
      case 4: element.name = reader.ReadBinary(field); return;
      case 5: element.children = reader.ReadInt(field); return;
      case 6: converted = reader.ReadInt(field); return;
      case 10:  // a union: the number of its only field says which type
        reader.ReadStruct(field, [&](ThriftField choice) {
          logical = choice.id;
          reader.Skip(choice);
        });
        return;
      default: reader.Skip(field);
    }
  });
  if (!IsAllowedName(element.name)) {
    Fail(where, fmt::format("schema: expected a name of 1 to {} bytes without control characters, "
                            "found another",
                            kMaxNameBytes));
  }
  element.is_list = converted == kConvertedList || logical == kLogicalList;
  element.is_readable = (!converted || std::ranges::count(kPlainConverted, *converted) > 0) &&
                        (logical == 0 || std::ranges::count(kPlainLogical, logical) > 0);
  return element;
}

ParquetChunk ReadChunkMetadata(ThriftReader& reader, ThriftField chunk_field) {
  ParquetChunk chunk{.values = -1, .begin = -1, .bytes = -1};
  int64_t dictionary = 0;
  reader.ReadStruct(chunk_field, [&](ThriftField field) {
    switch (field.id) {
      case 4: chunk.codec = reader.ReadInt(field); return;
      case 5: chunk.values = reader.ReadInt(field); return;
      case 7: chunk.bytes = reader.ReadInt(field); return;
      case 9: chunk.begin = reader.ReadInt(field); return;
      case 11: dictionary = reader.ReadInt(field); return;
      default: reader.Skip(field);
    }
  });
  // Some writers say 0 where there is no dictionary.
  if (dictionary > 0) chunk.begin = std::min(chunk.begin, dictionary);
  return chunk;
}

ParquetChunk ReadChunk(ThriftReader& reader, uint64_t file_bytes, const std::string& where) {
  ParquetChunk chunk{.values = -1};
  reader.ReadStruct([&](ThriftField field) {
    if (field.id == 1) Fail(where, "expected columns in the same file, found one in another");
    if (field.id == 3) {
      chunk = ReadChunkMetadata(reader, field);
    } else {
      reader.Skip(field);
    }
  });
  const auto size = static_cast<int64_t>(file_bytes);
  if (chunk.values < 0 || chunk.begin < 4 || chunk.bytes < 0 || chunk.begin > size ||
      chunk.bytes > size - chunk.begin) {
    Fail(where,
         fmt::format("expected a column's pages inside the file's {} bytes, found them at {} "
                     "with {} bytes and {} values",
                     file_bytes, chunk.begin, chunk.bytes, chunk.values));
  }
  return chunk;
}

ParquetRowGroup ReadRowGroup(ThriftReader& reader, uint64_t file_bytes, const std::string& where) {
  ParquetRowGroup group{.rows = -1};
  reader.ReadStruct([&](ThriftField field) {
    switch (field.id) {
      case 1:
        reader.ReadList(field, ThriftType::kStruct,
                        [&] { group.chunks.push_back(ReadChunk(reader, file_bytes, where)); });
        return;
      case 3: group.rows = reader.ReadInt(field); return;
      default: reader.Skip(field);
    }
  });
  if (group.rows < 0) Fail(where, "row group: expected its number of rows, found none");
  return group;
}

// The metadata's bytes: before the length and the magic at the end.
std::span<const std::byte> Footer(std::span<const std::byte> file, const std::string& where) {
  const std::string_view text = AsText(file);
  if (text.ends_with(kEncryptedMagic)) {
    Fail(where, "expected a Parquet file in the clear, found an encrypted one", "Decrypt it first");
  }
  if (file.size() < kMagic.size() + kTailBytes || !text.starts_with(kMagic) ||
      !text.ends_with(kMagic)) {
    Fail(where, "expected a Parquet file, which begins and ends with 'PAR1', found another");
  }
  const auto tail = file.last(kTailBytes);
  const auto bytes = ByteReader(tail, where).Read<uint32_t>();
  if (bytes > kMaxMetadataBytes || bytes > file.size() - kMagic.size() - kTailBytes) {
    Fail(where, fmt::format("expected metadata of at most {} bytes inside the file, found {}",
                            kMaxMetadataBytes, bytes));
  }
  return file.first(file.size() - kTailBytes).last(bytes);
}

}  // namespace

ParquetMetadata ReadParquetMetadata(std::span<const std::byte> file, const std::string& where) {
  ThriftReader reader(Footer(file, where), where + ": metadata");
  ParquetMetadata metadata{.rows = -1};
  reader.ReadStruct([&](ThriftField field) {
    switch (field.id) {
      case 2:
        reader.ReadList(field, ThriftType::kStruct, [&] {
          metadata.schema.push_back(ReadElement(reader, where));
          if (metadata.schema.size() <= kMaxNodes) return;
          Fail(where, fmt::format("schema: expected at most {} nodes, found more", kMaxNodes),
               "Write only the columns that are needed");
        });
        return;
      case 3: metadata.rows = reader.ReadInt(field); return;
      case 4:
        reader.ReadList(field, ThriftType::kStruct, [&] {
          metadata.row_groups.push_back(ReadRowGroup(reader, file.size(), where));
        });
        return;
      default: reader.Skip(field);
    }
  });
  if (metadata.rows < 0) Fail(where, "expected the number of rows, found none");
  return metadata;
}

std::pair<ParquetPage, uint64_t> ReadParquetPage(std::span<const std::byte> bytes,
                                                 const std::string& where) {
  ThriftReader reader(bytes, where);
  ParquetPage page;
  const auto read_levels_page = [&](ThriftField field) {  // version 1
    reader.ReadStruct(field, [&](ThriftField part) {
      switch (part.id) {
        case 1: page.values = reader.ReadInt(part); return;
        case 2: page.encoding = reader.ReadInt(part); return;
        case 3: page.definition_encoding = reader.ReadInt(part); return;
        case 4: page.repetition_encoding = reader.ReadInt(part); return;
        default: reader.Skip(part);
      }
    });
  };
  const auto read_dictionary_page = [&](ThriftField field) {
    reader.ReadStruct(field, [&](ThriftField part) {
      switch (part.id) {
        case 1: page.values = reader.ReadInt(part); return;
        case 2: page.encoding = reader.ReadInt(part); return;
        default: reader.Skip(part);
      }
    });
  };
  const auto read_version_2_page = [&](ThriftField field) {
    reader.ReadStruct(field, [&](ThriftField part) {
      switch (part.id) {
        case 1: page.values = reader.ReadInt(part); return;
        case 4: page.encoding = reader.ReadInt(part); return;
        case 5: page.definition_bytes = reader.ReadInt(part); return;
        case 6: page.repetition_bytes = reader.ReadInt(part); return;
        case 7: page.is_compressed = reader.ReadBool(part); return;
        default: reader.Skip(part);
      }
    });
  };
  reader.ReadStruct([&](ThriftField field) {
    switch (field.id) {
      case 1: page.type = reader.ReadInt(field); return;
      case 2: page.uncompressed_bytes = reader.ReadInt(field); return;
      case 3: page.bytes = reader.ReadInt(field); return;
      case 4: page.crc = static_cast<uint32_t>(reader.ReadInt(field)); return;
      case 5: read_levels_page(field); return;
      case 7: read_dictionary_page(field); return;
      case 8: read_version_2_page(field); return;
      default: reader.Skip(field);
    }
  });
  return {page, reader.offset()};
}

}  // namespace llmq
