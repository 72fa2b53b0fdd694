// Files that lie: truncated at every byte, damaged in every byte, and named lies.
#include <gtest/gtest.h>

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "llmq/error.h"
#include "parquet/parquet_reader.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(LLMQ_TEST_GOLDEN_DIR) / "parquet";

std::string Golden(const std::string& name) { return ReadTextFile(kGolden / (name + ".parquet")); }

// Reads all columns of a file with these bytes. The message of the error, or "" if there is none.
std::string Read(std::string_view bytes) {
  // On the heap and no longer than it is: AddressSanitizer sees every byte too far.
  const std::vector<char> exact(bytes.begin(), bytes.end());
  try {
    const ParquetReader reader(std::as_bytes(std::span(exact)), "x.parquet");
    reader.ForEachRow(reader.columns(), [](int64_t, const Json&) {});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral) << error.message();
    return error.message();
  }
  return "";
}

void Expect(std::string_view bytes, const std::string& part) {
  const std::string message = Read(bytes);
  EXPECT_NE(message.find(part), std::string::npos) << message << " instead of " << part;
}

TEST(ParquetHostile, EveryTruncation) {
  for (const char* name : {"snappy_v1", "gzip_v2", "nested_v2"}) {
    const std::string whole = Golden(name);
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_NE(Read(whole.substr(0, size)), "") << name << " " << size;
      // With an end that looks right: the length of the metadata and the magic of the whole file.
      if (size > 4) Read(whole.substr(0, size) + whole.substr(whole.size() - 8));
    }
  }
}

// Whatever comes of it, it is rows or an Error.
TEST(ParquetHostile, EveryDamagedByte) {
  for (const char* name : {"plain_v1", "plain_v2", "snappy_v1", "nested_v2"}) {
    std::string bytes = Golden(name);
    int errors = 0;
    for (size_t at = 0; at < bytes.size(); ++at) {
      for (const int damage : {0x01, 0x10, 0x80, 0xFF}) {
        bytes[at] = static_cast<char>(bytes[at] ^ damage);
        errors += !Read(bytes).empty();
        bytes[at] = static_cast<char>(bytes[at] ^ damage);
      }
    }
    EXPECT_GT(errors, 1000) << name;
  }
}

TEST(ParquetHostile, ChecksumsFindEveryBitOfAPage) {
  std::string bytes = Golden("zstd_v2");
  const size_t page = bytes.find("\x28\xB5\x2F\xFD");  // a frame of Zstandard
  ASSERT_NE(page, std::string::npos);
  for (int bit = 0; bit < 8; ++bit) {
    bytes[page + 12] = static_cast<char>(bytes[page + 12] ^ (1 << bit));
    Expect(bytes, "checksum");
    bytes[page + 12] = static_cast<char>(bytes[page + 12] ^ (1 << bit));
  }
  EXPECT_EQ(Read(bytes), "");
}

// The metadata of a file in Thrift's compact protocol, to be written by hand.
std::string Number(uint64_t value, bool zigzag = true) {
  if (zigzag) value *= 2;
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(0x80 | (value & 0x7f));
  return bytes + static_cast<char>(value);
}
std::string Field(int step, int type) { return {static_cast<char>(step << 4 | type)}; }
std::string I32(int step, uint64_t value) { return Field(step, 5) + Number(value); }
std::string I64(int step, uint64_t value) { return Field(step, 6) + Number(value); }
std::string Text(int step, const std::string& text) {
  return Field(step, 8) + Number(text.size(), false) + text;
}
std::string List(int step, const std::vector<std::string>& structs) {
  std::string bytes = Field(step, 9) + "\xFC" + Number(structs.size(), false);
  for (const std::string& one : structs) bytes += one;
  return bytes;
}
const std::string kStop(1, '\0');

// One optional column "a" of type `type` whose only chunk holds `pages`.
struct Lie {
  std::string pages;
  uint64_t values = 1;
  uint64_t rows = 1;
  uint64_t type = 6;
  uint64_t codec = 0;
  std::string schema;  // the default if empty

  std::string Bytes() const {
    const std::string root = Text(4, "root") + I32(1, 1) + kStop;
    const std::string leaf = I32(1, type) + I32(2, 1) + Text(1, "a") + kStop;
    const std::string chunk = Field(3, 12) + I32(4, codec) + I64(1, values) + I64(2, pages.size()) +
                              I64(2, 4) + kStop + kStop;
    const std::string group = List(1, {chunk}) + I64(2, rows) + kStop;
    const std::string metadata =
        (schema.empty() ? List(2, {root, leaf}) : schema) + I64(1, rows) + List(1, {group}) + kStop;
    std::string size;
    for (int i = 0; i < 4; ++i) size += static_cast<char>(metadata.size() >> (8 * i) & 0xff);
    return "PAR1" + pages + metadata + size + "PAR1";
  }
};

