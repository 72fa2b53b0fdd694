// safetensors headers that lie, and a file written by the format's own library's rules.
#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <fstream>

#include "llmq/error.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq {
namespace {

using testing::RawTensor;
using testing::TemporaryDirectory;

void WriteRaw(const std::filesystem::path& path, uint64_t header_length, const std::string& header,
              size_t data_bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&header_length), 8);
  file << header << std::string(data_bytes, '\1');
}

TEST(SafetensorsTest, ReadsEveryTypeAndShape) {
  const TemporaryDirectory directory;
  std::vector<RawTensor> tensors;
  for (int d = 0; d <= static_cast<int>(DType::kF8E5M2); ++d) {
    const auto dtype = static_cast<DType>(d);
    tensors.push_back(
        {DTypeName(dtype), dtype, {2, 1, 3}, std::vector<std::byte>(6 * DTypeBytes(dtype))});
    tensors.back().bytes[0] = static_cast<std::byte>(d + 1);
  }
  tensors.push_back({"scalar", DType::kF32, {}, std::vector<std::byte>(4)});
  tensors.push_back({"empty", DType::kF32, {0, 7}, {}});
  testing::WriteSafetensors(directory / "all", tensors);
  const SafetensorsFile file(directory / "all");
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(file.tensors()[i].name, tensors[i].name);
    EXPECT_EQ(file.tensors()[i].dtype, tensors[i].dtype);
    EXPECT_EQ(file.tensors()[i].shape, tensors[i].shape);
    EXPECT_TRUE(std::equal(tensors[i].bytes.begin(), tensors[i].bytes.end(),
                           file.tensors()[i].data.begin(), file.tensors()[i].data.end()));
  }
}

TEST(SafetensorsTest, ReadsMetadataAnyOrderAndSpaces) {
  const TemporaryDirectory directory;
  const std::string header =
      R"({"b":{"data_offsets":[4,6],"shape":[2],"dtype":"U8"},"__metadata__":)"
      R"({"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   )";
  WriteRaw(directory / "x", header.size(), header, 6);
  const SafetensorsFile file(directory / "x");
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "b");
  EXPECT_EQ(file.tensors()[0].data.data() - file.tensors()[1].data.data(), 4);
}

struct Lie {
  const char* name;
  const char* header;
  size_t data_bytes;
  const char* message_part;
};

class SafetensorsLieTest : public ::testing::TestWithParam<Lie> {};

