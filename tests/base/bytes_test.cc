// The bounded reader under lies about lengths, and checked arithmetic at its borders.
#include "base/bytes.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "llmq/error.h"

namespace llmq {
namespace {

TEST(CheckedArithmetic, NoticesOverflow) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(CheckedMul(1u << 31, 1u << 31), uint64_t{1} << 62);
  EXPECT_EQ(CheckedMul(kMax / 2 + 1, 2), std::nullopt);
  EXPECT_EQ(CheckedAdd(kMax - 1, 1), kMax);
  EXPECT_EQ(CheckedAdd(kMax, 1), std::nullopt);
}

TEST(ByteReader, ReadsLittleEndianInOrder) {
  ByteReader reader(AsBytes(std::string_view("\x01\x02\x03\x04\x05\x06", 6)), "test");
  EXPECT_EQ(reader.Read<uint16_t>(), 0x0201);
  EXPECT_EQ(reader.Read<uint32_t>(), 0x06050403u);
  EXPECT_NO_THROW(reader.ExpectEnd());
}

TEST(ByteReader, RefusesToPassTheEnd) {
  ByteReader reader(AsBytes("abc"), "file.bin: header");
  reader.Take(1);
  for (const uint64_t count : {uint64_t{3}, std::numeric_limits<uint64_t>::max()}) {
    try {
      reader.Take(count);
      FAIL() << "took " << count;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kGeneral);
      EXPECT_NE(e.message().find("file.bin: header: expected"), std::string::npos) << e.message();
      EXPECT_NE(e.message().find("at offset 1, found 2"), std::string::npos) << e.message();
    }
  }
  EXPECT_THROW(reader.ExpectEnd(), Error);
}

TEST(Checksum, IsXxh64WithSeedZero) {
  // Published test value of XXH64 for the empty input.
  EXPECT_EQ(Checksum64({}), 0xef46db3751d8e999ull);
}

TEST(Checksum, OfPiecesIsThatOfTheWhole) {
  const std::string text(1000, 'x');
  StreamingChecksum64 stream;
  for (size_t begin = 0; begin < text.size(); begin += 37) {
    stream.Update(AsBytes(std::string_view(text).substr(begin, 37)));
  }
  EXPECT_EQ(stream.Digest(), Checksum64(AsBytes(text)));
}

}  // namespace
}  // namespace llmq