// A page of version 1: `body` holds the definition levels with their length, then the values.
std::string Page(const std::string& body, uint64_t values, uint64_t encoding = 0,
                 uint64_t uncompressed = UINT64_MAX) {
  return I32(1, 0) + I32(1, uncompressed == UINT64_MAX ? body.size() : uncompressed) +
         I32(1, body.size()) + Field(2, 12) + I32(1, values) + I32(1, encoding) + I32(1, 3) +
         I32(1, 3) + kStop + kStop + body;
}
// `count` (up to 63) definition levels of `level`.
std::string Levels(int count, int level) {
  return std::string("\x02\0\0\0", 4) + static_cast<char>(count << 1) + static_cast<char>(level);
}
const std::string kHi = Levels(1, 1) + std::string("\x02\0\0\0hi", 6);

TEST(ParquetHostile, NamedLies) {
  const std::string hi = Page(kHi, 1);
  EXPECT_EQ(Read(Lie{.pages = hi}.Bytes()), "");  // and this is none

  Expect("", "begins and ends with 'PAR1'");
  Expect("PAR1PAR1", "begins and ends with 'PAR1'");
  Expect("PAR1" + std::string("\xFF\xFF\xFF\x7F", 4) + "PAR1", "metadata of at most");
  Expect("PAR1" + std::string("\x01\0\0\0", 4) + "PAR1", "metadata of at most");
  Expect("PAR1xxxxPARE", "encrypted");

  Expect(Lie{.pages = hi, .values = 2}.Bytes(), "expected 1 bytes at offset 0");  // another page
  Expect(Lie{.pages = hi, .values = 2, .rows = 2}.Bytes(), "expected 1 bytes");
  Expect(Lie{.pages = hi, .rows = 2}.Bytes(), "expected another row");
  Expect(Lie{.pages = hi, .rows = 0}.Bytes(), "expected as many rows");
  Expect(Lie{.pages = hi, .values = 0}.Bytes(), "expected another row");
  Expect(Lie{.pages = hi, .values = UINT64_MAX / 4}.Bytes(), "expected 1 bytes");
  Expect(Lie{.pages = Page(kHi, 2)}.Bytes(), "expected");
  Expect(Lie{.pages = hi, .type = 3}.Bytes(), "another type");
  Expect(Lie{.pages = hi, .type = 9}.Bytes(), "a leaf's type");
  Expect(Lie{.pages = hi, .codec = 4}.Bytes(), "BROTLI");
  Expect(Lie{.pages = hi, .codec = 1}.Bytes(), "compressed bytes that give");
  Expect(Lie{.pages = Page(Levels(1, 1) + "\x01\x02\x01", 1, 8)}.Bytes(), "dictionary of 0");
  Expect(Lie{.pages = Page(kHi, 1, 9)}.Bytes(), "BYTE_STREAM_SPLIT");
  Expect(Lie{.pages = Page(Levels(1, 2), 1)}.Bytes(), "levels up to 1, found 2");
  Expect(Lie{.pages = Page(Levels(1, 1) + std::string("\xFF\xFF\xFF\xFFhi", 6), 1)}.Bytes(),
         "expected 4294967295 bytes");

  // A schema that is no tree.
  const std::string root = Text(4, "root") + I32(1, 2) + kStop;
  const std::string leaf = I32(1, 6) + I32(2, 1) + Text(1, "a") + kStop;
  Expect(Lie{.pages = hi, .schema = List(2, {})}.Bytes(), "as many nodes");
  Expect(Lie{.pages = hi, .schema = List(2, {root, leaf})}.Bytes(), "as many nodes");
  Expect(Lie{.pages = hi, .schema = List(2, {root, leaf, leaf, leaf})}.Bytes(), "as many nodes");
  Expect(Lie{.pages = hi, .schema = List(2, {root, leaf, leaf})}.Bytes(), "expected 2 columns");
  const std::string inner = Text(4, "a") + I32(1, 1) + kStop;
  std::vector<std::string> deep(40, inner);
  deep.push_back(leaf);
  Expect(Lie{.pages = hi, .schema = List(2, deep)}.Bytes(), "32 levels");
  const std::string control = I32(1, 6) + I32(2, 1) + Text(1, "\x1b[2J") + kStop;
  Expect(Lie{.pages = hi, .schema = List(2, {inner, control})}.Bytes(), "control characters");
}

// A few bytes that stand for very much: refused before memory is taken.
TEST(ParquetHostile, Bombs) {
  const uint64_t many = INT32_MAX;
  const std::string run =
      std::string("\x06\0\0\0", 4) + "\xFE\xFF\xFF\xFF\x0F" + std::string(1, '\0');
  Expect(Lie{.pages = Page(run, many), .values = many, .rows = many}.Bytes(), "MB in memory");
  Expect(Lie{.pages = Page(kHi, 1, 0, many), .codec = 6}.Bytes(), "MB in memory");
  Expect(Lie{.pages = Page(kHi, 1, 0, uint64_t{1} << 60), .codec = 6}.Bytes(), "MB in memory");
  Expect(Lie{.pages = Page(kHi, uint64_t{1} << 60)}.Bytes(), "number of values");
  // Structs in structs in what nobody reads.
  std::string nested;
  for (int i = 0; i < 100000; ++i) nested += Field(15, 12);
  const std::string tail = std::string("\xA0\x86\x01\0", 4) + "PAR1";
  Expect("PAR1" + nested + tail, "32 levels");
  std::string lists;
  for (int i = 0; i < 100000; ++i) lists += "\x19";
  Expect("PAR1" + lists + tail, "32 levels");
}

}  // namespace
}  // namespace llmq
