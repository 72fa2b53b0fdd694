// Hostile GGUF files: each lie is refused with its reason; what ggml accepts is accepted.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "llmq/error.h"
#include "llmq/gguf.h"
#include "tests/gguf/gguf_draft.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::DraftTensor;
using testing::GgufDraft;
using testing::TemporaryDirectory;
using testing::Text;
using testing::U16;
using testing::U32;
using testing::U64;
using testing::U8;

struct Lie {
  const char* name;
  void (*tell)(GgufDraft& draft);
  const char* message_part;
};

class GgufLieTest : public ::testing::TestWithParam<Lie> {};

TEST_P(GgufLieTest, IsRefused) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "lie.gguf";
  GgufDraft draft = GgufDraft::Small();
  GetParam().tell(draft);
  draft.Write(path);
  try {
    const GgufFile file(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral);
    EXPECT_NE(error.message().find(GetParam().message_part), std::string::npos) << error.message();
    EXPECT_TRUE(error.message().starts_with(path.string() + ": ")) << error.message();
    EXPECT_LT(error.message().size(), path.string().size() + 400);
  }
}

const auto kName = [](const auto& test) { return test.param.name; };

INSTANTIATE_TEST_SUITE_P(
    Header, GgufLieTest,
    ::testing::Values(
        Lie{"Magic", [](GgufDraft& d) { d.magic = "GGML"; }, "header: expected the magic \"GGUF\""},
        Lie{"VersionZero", [](GgufDraft& d) { d.version = 0; },
            "version: expected 2 or 3, found 0"},
        Lie{"VersionOne", [](GgufDraft& d) { d.version = 1; }, "version: expected 2 or 3, found 1"},
        Lie{"FutureVersion", [](GgufDraft& d) { d.version = 4; },
            "version: expected 2 or 3, found 4"},
        Lie{"BigEndian", [](GgufDraft& d) { d.version = 0x03000000; },
            "found 0x03000000: a big-endian file"},
        Lie{"TensorCountHuge", [](GgufDraft& d) { d.tensor_count = ~uint64_t{0}; },
            "header: tensors: expected at most"},
        Lie{"TensorCountPastEnd", [](GgufDraft& d) { d.tensor_count = 20; },
            "header: tensors: expected at most 11, found 20"},
        Lie{"TensorCountOneMore", [](GgufDraft& d) { d.tensor_count = 4; },
            "tensor 3: name: expected 1 to 63 bytes, found 0"},
        Lie{"KeyCountHuge", [](GgufDraft& d) { d.key_count = uint64_t{1} << 63; },
            "header: keys: expected at most"},
        Lie{"KeyCountPastEnd", [](GgufDraft& d) { d.key_count = 40; },
            "header: keys: expected at most"},
        Lie{"KeyCountOneMore", [](GgufDraft& d) { d.key_count = 3; },
            "tensor 0: name: string: expected at most"}),
    kName);

