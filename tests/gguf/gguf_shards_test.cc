// Split files: written and read as one, and refused when their shards do not belong together.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/file.h"
#include "llmq/error.h"
#include "llmq/gguf.h"
#include "tests/gguf/gguf_draft.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::GgufDraft;
using testing::TemporaryDirectory;
using testing::Text;
using testing::U16;
using testing::U32;

std::vector<GgufTensor> Tensors(const std::vector<int64_t>& sizes) {
  std::vector<GgufTensor> tensors;
  for (const int64_t size : sizes) {
    tensors.push_back({.name = fmt::format("t{}", tensors.size()),
                       .type = GgmlType::kI8,
                       .shape = {size},
                       .data = {}});
  }
  return tensors;
}

std::vector<std::byte> DataOf(const GgufTensor& tensor) {
  return std::vector<std::byte>(tensor.num_bytes(), static_cast<std::byte>(tensor.name.back()));
}

uint64_t WriteAll(GgufWriter& writer, const std::vector<GgufTensor>& tensors) {
  for (const GgufTensor& tensor : tensors) writer.Write(DataOf(tensor));
  return writer.Finish();
}

TEST(GgufShardsTest, AreReadAsOne) {
  const TemporaryDirectory directory;
  // Padded to 64: 128 | 64, 64 | 320 (more than a shard by itself) | 64, 0, 64
  const auto tensors = Tensors({100, 1, 64, 300, 2, 0, 3});
  const GgufWriteOptions options{.alignment = 64, .max_shard_bytes = 128};
  const std::vector<GgufKey> keys = {{"general.architecture", std::string("llama")}};
  GgufWriter writer(directory / "model.gguf", keys, tensors, options);
  const std::vector<std::filesystem::path> paths = {
      directory / "model-00001-of-00004.gguf", directory / "model-00002-of-00004.gguf",
      directory / "model-00003-of-00004.gguf", directory / "model-00004-of-00004.gguf"};
  EXPECT_EQ(writer.paths(), paths);
  const uint64_t bytes = WriteAll(writer, tensors);
  EXPECT_EQ(bytes, PlannedGgufBytes(directory / "model.gguf", keys, tensors, options));

  const GgufFile file(paths[0]);
  EXPECT_EQ(file.path(), paths[0]);
  EXPECT_EQ(file.file_bytes(), bytes);
  uint64_t sum = 0;
  for (const auto& path : paths) sum += std::filesystem::file_size(path);
  EXPECT_EQ(sum, bytes);
  ASSERT_EQ(file.keys().size(), 5u);
  EXPECT_EQ(file.keys()[0].name, "general.architecture");
  EXPECT_EQ(*file.Get<uint32_t>("general.alignment"), 64u);
  EXPECT_EQ(*file.Get<uint16_t>("split.no"), 0);
  EXPECT_EQ(*file.Get<uint16_t>("split.count"), 4);
  EXPECT_EQ(*file.Get<int32_t>("split.tensors.count"), 7);
  ASSERT_EQ(file.tensors().size(), 7u);
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(file.tensors()[i].name, tensors[i].name);
    EXPECT_TRUE(std::ranges::equal(file.tensors()[i].data, DataOf(tensors[i]))) << i;
    file.Release(file.tensors()[i]);
    EXPECT_TRUE(std::ranges::equal(file.tensors()[i].data, DataOf(tensors[i]))) << i;
  }
}

TEST(GgufShardsTest, OneShardIsNumberedToo) {
  const TemporaryDirectory directory;
  const auto tensors = Tensors({100, 1});
  GgufWriter writer(directory / "no extension", {}, tensors, {.max_shard_bytes = 1 << 20});
  WriteAll(writer, tensors);
  EXPECT_EQ(writer.paths()[0].filename(), "no extension-00001-of-00001.gguf");
  EXPECT_EQ(GgufFile(writer.paths()[0]).tensors().size(), 2u);
}

