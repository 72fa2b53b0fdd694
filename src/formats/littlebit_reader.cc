// Takes a .littlebit file apart: header, directory and sizes are checked, then everything is a
// view.
//
// Before this: a file from anywhere. After this: formats/littlebit_file. The layout leaves no
// freedom (sections follow one another at the next multiple of 64, unused fields and padding are
// 0), so every lie is a difference from the one possible value. The content of sections is
// formats/littlebit_verify's matter. Reference: docs/format/littlebit.md.
#include "formats/littlebit_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/limits.h"
#include "formats/littlebit_entry.h"
#include "formats/littlebit_layout.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"

namespace llmq {
namespace {

using littlebit_layout::Entry;
using littlebit_layout::Header;

[[noreturn]] void Fail(const std::string& where, const std::string& what,
                       const std::string& suggestion =
                           "The file is truncated or damaged; copy or make it "
                           "again") {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what), suggestion);
}

template <typename T>
void ExpectEqual(const std::string& where, const char* field, T expected, T found) {
  if (expected != found)
    Fail(where, fmt::format("{}: expected {}, found {}", field, expected, found));
}

template <typename T>
T ReadStruct(ByteReader& reader) {
  T value;
  std::memcpy(&value, reader.Take(sizeof(T)).data(), sizeof(T));
  return value;
}

bool AllZero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

Header ReadHeader(std::span<const std::byte> file, const std::string& path) {
  const std::string where = path + ": header";
  ByteReader reader(file, where);
  const auto header = ReadStruct<Header>(reader);
  if (header.magic != littlebit_layout::kMagic) {
    Fail(where, "expected the magic \"LTBT\", found something else", "Give a .littlebit file");
  }
  CheckLittleBitVersion(header.version, where);
  ExpectEqual(where, "checksum", Checksum64(file.first(littlebit_layout::kHeaderChecksumOffset)),
              header.header_checksum);
  ExpectEqual(where, "file size", uint64_t{file.size()}, header.file_bytes);
  ExpectEqual(where, "flags", 0u, header.flags);
  ExpectEqual(where, "reserved field", uint64_t{0}, header.reserved);
  if (header.directory_offset > file.size() || header.directory_offset < sizeof(Header) ||
      header.directory_offset % kSectionAlignment != 0) {
    Fail(where,
         fmt::format("directory offset: expected a multiple of {} from {} to {}, found {}",
                     kSectionAlignment, sizeof(Header), file.size(), header.directory_offset));
  }
  ExpectEqual(where, "directory size", file.size() - header.directory_offset,
              header.directory_bytes);
  return header;
}

// The data must begin where the section before it ended, and zeros must pad it.
std::span<const std::byte> TakeData(ByteReader& sections, const Entry& entry,
                                    const std::string& where) {
  if (entry.offset != sections.offset()) {
    const char* kind = entry.offset % kSectionAlignment != 0 ? "misaligned"
                       : entry.offset < sections.offset()    ? "overlap"
                                                             : "hole";
    Fail(where,
         fmt::format("offset: expected {}, found {} ({})", sections.offset(), entry.offset, kind));
  }
  const auto data = sections.Take(entry.data_bytes);
  const uint64_t padding = AlignUp(entry.data_bytes, kSectionAlignment) - entry.data_bytes;
  if (!AllZero(sections.Take(padding)))
    Fail(where, "expected zeros after the data, found other bytes");
  return data;
}

LittleBitSection ReadSection(ByteReader& directory, ByteReader& sections, const std::string& path) {
  const auto entry = ReadStruct<Entry>(directory);
  if (entry.name_bytes > kMaxNameBytes) {
    Fail(path + ": directory", fmt::format("expected a name of at most {} bytes, found {}",
                                           kMaxNameBytes, entry.name_bytes));
  }
  const std::string name(AsText(directory.Take(entry.name_bytes)));
  const uint64_t padding = AlignUp(name.size(), littlebit_layout::kNameAlignment) - name.size();
  if (!AllZero(directory.Take(padding))) {
    Fail(path + ": directory", "expected a name padded with zeros, found other bytes");
  }
  LittleBitSection section = SectionFromEntry(entry, name, path);
  section.data = TakeData(sections, entry, path + ": " + name);
  return section;
}

}  // namespace

void CheckLittleBitVersion(uint32_t version, const std::string& where) {
  if (version >= kOldestLittleBitVersion && version <= kNewestLittleBitVersion) return;
  Fail(where,
       fmt::format("expected a format version from {} to {}, found {}", kOldestLittleBitVersion,
                   kNewestLittleBitVersion, version),
       "Use a version of llm-quantize that knows this format version");
}

LittleBitContent ReadLittleBitContent(std::span<const std::byte> file, const std::string& path) {
  const Header header = ReadHeader(file, path);
  const auto directory_bytes = file.subspan(header.directory_offset);
  ExpectEqual(path + ": directory", "checksum", Checksum64(directory_bytes),
              header.directory_checksum);
  if (header.section_count > directory_bytes.size() / sizeof(Entry)) {
    Fail(path + ": header",
         fmt::format("section count: expected at most {}, found {}",
                     directory_bytes.size() / sizeof(Entry), header.section_count));
  }
  ByteReader directory(directory_bytes, path + ": directory");
  ByteReader data(file.first(header.directory_offset), path + ": sections");
  data.Take(sizeof(Header));
  LittleBitContent content{.version = header.version};
  content.sections.reserve(header.section_count);
  for (uint32_t i = 0; i < header.section_count; ++i) {
    content.sections.push_back(ReadSection(directory, data, path));
  }
  directory.ExpectEnd();
  data.ExpectEnd();
  return content;
}

}  // namespace llmq