INSTANTIATE_TEST_SUITE_P(
    Keys, GgufLieTest,
    ::testing::Values(
        Lie{"NameEmpty", [](GgufDraft& d) { d.AddKey("", U32(0) + U8(1)); },
            "key 2: name: expected 1 to 65535 bytes, found 0"},
        Lie{"NameLong", [](GgufDraft& d) { d.AddKey(std::string(65536, 'k'), U32(0) + U8(1)); },
            "key 2: name: expected 1 to 65535 bytes, found 65536"},
        Lie{"NamePastEnd", [](GgufDraft& d) { d.keys[0].name = U64(1 << 20) + "general"; },
            "key 0: name: string: expected at most"},
        Lie{"NameWithEscape", [](GgufDraft& d) { d.AddKey("a\x1b[2J", U32(0) + U8(1)); },
            "key 2: name: expected no control characters"},
        Lie{"NameWithNul", [](GgufDraft& d) { d.AddKey(std::string("a\0b", 3), U32(0) + U8(1)); },
            "key 2: name: expected no control characters"},
        Lie{"NameTwice", [](GgufDraft& d) { d.AddKey("tokens", U32(0) + U8(1)); },
            "key tokens: expected once, found twice"},
        Lie{"LongNameTwice",
            [](GgufDraft& d) {
              for (int i = 0; i < 2; ++i) d.AddKey(std::string(60000, 'k'), U32(0) + U8(1));
            },
            "...: expected once, found twice"},
        Lie{"TypeUnknown", [](GgufDraft& d) { d.AddKey("k", U32(13) + U64(1)); },
            "key k: value type: expected 0 to 12, found 13"},
        Lie{"TypeHuge", [](GgufDraft& d) { d.AddKey("k", U32(0xffffffff) + U64(1)); },
            "key k: value type: expected 0 to 12, found 4294967295"},
        Lie{"BoolTwo", [](GgufDraft& d) { d.AddKey("k", U32(7) + U8(2)); },
            "key k: expected BOOL 0 or 1, found 2"},
        Lie{"StringPastEnd", [](GgufDraft& d) { d.AddKey("k", U32(8) + U64(100000) + "x"); },
            "key k: string: expected at most"},
        Lie{"StringHuge", [](GgufDraft& d) { d.AddKey("k", U32(8) + U64(~uint64_t{0}) + "x"); },
            "key k: string: expected at most"},
        Lie{"ArrayOfArrays",
            [](GgufDraft& d) { d.AddKey("k", U32(9) + U32(9) + U64(1) + U32(0) + U64(0)); },
            "key k: array: expected plain elements, found arrays"},
        Lie{"ArrayOfUnknown", [](GgufDraft& d) { d.AddKey("k", U32(9) + U32(13) + U64(0)); },
            "key k: type of array elements: expected 0 to 12, found 13"},
        Lie{"ArrayPastEnd",
            [](GgufDraft& d) { d.AddKey("k", U32(9) + U32(12) + U64(1000) + U64(0)); },
            "elements, found 1000"},
        Lie{"ArrayHuge",
            [](GgufDraft& d) { d.AddKey("k", U32(9) + U32(0) + U64(uint64_t{1} << 62)); },
            "key k: expected at most"},
        Lie{"ArrayOfStringsPastEnd",
            [](GgufDraft& d) { d.AddKey("k", U32(9) + U32(8) + U64(1 << 28)); },
            "key k: expected at most"},
        Lie{"ArrayWrapsAround",
            [](GgufDraft& d) { d.AddKey("k", U32(9) + U32(10) + U64((uint64_t{1} << 61) + 1)); },
            "key k: expected at most"},
        Lie{"StringInArrayPastEnd",
            [](GgufDraft& d) {
              d.AddKey("k", U32(9) + U32(8) + U64(2) + Text("a") + U64(1 << 20));
            },
            "key k: string: expected at most"},
        Lie{"BoolInArray",
            [](GgufDraft& d) { d.AddKey("k", U32(9) + U32(7) + U64(2) + U8(1) + U8(255)); },
            "key k: expected BOOL values 0 or 1, found 255"},
        Lie{"AlignmentType", [](GgufDraft& d) { d.AddKey("general.alignment", U32(10) + U64(32)); },
            "key general.alignment: expected UINT32, found UINT64"},
        Lie{"AlignmentZero", [](GgufDraft& d) { d.AddKey("general.alignment", U32(4) + U32(0)); },
            "key general.alignment: expected a power of two from 8 to 1048576, found 0"},
        Lie{"AlignmentOdd", [](GgufDraft& d) { d.AddKey("general.alignment", U32(4) + U32(48)); },
            "expected a power of two from 8 to 1048576, found 48"},
        Lie{"AlignmentHuge",
            [](GgufDraft& d) { d.AddKey("general.alignment", U32(4) + U32(1u << 31)); },
            "expected a power of two from 8 to 1048576, found 2147483648"},
        Lie{"SplitCountType", [](GgufDraft& d) { d.AddKey("split.count", U32(4) + U32(2)); },
            "key split.count: expected UINT16, found UINT32"},
        Lie{"SplitWithoutNumber", [](GgufDraft& d) { d.AddKey("split.count", U32(2) + U16(2)); },
            "key split.no: expected in every shard, found none"}),
    kName);

