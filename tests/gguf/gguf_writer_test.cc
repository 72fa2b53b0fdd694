// What GgufWriter writes comes back, and what no reader accepts is not written.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/file.h"
#include "llmq/error.h"
#include "llmq/gguf.h"
#include "tests/gguf/gguf_draft.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::TemporaryDirectory;

template <typename T>
std::vector<T> Extremes() {
  return {std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max(), T{1}};
}

// Every type of value: alone, as an array, as an empty array.
std::vector<GgufKey> EveryKey() {
  const std::vector<GgufValue> values = {uint8_t{255},
                                         int8_t{-128},
                                         uint16_t{65535},
                                         int16_t{-32768},
                                         uint32_t{4294967295},
                                         int32_t{-2147483647},
                                         -0.0f,
                                         true,
                                         std::string("text\0with \xff bytes\n", 18),
                                         std::numeric_limits<uint64_t>::max(),
                                         std::numeric_limits<int64_t>::min(),
                                         -std::numeric_limits<double>::infinity(),
                                         Extremes<uint8_t>(),
                                         Extremes<int8_t>(),
                                         Extremes<uint16_t>(),
                                         Extremes<int16_t>(),
                                         Extremes<uint32_t>(),
                                         Extremes<int32_t>(),
                                         Extremes<float>(),
                                         GgufBools{{0, 1, 1}},
                                         std::vector<std::string>{"", "a", std::string(1000, 'b')},
                                         Extremes<uint64_t>(),
                                         Extremes<int64_t>(),
                                         Extremes<double>()};
  std::vector<GgufKey> keys = {
      {"no bytes", std::vector<uint8_t>()}, {"no chars", std::vector<int8_t>()},
      {"no u16", std::vector<uint16_t>()},  {"no i16", std::vector<int16_t>()},
      {"no u32", std::vector<uint32_t>()},  {"no i32", std::vector<int32_t>()},
      {"no f32", std::vector<float>()},     {"no truths", GgufBools()},
      {"no u64", std::vector<uint64_t>()},  {"no i64", std::vector<int64_t>()},
      {"no f64", std::vector<double>()},    {"no strings", std::vector<std::string>()},
      {"no text", std::string()},           {"false", false}};
  for (const GgufValue& value : values) keys.push_back({GgufTypeName(value), value});
  return keys;
}

// Every type that ggml has, in one to four dimensions.
std::vector<GgufTensor> EveryTensor() {
  std::vector<GgufTensor> tensors;
  for (uint32_t id = 0; id < 64; ++id) {
    const GgmlTypeInfo* info = FindGgmlType(id);
    if (info == nullptr) continue;
    std::vector<int64_t> shape = {3, info->block_values};
    if (id % 4 == 1) shape = {info->block_values * 2};
    if (id % 4 == 2) shape = {1, 2, info->block_values};
    if (id % 4 == 3) shape = {2, 1, 1, info->block_values};
    tensors.push_back({.name = info->name, .type = info->type, .shape = shape, .data = {}});
  }
  tensors.push_back({.name = "scalar", .type = GgmlType::kF32, .shape = {}, .data = {}});
  tensors.push_back({.name = "empty", .type = GgmlType::kQ4_K, .shape = {0, 256}, .data = {}});
  tensors.push_back({.name = "odd", .type = GgmlType::kI8, .shape = {7}, .data = {}});
  return tensors;
}

std::vector<std::byte> DataOf(const GgufTensor& tensor) {
  std::vector<std::byte> data(tensor.num_bytes());
  for (size_t i = 0; i < data.size(); ++i) {
    data[i] = static_cast<std::byte>(i * 7 + tensor.name.size());
  }
  return data;
}

uint64_t WriteAll(GgufWriter& writer, const std::vector<GgufTensor>& tensors) {
  for (const GgufTensor& tensor : tensors) writer.Write(DataOf(tensor));
  return writer.Finish();
}

void ExpectTensors(const GgufFile& file, const std::vector<GgufTensor>& expected) {
  ASSERT_EQ(file.tensors().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const GgufTensor& found = file.tensors()[i];
    EXPECT_EQ(found.name, expected[i].name);
    EXPECT_EQ(found.type, expected[i].type) << found.name;
    EXPECT_EQ(found.shape, expected[i].shape) << found.name;
    EXPECT_TRUE(std::ranges::equal(found.data, DataOf(expected[i]))) << found.name;
  }
}

