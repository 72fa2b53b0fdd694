// Contents that open but must not be trusted: Verify() names the section and the reason.
#include <gtest/gtest.h>

#include <cstring>
#include <utility>

#include "llmq/error.h"
#include "llmq/littlebit_file.h"
#include "tests/formats/forgery.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::Forgery;
using testing::TemporaryDirectory;

// Shape [6, 4], rank 2, one path: V at 0 (2 rows of a byte, 4 bits used), U at 8 (2 rows, 6 bits
// used), g at 16 (4 values), h at 24 (6 values), l at 40 (2 values), zeros from 44 to 64.
constexpr const char* kUp = "model.layers.0.mlp.up_proj.weight";
// Shape [5, 4], 8 bits: rows of 4 codes and one scale.
constexpr const char* kEmbedding = "model.embed_tokens.weight";

struct Lie {
  const char* name;
  const char* section;
  int offset;  // in the section's data
  int byte;    // the new value
  const char* message_part;
};

class LittleBitVerifyTest : public ::testing::TestWithParam<Lie> {};

TEST_P(LittleBitVerifyTest, IsRefusedWithTrueChecksums) {
  const TemporaryDirectory directory;
  Forgery file("one-path");
  file.data_of(GetParam().section)[GetParam().offset] = static_cast<char>(GetParam().byte);
  file.SealSection(GetParam().section);
  file.Seal();
  file.Write(directory / "x");
  const LittleBitFile opened(directory / "x");
  try {
    opened.Verify();
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral);
    EXPECT_NE(error.message().find(GetParam().message_part), std::string::npos) << error.message();
    EXPECT_NE(error.message().find(GetParam().section), std::string::npos) << error.message();
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, LittleBitVerifyTest,
    ::testing::Values(Lie{"TailOfV", kUp, 1, 0x10, "signs V1, row 1: expected zeros after bit 3"},
                      Lie{"TailOfU", kUp, 8, 0x80, "signs U1, row 0: expected zeros after bit 5"},
                      Lie{"GapAfterV", kUp, 2, 1, "zeros between the arrays"},
                      Lie{"GapAfterU", kUp, 15, 1, "zeros between the arrays"},
                      Lie{"GapAfterH", kUp, 36, 1, "zeros between the arrays"},
                      Lie{"PaddingOfPayload", kUp, 63, 1, "zeros between the arrays"},
                      Lie{"InfiniteG", kUp, 17, 0x7c, "scale g1[0]: expected a finite fp16 value"},
                      Lie{"NanH", kUp, 27, 0xfe, "scale h1[1]: expected a finite fp16 value"},
                      Lie{"InfiniteL", kUp, 43, 0xfc, "scale l1[1]: expected a finite fp16 value"},
                      Lie{"GroupScale", kEmbedding, 11, 0x7f,
                          "scale of group 0 [0]: expected a finite"},
                      Lie{"GroupCode", kEmbedding, 7, 0x80, "codes from -127 to 127"}),
    [](const auto& test) { return test.param.name; });

TEST(LittleBitVerifyTest, TwoPathsAndHalfBytesAreCheckedToo) {
  const TemporaryDirectory directory;
  // 35 columns of 4 bits: 18 bytes, the last high half unused; 2 scales.
  Forgery file("two-paths");
  file.data_of(kEmbedding)[17] = static_cast<char>(file.data_of(kEmbedding)[17] | 0x10);
  file.SealSection(kEmbedding);
  file.Seal();
  file.Write(directory / "half-byte");
  EXPECT_THROW(LittleBitFile(directory / "half-byte").Verify(), Error);

  file = Forgery("two-paths");
  const std::string name = "model.layers.1.self_attn.v_proj.weight";  // [30, 35], rank 5, two paths
  const auto& entry = file.entry(name);
  const LittleBitShape shape{30, 35, 5, 2};
  const auto bytes = AsBytes(std::string_view(file.bytes).substr(entry.offset, entry.data_bytes));
  const auto second = ViewLittleBitPaths(shape, bytes)[1];
  const auto at = reinterpret_cast<const char*>(second.v.row(4)) - file.data_of(name) + 4;
  file.data_of(name)[at] = static_cast<char>(file.data_of(name)[at] | 0x08);  // column 35 of 0..34
  file.SealSection(name);
  file.Seal();
  file.Write(directory / "second-path");
  EXPECT_THROW(LittleBitFile(directory / "second-path").Verify(), Error);
}

TEST(LittleBitVerifyTest, UnusedBitsBehindSixBitCodesAreChecked) {
  const TemporaryDirectory directory;
  // 70 columns of 6 bits: 420 bits in 53 bytes, of the last one 4 bits; a zero; 2 scales.
  for (const auto& [offset, bits] : {std::pair{52, 0x10}, {52, 0x80}, {53, 1}, {55, 0x7c}}) {
    Forgery file("six-bits");
    char* data = file.data_of(kEmbedding);
    data[offset] = static_cast<char>(data[offset] | bits);
    file.SealSection(kEmbedding);
    file.Seal();
    file.Write(directory / "x");
    EXPECT_THROW(LittleBitFile(directory / "x").Verify(), Error) << offset << " " << bits;
  }
}

// Shape [37, 30], two paths of rank 3: V takes 3 rows of 4 bytes, U 3 rows of 5 from 16 on.
TEST(LittleBitVerifyTest, CodesOfScalesAreChecked) {
  const TemporaryDirectory directory;
  const std::string gate = "model.layers.0.mlp.gate_proj.weight";  // 4 bits
  struct Change {
    int64_t offset;
    const char* bytes;
    const char* message_part;
  };
  // g at 32: base, step, 15 bytes of codes, 5 of zeros. h at 56: 37 codes in 19 bytes.
  for (const Change& change : {Change{34, "\0\0", "scale g1: expected codes of finite fp16"},
                               Change{32, "\xff\x7b", "scale g1: expected codes of finite fp16"},
                               Change{58, "\xff\xff", "scale h1: expected codes of finite fp16"},
                               Change{77, "\x10\xf0", "scale h1: expected zero bits behind"},
                               Change{51, "\0\1", "zeros between the arrays"}}) {
    Forgery file("scale-codes");
    std::memcpy(file.data_of(gate) + change.offset, change.bytes, 2);
    file.SealSection(gate);
    file.Seal();
    file.Write(directory / "x");
    try {
      LittleBitFile(directory / "x").Verify();
      FAIL() << change.message_part;
    } catch (const Error& error) {
      EXPECT_NE(error.message().find(change.message_part), std::string::npos) << error.message();
    }
  }
}

}  // namespace
}  // namespace llmq