INSTANTIATE_TEST_SUITE_P(
    Table, GgufLieTest,
    ::testing::Values(
        Lie{"NameEmpty", [](GgufDraft& d) { d.tensors[1].name = Text(""); },
            "tensor 1: name: expected 1 to 63 bytes, found 0"},
        Lie{"NameLong", [](GgufDraft& d) { d.tensors[1].name = Text(std::string(64, 't')); },
            "tensor 1: name: expected 1 to 63 bytes, found 64"},
        Lie{"NamePastEnd", [](GgufDraft& d) { d.tensors[1].name = U64(1 << 30); },
            "tensor 1: name: string: expected at most"},
        Lie{"NameWithNewline", [](GgufDraft& d) { d.tensors[1].name = Text("a\nb"); },
            "tensor 1: name: expected no control characters"},
        Lie{"NameTwice", [](GgufDraft& d) { d.tensors[1].name = Text("embedding"); },
            "tensor embedding: expected once, found twice"},
        Lie{"FiveDimensions", [](GgufDraft& d) { d.tensors[0].dimensions = 5; },
            "tensor embedding: expected at most 4 dimensions, found 5"},
        Lie{"DimensionsHuge", [](GgufDraft& d) { d.tensors[0].dimensions = 0xffffffff; },
            "tensor embedding: expected at most 4 dimensions, found 4294967295"},
        Lie{"DimensionNegative", [](GgufDraft& d) { d.tensors[0].shape[1] = ~uint64_t{0}; },
            "tensor embedding: shape: expected at most"},
        Lie{"ProductOverflows",
            [](GgufDraft& d) {
              d.tensors[0].shape = {uint64_t{1} << 32, uint64_t{1} << 32};
            },
            "tensor embedding: shape: expected at most"},
        Lie{"ProductLarge",
            [](GgufDraft& d) {
              d.tensors[0].shape = {uint64_t{1} << 28, uint64_t{1} << 27};
            },
            "tensor embedding: data: expected 144115188075855872 bytes"},
        Lie{"TypeRemoved", [](GgufDraft& d) { d.tensors[0].type = 4; },
            "tensor embedding: type: expected one that ggml has, found 4"},
        Lie{"TypeRemovedRepacked", [](GgufDraft& d) { d.tensors[0].type = 31; },
            "type: expected one that ggml has, found 31"},
        Lie{"TypeFuture", [](GgufDraft& d) { d.tensors[0].type = 43; },
            "type: expected one that ggml has, found 43"},
        Lie{"TypePrivate", [](GgufDraft& d) { d.tensors[0].type = 142; },
            "type: expected one that ggml has, found 142"},
        Lie{"TypeNegative", [](GgufDraft& d) { d.tensors[0].type = 0xffffffff; },
            "type: expected one that ggml has, found 4294967295"},
        Lie{"RowNotWholeBlocks",
            [](GgufDraft& d) {
              d.tensors[1].shape = {2, 32};
            },
            "tensor blocks: shape: expected rows of whole Q4_0 blocks of 32 values, found 2"},
        Lie{"ScalarOfBlocks",
            [](GgufDraft& d) { d.tensors[1].shape.clear(), d.tensors[1].dimensions = 0; },
            "expected rows of whole Q4_0 blocks of 32 values, found 1"},
        Lie{"OffsetHole", [](GgufDraft& d) { d.tensors[1].offset = 64; },
            "tensor blocks: offset: expected 32, found 64 (hole)"},
        Lie{"OffsetOverlap", [](GgufDraft& d) { d.tensors[2].offset = 64; },
            "tensor bytes: offset: expected 96, found 64 (overlap)"},
        Lie{"OffsetMisaligned", [](GgufDraft& d) { d.tensors[1].offset = 24; },
            "tensor blocks: offset: expected 32, found 24 (misaligned)"},
        Lie{"OffsetsReordered",
            [](GgufDraft& d) { std::swap(d.tensors[0].offset, d.tensors[1].offset); },
            "tensor embedding: offset: expected 0, found 32 (hole)"},
        Lie{"OffsetHuge", [](GgufDraft& d) { d.tensors[1].offset = ~uint64_t{31}; },
            "tensor blocks: offset: expected 32"},
        Lie{"OffsetsOfOtherAlignment",
            [](GgufDraft& d) {
              d.AddKey("general.alignment", U32(4) + U32(64));
              d.alignment = 64;
            },
            "tensor blocks: offset: expected 64, found 32 (misaligned)"},
        Lie{"DataPastEnd", [](GgufDraft& d) { d.data.resize(100); },
            "tensor bytes: data: expected 5 bytes at offset 96, found 4"},
        Lie{"NoData", [](GgufDraft& d) { d.data.clear(); },
            "tensor embedding: data: expected 24 bytes at offset 0, found 0"},
        Lie{"EmptyTensorBehindEnd",
            [](GgufDraft& d) {
              d.data.resize(101);
              d.tensors.push_back({Text("empty"), 1, {0}, 0, 128});
            },
            "tensor empty: data: expected 0 bytes at offset 128, found 0"}),
    kName);