// `extra` keys are those that the writer adds, behind the others.
void ExpectKeys(const GgufFile& file, const std::vector<GgufKey>& expected, size_t extra) {
  ASSERT_EQ(file.keys().size(), expected.size() + extra);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(file.keys()[i].name, expected[i].name);
    EXPECT_TRUE(file.keys()[i].value == expected[i].value) << expected[i].name;
  }
}

TEST(GgufWriterTest, EveryTypeComesBack) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "file.gguf";
  const std::vector<GgufTensor> tensors = EveryTensor();
  ASSERT_EQ(tensors.size(), 38u);  // 35 types
  for (const uint64_t alignment : {32, 64, 8, 4096}) {
    const GgufWriteOptions options{.alignment = alignment};
    GgufWriter writer(path, EveryKey(), tensors, options);
    EXPECT_EQ(writer.paths(), std::vector<std::filesystem::path>{path});
    const uint64_t bytes = WriteAll(writer, tensors);
    EXPECT_EQ(bytes, std::filesystem::file_size(path));
    EXPECT_EQ(bytes, PlannedGgufBytes(path, EveryKey(), tensors, options));
    EXPECT_EQ(bytes % alignment, 0u);

    const GgufFile file(path);
    EXPECT_EQ(file.alignment(), alignment);
    EXPECT_EQ(file.version(), 3u);
    EXPECT_EQ(file.file_bytes(), bytes);
    EXPECT_EQ(file.Find("general.alignment") != nullptr, alignment != 32);
    ExpectKeys(file, EveryKey(), alignment == 32 ? 0 : 1);
    ExpectTensors(file, tensors);
  }
}

TEST(GgufWriterTest, NothingToWriteIsAFile) {
  const TemporaryDirectory directory;
  GgufWriter writer(directory / "file.gguf", {}, {});
  EXPECT_EQ(writer.Finish(), 32u);
  EXPECT_TRUE(GgufFile(directory / "file.gguf").tensors().empty());
}

TEST(GgufWriterTest, BytesArePinned) {
  using testing::Text;
  using testing::U32;
  using testing::U64;
  const TemporaryDirectory directory;
  const std::vector<GgufTensor> tensors = {
      {.name = "t", .type = GgmlType::kI8, .shape = {2, 3}, .data = {}}};
  GgufWriter writer(directory / "file.gguf", {{"k", std::vector<std::string>{"v"}}}, tensors);
  WriteAll(writer, tensors);
  std::string expected = "GGUF" + U32(3) + U64(1) + U64(1) + Text("k") + U32(9) + U32(8) + U64(1) +
                         Text("v") + Text("t") + U32(2) + U64(3) + U64(2) + U32(24) + U64(0);
  expected.resize(128, '\0');  // 107 bytes so far
  expected += std::string("\x01\x08\x0f\x16\x1d\x24", 6) + std::string(26, '\0');
  EXPECT_EQ(ReadTextFile(directory / "file.gguf"), expected);
}

TEST(GgufWriterTest, TypeNames) {
  EXPECT_EQ(GgufTypeName(uint32_t{1}), "UINT32");
  EXPECT_EQ(GgufTypeName(true), "BOOL");
  EXPECT_EQ(GgufTypeName(std::string()), "STRING");
  EXPECT_EQ(GgufTypeName(uint64_t{1}), "UINT64");
  EXPECT_EQ(GgufTypeName(1.0), "FLOAT64");
  EXPECT_EQ(GgufTypeName(std::vector<uint8_t>()), "ARRAY of UINT8");
  EXPECT_EQ(GgufTypeName(GgufBools()), "ARRAY of BOOL");
  EXPECT_EQ(GgufTypeName(std::vector<double>()), "ARRAY of FLOAT64");
}

struct Refusal {
  const char* name;
  std::vector<GgufKey> keys;
  std::vector<GgufTensor> tensors;
  GgufWriteOptions options;
  const char* message_part;
};

GgufTensor Tensor(const std::string& name, GgmlType type, std::vector<int64_t> shape) {
  return {.name = name, .type = type, .shape = std::move(shape), .data = {}};
}