TEST(GgufShardsTest, NothingAppearsBeforeFinish) {
  const TemporaryDirectory directory;
  const auto tensors = Tensors({100, 100, 100});
  {
    GgufWriter writer(directory / "m.gguf", {}, tensors, {.max_shard_bytes = 1});
    for (const GgufTensor& tensor : tensors) writer.Write(DataOf(tensor));
    for (const auto& path : writer.paths()) EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(GgufShardsTest, NothingStaysIfOneNameIsTaken) {
  const TemporaryDirectory directory;
  const auto tensors = Tensors({100, 100, 100});
  std::filesystem::create_directory(directory / "m-00002-of-00003.gguf");  // no file can replace it
  {
    GgufWriter writer(directory / "m.gguf", {}, tensors, {.max_shard_bytes = 1});
    EXPECT_THROW(WriteAll(writer, tensors), Error);
  }
  std::filesystem::remove(directory / "m-00002-of-00003.gguf");
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

class GgufShardLieTest : public ::testing::Test {
 protected:
  // Three shards of one tensor each: "m-0000N-of-00003.gguf".
  void SetUp() override {
    const auto tensors = Tensors({100, 100, 100});
    GgufWriter writer(directory_ / "m.gguf", {}, tensors, {.max_shard_bytes = 1});
    WriteAll(writer, tensors);
    paths_ = writer.paths();
  }
  // Another content for a shard; `keys` are name and value.
  void Replace(size_t shard, const std::vector<std::pair<std::string, std::string>>& keys,
               const std::string& tensor) {
    GgufDraft draft;
    for (const auto& [name, value] : keys) draft.AddKey(name, value);
    draft.tensors = {{Text(tensor), 1, {32}, 24, 0}};
    draft.data = std::string(32, 'x');
    draft.Write(paths_[shard]);
  }
  void ExpectRefused(const std::filesystem::path& path, const std::string& message_part,
                     ErrorCode code = ErrorCode::kGeneral) {
    try {
      const GgufFile file(path);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_NE(error.message().find(message_part), std::string::npos) << error.message();
    }
  }

  TemporaryDirectory directory_;
  std::vector<std::filesystem::path> paths_;
};

TEST_F(GgufShardLieTest, AnotherShardNamesTheFirst) {
  ExpectRefused(paths_[1], paths_[1].string() + ": expected the first shard (" +
                               paths_[0].string() + "), found shard 2 of 3");
  std::filesystem::rename(paths_[2], directory_ / "c.gguf");
  ExpectRefused(
      directory_ / "c.gguf",
      "expected the first shard (the file ending in -00001-of-00003.gguf), found shard 3");
}

TEST_F(GgufShardLieTest, RenamedFirstShard) {
  std::filesystem::rename(paths_[0], directory_ / "a");
  ExpectRefused(directory_ / "a", "file name: expected an ending \"-00001-of-00003.gguf\"");
}

TEST_F(GgufShardLieTest, MissingShard) {
  std::filesystem::remove(paths_[2]);
  ExpectRefused(paths_[0], paths_[2].string() + ": expected a readable file",
                ErrorCode::kModelNotFound);
}

TEST_F(GgufShardLieTest, DamagedShard) {
  std::filesystem::resize_file(paths_[1], 100);
  ExpectRefused(paths_[0], paths_[1].string() + ": ");
}

TEST_F(GgufShardLieTest, SwappedShards) {
  std::filesystem::copy_file(paths_[1], paths_[2],
                             std::filesystem::copy_options::overwrite_existing);
  ExpectRefused(paths_[0], paths_[2].string() + ": key split.no: expected 2, found 1");
}

TEST_F(GgufShardLieTest, NotAShard) {
  Replace(1, {}, "t1");
  ExpectRefused(paths_[0], paths_[1].string() + ": key split.no: expected in every shard");
  Replace(1, {{"split.no", U32(4) + U32(1)}}, "t1");
  ExpectRefused(paths_[0], paths_[1].string() + ": key split.no: expected UINT16, found UINT32");
}

TEST_F(GgufShardLieTest, OfAnotherCount) {
  Replace(1, {{"split.no", U32(2) + U16(1)}, {"split.count", U32(2) + U16(4)}}, "t1");
  ExpectRefused(paths_[0], paths_[1].string() + ": key split.count: expected 3, found 4");
}

TEST_F(GgufShardLieTest, WithoutTheNumberOfTensors) {
  Replace(0, {{"split.no", U32(2) + U16(0)}, {"split.count", U32(2) + U16(3)}}, "t0");
  ExpectRefused(paths_[0], "key split.tensors.count: expected in every shard, found none");
}

TEST_F(GgufShardLieTest, WithAnotherNumberOfTensors) {
  Replace(0,
          {{"split.no", U32(2) + U16(0)},
           {"split.count", U32(2) + U16(3)},
           {"split.tensors.count", U32(5) + U32(4)}},
          "t0");
  ExpectRefused(paths_[0],
                "key split.tensors.count: expected 3, the tensors of all shards, found 4");
}

TEST_F(GgufShardLieTest, TensorInTwoShards) {
  Replace(2, {{"split.no", U32(2) + U16(2)}, {"split.count", U32(2) + U16(3)}}, "t0");
  ExpectRefused(paths_[0], "tensor t0: expected once, found twice");
}

}  // namespace
}  // namespace llmq