class GgufAcceptTest : public ::testing::Test {
 protected:
  GgufFile Open(const GgufDraft& draft) {
    draft.Write(directory_ / "file.gguf");
    return GgufFile(directory_ / "file.gguf");
  }
  TemporaryDirectory directory_;
};

TEST_F(GgufAcceptTest, TheDraftItself) {
  const GgufFile file = Open(GgufDraft::Small());
  EXPECT_EQ(file.path(), directory_ / "file.gguf");
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.alignment(), 32u);
  EXPECT_EQ(file.file_bytes(), GgufDraft::Small().Bytes().size());
  ASSERT_EQ(file.keys().size(), 2u);
  EXPECT_EQ(*file.Get<std::string>("general.architecture"), "llama");
  EXPECT_EQ(*file.Get<std::vector<std::string>>("tokens"),
            (std::vector<std::string>{"a", "", "bc"}));
  ASSERT_EQ(file.tensors().size(), 3u);
  const GgufTensor& blocks = file.tensors()[1];
  EXPECT_EQ(blocks.name, "blocks");
  EXPECT_EQ(blocks.type, GgmlType::kQ4_0);
  EXPECT_EQ(blocks.shape, (std::vector<int64_t>{2, 32}));
  EXPECT_EQ(blocks.num_elements(), 64);
  ASSERT_EQ(blocks.data.size(), 36u);
  EXPECT_EQ(blocks.data[0], std::byte{32});
  file.Release(blocks);
  EXPECT_EQ(blocks.data[35], std::byte{67});
  EXPECT_EQ(file.FindTensor("bytes")->data.size(), 5u);
  EXPECT_EQ(file.FindTensor("none"), nullptr);
  EXPECT_EQ(file.Find("none"), nullptr);
}

TEST_F(GgufAcceptTest, GetNamesKeyAndTypes) {
  const GgufFile file = Open(GgufDraft::Small());
  EXPECT_EQ(file.Get<uint32_t>("none"), nullptr);
  try {
    file.Get<uint32_t>("tokens");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral);
    EXPECT_EQ(error.message(), (directory_ / "file.gguf").string() +
                                   ": key tokens: expected UINT32, found ARRAY of STRING");
  }
}

TEST_F(GgufAcceptTest, VersionTwo) {
  GgufDraft draft = GgufDraft::Small();
  draft.version = 2;
  EXPECT_EQ(Open(draft).version(), 2u);
}

TEST_F(GgufAcceptTest, NoKeysAndNoTensors) {
  const GgufFile file = Open(GgufDraft{});
  EXPECT_TRUE(file.keys().empty());
  EXPECT_TRUE(file.tensors().empty());
}