TEST_P(SafetensorsLieTest, IsRefused) {
  const TemporaryDirectory directory;
  const std::string header = GetParam().header;
  WriteRaw(directory / "lie", header.size(), header, GetParam().data_bytes);
  try {
    const SafetensorsFile file(directory / "lie");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral);
    EXPECT_NE(error.message().find(GetParam().message_part), std::string::npos) << error.message();
    EXPECT_TRUE(error.message().starts_with((directory / "lie").string() + ": "))
        << error.message();
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, SafetensorsLieTest,
    ::testing::Values(
        Lie{"Empty", "", 0, "begins with '{'"}, Lie{"NotAnObject", "[]", 0, "begins with '{'"},
        Lie{"LeadingSpace", " {}", 0, "begins with '{'"}, Lie{"NoJson", "{]", 0, "expected JSON"},
        Lie{"Garbage", "{} x", 0, "expected JSON"},
        Lie{"InvalidUtf8", "{\"\xff\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
            "expected JSON"},
        Lie{"TensorIsNumber", R"({"a":1})", 0, "\"a\": expected an object"},
        Lie{"TensorIsList", R"({"a":[1]})", 0, "\"a\": expected an object"},
        Lie{"MetadataNotStrings", R"({"__metadata__":{"n":1}})", 0,
            "__metadata__: \"n\": expected a string"},
        Lie{"NoDtype", R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1,
            "\"dtype\": expected a string"},
        Lie{"DtypeUnknown", R"({"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}})", 1,
            "a: \"dtype\": expected a known element type, found \"F4\""},
        Lie{"NoShape", R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1,
            "\"shape\": expected a list"},
        Lie{"NoOffsets", R"({"a":{"dtype":"U8","shape":[1]}})", 1,
            "\"data_offsets\": expected a list"},
        Lie{"NegativeDimension", R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1,
            "\"shape\": expected non-negative integers, found -1"},
        Lie{"FractionalDimension", R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1,
            "\"shape\": expected non-negative integers"},
        Lie{"DimensionBeyond64Bits",
            R"({"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,1]}})", 1,
            "\"shape\": expected non-negative integers"},
        Lie{"ShapeOverflows",
            R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}})", 0,
            "\"shape\": expected at most"},
        Lie{"ShapeOverflowsTimesZero",
            R"({"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807,0],"data_offsets":[0,0]}})",
            0, "\"shape\": expected at most"},
        Lie{"NineDimensions",
            R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1,
            "\"shape\": expected at most 8 dimensions"},
        Lie{"BytesDoNotFitShape", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
            "expected 8 bytes of F32 for shape [2], found 4"},
        Lie{"ThreeOffsets", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1,
            "\"data_offsets\": expected two numbers, found 3"},
        Lie{"OffsetsBackwards", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1,
            "expected begin <= end"},
        Lie{"OffsetsPastEnd", R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", 1,
            "expected begin <= end <= 1, found [0, 9]"},
        Lie{"OffsetsNegative", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 1,
            "\"data_offsets\": expected non-negative"},
        Lie{"Hole", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2,
            "a: expected data at offset 0, found 1 (hole)"},
        Lie{"Overlap",
            R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
            R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
            3, "b: expected data at offset 2, found 1 (overlap)"},
        Lie{"SameBytesTwice",
            R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
            R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
            2, "(overlap)"},
        Lie{"TrailingData", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 2,
            "expected 1 bytes of data, found 2"},
        Lie{"NameTwice",
            R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
            R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
            2, "\"a\": expected one entry, found two"},
        Lie{"KeyTwice", R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1,
            "\"a\": \"dtype\": expected one value, found two"},
        Lie{"NameEmpty", R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
            "tensor names of 1 to"},
        Lie{"NameWithEscape", R"({"a\u001b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
            "without control characters"}),
    [](const auto& test) { return test.param.name; });

TEST(SafetensorsTest, RefusesHeaderLengthsThatLie) {
  const TemporaryDirectory directory;
  for (const uint64_t length : {uint64_t{3}, uint64_t{100'000'001}, ~uint64_t{0}, ~uint64_t{7}}) {
    WriteRaw(directory / "x", length, "{}", 0);
    EXPECT_THROW(const SafetensorsFile file(directory / "x"), Error) << length;
  }
}

TEST(SafetensorsTest, RefusesDeepNesting) {
  const TemporaryDirectory directory;
  const std::string header =
      "{\"a\":{\"x\":" + std::string(100000, '[') + std::string(100000, ']') + "}}";
  WriteRaw(directory / "x", header.size(), header, 0);
  EXPECT_THROW(const SafetensorsFile file(directory / "x"), Error);
}

TEST(SafetensorsTest, RefusesEveryPrefix) {
  const TemporaryDirectory directory;
  const auto path = directory / "x";
  testing::WriteSafetensors(path, {{"a", DType::kF32, {2, 3}, std::vector<std::byte>(24)},
                                   {"b", DType::kU8, {5}, std::vector<std::byte>(5)}});
  for (uint64_t size = std::filesystem::file_size(path); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    EXPECT_THROW(const SafetensorsFile file(path), Error) << size;
  }
}

// A table of many entries is read in one pass; a quadratic look-up would take minutes here.
TEST(SafetensorsTest, ReadsManyTensors) {
  const TemporaryDirectory directory;
  std::string header = "{";
  for (int i = 0; i < 100000; ++i) {
    header += (i == 0 ? "\"t" : ",\"t") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" + std::to_string(i) + "," +
              std::to_string(i + 1) + "]}";
  }
  header += "}";
  WriteRaw(directory / "x", header.size(), header, 100000);
  EXPECT_EQ(SafetensorsFile(directory / "x").tensors().size(), 100000u);
}

}  // namespace
}  // namespace llmq