std::vector<Refusal> Refusals() {
  const GgufTensor good = Tensor("good", GgmlType::kF32, {2});
  const auto f32 = [](std::vector<int64_t> shape) {
    return std::vector<GgufTensor>{Tensor("t", GgmlType::kF32, std::move(shape))};
  };
  return {
      {"key empty", {{"", 1.0f}}, {}, {}, "key: name: expected 1 to 65535 bytes, found 0"},
      {"key long", {{std::string(65536, 'k'), 1.0f}}, {}, {}, "found 65536"},
      {"key control", {{"a\tb", 1.0f}}, {}, {}, "key: name: expected no control characters"},
      {"key twice", {{"k", 1.0f}, {"k", true}}, {}, {}, "key k: expected once, found twice"},
      {"own alignment", {{"general.alignment", 32u}}, {}, {}, "expected to be left to the writer"},
      {"own split", {{"split.count", uint16_t{2}}}, {}, {}, "expected to be left to the writer"},
      {"bool", {{"k", GgufBools{{2}}}}, {}, {}, "key k: expected BOOL values 0 or 1, found 2"},
      {"name empty", {}, {Tensor("", GgmlType::kF32, {1})}, {}, "expected 1 to 63 bytes, found 0"},
      {"name long", {}, {Tensor(std::string(64, 't'), GgmlType::kF32, {1})}, {}, "found 64"},
      {"name control", {}, {Tensor("a\x7f", GgmlType::kF32, {1})}, {}, "no control characters"},
      {"name twice", {}, {good, good}, {}, "tensor good: expected once, found twice"},
      {"type", {}, {Tensor("t", static_cast<GgmlType>(43), {1})}, {}, "type: expected one"},
      {"dimensions", {}, f32({1, 1, 1, 1, 1}), {}, "expected at most 4 dimensions, found 5"},
      {"negative", {}, f32({-1}), {}, "shape: expected at most"},
      {"overflow", {}, f32({int64_t{1} << 40, int64_t{1} << 40}), {}, "shape: expected at most"},
      {"blocks", {}, {Tensor("t", GgmlType::kQ4_K, {256, 128})}, {}, "rows of whole Q4_K blocks"},
      {"alignment", {}, {}, {.alignment = 48}, "alignment: expected a power of two from 8"},
      {"alignment 0", {}, {}, {.alignment = 0}, "alignment: expected a power of two from 8"},
  };
}

TEST(GgufWriterTest, WhatNoReaderAcceptsIsNotWritten) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "file.gguf";
  const auto expect_error = [&](const Refusal& refusal, auto&& action) {
    try {
      action();
      ADD_FAILURE() << refusal.name << " accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kGeneral);
      EXPECT_NE(error.message().find(refusal.message_part), std::string::npos) << error.message();
      EXPECT_TRUE(error.message().starts_with(path.string() + ": ")) << error.message();
    }
  };
  for (const Refusal& r : Refusals()) {
    expect_error(r, [&] { GgufWriter(path, r.keys, r.tensors, r.options); });
    expect_error(r, [&] { PlannedGgufBytes(path, r.keys, r.tensors, r.options); });
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(GgufWriterTest, TensorsMayComeInParts) {
  const TemporaryDirectory directory;
  const std::vector<GgufTensor> tensors = {Tensor("t", GgmlType::kF16, {5, 3}),
                                           Tensor("u", GgmlType::kF16, {5})};
  for (const char* name : {"whole.gguf", "parts.gguf"}) {
    GgufWriter writer(directory / name, {}, tensors);
    const std::string data(30, 'a');
    const auto bytes = std::as_bytes(std::span(data));
    const bool in_parts = std::string(name) == "parts.gguf";
    writer.WritePart(bytes.first(in_parts ? 7 : 30));
    if (in_parts) {
      EXPECT_THROW(writer.WritePart(bytes.first(24)), Error);  // 23 are missing
      EXPECT_THROW(writer.Write(bytes), Error);
      EXPECT_THROW(writer.Finish(), Error);
      writer.WritePart(bytes.first(20));
      writer.WritePart(bytes.first(3));
    }
    writer.Write(bytes.first(10));
    writer.Finish();
  }
  EXPECT_TRUE(ReadTextFile(directory / "whole.gguf") == ReadTextFile(directory / "parts.gguf"));
}

TEST(GgufWriterTest, WrongNumbersOfBytesAndTensors) {
  const TemporaryDirectory directory;
  const std::vector<GgufTensor> tensors = {Tensor("t", GgmlType::kF16, {5}),
                                           Tensor("u", GgmlType::kF16, {5})};
  {
    GgufWriter writer(directory / "file.gguf", {}, tensors);
    EXPECT_THROW(writer.Write(std::vector<std::byte>(9)), Error);
    EXPECT_THROW(writer.Write(std::vector<std::byte>(11)), Error);
    writer.Write(std::vector<std::byte>(10));
    EXPECT_THROW(writer.Finish(), Error);
    writer.Write(std::vector<std::byte>(10));
    EXPECT_THROW(writer.Write({}), Error);
    EXPECT_TRUE(!std::filesystem::exists(directory / "file.gguf"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

}  // namespace
}  // namespace llmq