TEST_F(GgufAcceptTest, ScalarsAndEmptyTensors) {
  GgufDraft draft = GgufDraft::Small();
  draft.tensors = {{Text("scalar"), 0, {}, 0, 0},
                   {Text("empty"), 2, {0, uint64_t{1} << 40}, 12, 32},
                   {Text("no rows"), 2, {256, 0}, 12, 32},
                   {Text("one"), 4, {1, 1, 1, 1}, 0, 32}};
  const GgufFile file = Open(draft);
  EXPECT_EQ(file.tensors()[0].shape, std::vector<int64_t>{});
  EXPECT_EQ(file.tensors()[0].data.size(), 4u);
  EXPECT_EQ(file.tensors()[1].shape, (std::vector<int64_t>{int64_t{1} << 40, 0}));
  EXPECT_EQ(file.tensors()[1].data.size(), 0u);
  EXPECT_EQ(file.tensors()[2].data.size(), 0u);
  EXPECT_EQ(file.tensors()[3].data[0], std::byte{32});
  for (const GgufTensor& tensor : file.tensors()) file.Release(tensor);
}

TEST_F(GgufAcceptTest, LastTensorWithoutPadding) {
  GgufDraft draft = GgufDraft::Small();
  draft.data.resize(101);
  EXPECT_EQ(Open(draft).tensors()[2].data.size(), 5u);
}

TEST_F(GgufAcceptTest, BytesBehindTheData) {
  GgufDraft draft = GgufDraft::Small();
  draft.data += "signature";
  EXPECT_EQ(Open(draft).tensors().size(), 3u);
}

TEST_F(GgufAcceptTest, LongestNames) {
  GgufDraft draft = GgufDraft::Small();
  draft.AddKey(std::string(65535, 'k'), U32(0) + U8(1));
  draft.tensors[0].name = Text(std::string(63, 't'));
  EXPECT_EQ(*Open(draft).Get<uint8_t>(std::string(65535, 'k')), 1);
}

TEST_F(GgufAcceptTest, SplitCountOfOneIsAWholeFile) {
  GgufDraft draft = GgufDraft::Small();
  draft.AddKey("split.count", U32(2) + U16(1));
  EXPECT_EQ(Open(draft).tensors().size(), 3u);
}

TEST_F(GgufAcceptTest, VeryManyKeysTensorsAndTokensInTheirTime) {
  constexpr int kMany = 200000;  // quadratic work would take minutes
  GgufDraft draft;
  std::string tokens = U32(9) + U32(8) + U64(kMany);
  for (int i = 0; i < kMany; ++i) {
    draft.AddKey(fmt::format("k{}", i), U32(4) + U32(i));
    draft.tensors.push_back({Text(fmt::format("t{}", i)), 1, {0}, 0, 0});
    tokens += Text(std::to_string(i));
  }
  draft.AddKey("tokens", tokens);
  const GgufFile file = Open(draft);
  EXPECT_EQ(*file.Get<uint32_t>("k199999"), 199999u);
  EXPECT_EQ(file.FindTensor("t199999"), &file.tensors().back());
  EXPECT_EQ(file.Get<std::vector<std::string>>("tokens")->back(), "199999");
}

TEST(GgufFileTest, MissingFileIsModelNotFound) {
  const TemporaryDirectory directory;
  try {
    const GgufFile file(directory / "none.gguf");
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kModelNotFound);
  }
}

TEST(GgufFileTest, LooksLikeGguf) {
  const TemporaryDirectory directory;
  GgufDraft::Small().Write(directory / "a.gguf");
  EXPECT_TRUE(LooksLikeGguf(directory / "a.gguf"));
  GgufDraft ggml = GgufDraft::Small();
  ggml.magic = "GGJT";
  ggml.Write(directory / "b.gguf");
  EXPECT_FALSE(LooksLikeGguf(directory / "b.gguf"));
  std::filesystem::resize_file(directory / "a.gguf", 3);
  EXPECT_FALSE(LooksLikeGguf(directory / "a.gguf"));
  EXPECT_FALSE(LooksLikeGguf(directory / "none.gguf"));
  EXPECT_FALSE(LooksLikeGguf(directory.path()));
}

}  // namespace
}  // namespace llmq
