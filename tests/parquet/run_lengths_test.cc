// The examples of the format's document (Encodings.md), and the borders.
#include "parquet/run_lengths.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "llmq/error.h"

namespace llmq {
namespace {

using Numbers = std::vector<uint32_t>;
using namespace std::string_view_literals;

Numbers Decode(std::string_view bytes, int bits, size_t count) {
  return DecodeRunLengths(AsBytes(bytes), bits, count, "test");
}

TEST(RunLengths, BitsAreTakenFromTheLowestOn) {
  // 0 to 7 in 3 bits: 10001000 11000110 11111010.
  EXPECT_EQ(UnpackBits(AsBytes("\x88\xC6\xFA"sv), 3, 8, "test"), (Numbers{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(Decode("\x03\x88\xC6\xFA"sv, 3, 8), (Numbers{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(UnpackBits(AsBytes("\x04\x03\x02\x01"sv), 32, 1, "test"), (Numbers{0x01020304}));
}

TEST(RunLengths, RunsAndGroupsFollowEachOther) {
  EXPECT_EQ(Decode("\x0A\x02\x03\x88\xC6\xFA"sv, 3, 7), (Numbers{2, 2, 2, 2, 2, 0, 1}));
  EXPECT_EQ(Decode("\x04\x34\x12"sv, 13, 2), (Numbers{0x1234, 0x1234}));
  EXPECT_EQ(Decode("\x90\x03\x01"sv, 1, 200), Numbers(200, 1));  // a length of two bytes
  EXPECT_EQ(Decode("\x0A"sv, 0, 5), Numbers(5, 0));
}

TEST(RunLengths, RunsMayBeLongerThanNeeded) {
  EXPECT_EQ(Decode("\xFE\xFF\xFF\xFF\x0F\x07"sv, 3, 2), (Numbers{7, 7}));
  EXPECT_EQ(Decode(""sv, 3, 0), Numbers{});
}

TEST(RunLengths, DamageIsNoticed) {
  for (const std::string_view bytes :
       {""sv, "\x04"sv, "\x03\x88\xC6"sv, "\x00\x00\x00"sv, "\xFF\xFF\xFF\xFF\x7F\x01"sv,
        "\xFF\xFF\xFF\xFF\x0F\x01"sv, "\x80\x80\x80\x80\x80\x01"sv}) {
    EXPECT_THROW(Decode(bytes, 3, 8), Error) << bytes.size();
  }
  EXPECT_THROW(Decode("\x04\x01\x01\x01\x01\x01"sv, 33, 2), Error);
  EXPECT_THROW(UnpackBits(AsBytes("\x88\xC6"sv), 3, 8, "test"), Error);
}

}  // namespace
}  // namespace llmq
