// The writer's bytes are pinned, and what it writes comes back.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "base/bytes.h"
#include "base/file.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"
#include "tests/formats/golden_models.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq {
namespace {

using testing::GoldenModel;
using testing::GoldenModels;
using testing::GoldenPath;
using testing::TemporaryDirectory;

// LLMQ_UPDATE_GOLDEN=1 rewrites the files; written versions are frozen, so that is for new ones
// only.
TEST(LittleBitWriterTest, BytesAreThoseOfTheGoldenFiles) {
  const TemporaryDirectory directory;
  for (const GoldenModel& model : GoldenModels()) {
    if (std::getenv("LLMQ_UPDATE_GOLDEN") != nullptr) model.write(GoldenPath(model.name));
    model.write(directory / model.name);
    EXPECT_TRUE(ReadTextFile(directory / model.name) == ReadTextFile(GoldenPath(model.name)))
        << model.name;
  }
}

TEST(LittleBitWriterTest, HeaderBytesArePinned) {
  const std::string bytes = ReadTextFile(GoldenPath("one-path"));
  EXPECT_EQ(bytes.substr(0, 8), std::string("LTBT\1\0\0\0", 8));
  uint64_t field;
  std::memcpy(&field, bytes.data() + 8, 8);
  EXPECT_EQ(field, bytes.size());
  uint32_t count;
  std::memcpy(&count, bytes.data() + 40, 4);
  EXPECT_EQ(count, 13u);  // config, embedding, 3 norms, 7 linears, metadata
  std::memcpy(&field, bytes.data() + 56, 8);
  EXPECT_EQ(field, Checksum64(AsBytes(std::string_view(bytes).substr(0, 56))));
}

TEST(LittleBitWriterTest, GoldenFilesOpenAndVerify) {
  for (const GoldenModel& model : GoldenModels()) {
    const LittleBitFile file(GoldenPath(model.name));
    EXPECT_NO_THROW(file.Verify()) << model.name;
    EXPECT_EQ(file.file_bytes(), std::filesystem::file_size(GoldenPath(model.name)));
    EXPECT_EQ(file.metadata().source_model, "example/tiny");
    EXPECT_EQ(file.format_version(), static_cast<uint32_t>(model.version)) << model.name;
  }
}

TEST(LittleBitWriterTest, VersionTwoSaysWhatVersionOneCannot) {
  const LittleBitFile file(GoldenPath("six-bits"));
  EXPECT_EQ(file.metadata().table_bits, (TableBits{6, 8}));
  EXPECT_EQ(file.metadata().budget_scope, BudgetScope::kFile);
  EXPECT_EQ(file.Find(kEmbeddingName)->bits, 6);
  EXPECT_EQ(file.Find(kHeadName)->bits, 8);
  const LittleBitFile first(GoldenPath("two-paths"));
  EXPECT_EQ(first.metadata().table_bits, (TableBits{4, 4}));
  EXPECT_EQ(first.metadata().budget_scope, BudgetScope::kBody);
}

TEST(LittleBitWriterTest, SectionsComeBackAsAdded) {
  const LittleBitFile file(GoldenPath("two-paths"));
  const LittleBitSection* q = file.Find("model.layers.1.self_attn.q_proj.weight");
  ASSERT_NE(q, nullptr);
  EXPECT_EQ(q->kind, StorageKind::kLittleBit);
  EXPECT_EQ(q->littlebit_shape(), (LittleBitShape{30, 35, 3, 2}));
  EXPECT_EQ(q->relative_error, 0.25);
  EXPECT_EQ(q->offset % 64, 0u);
  const LittleBitSection* head = file.Find(kHeadName);
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(head->bits, 4);
  const LittleBitSection* cube = file.Find("model.extra.cube");
  ASSERT_NE(cube, nullptr);
  EXPECT_EQ(cube->shape, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(cube->dtype, DType::kI64);
  EXPECT_EQ(cube->data.size(), 48u);
  EXPECT_EQ(cube->data[47], std::byte{0x5a});
  EXPECT_EQ(file.files().at("merges.txt"), "");
  EXPECT_EQ(file.files().at("tokenizer.json"), "{\"model\": {\"type\": \"BPE\"}}\n");
  EXPECT_EQ(file.Find("no such tensor"), nullptr);
  EXPECT_EQ(file.metadata().seed, 0xffffffffffffffffu);
  EXPECT_EQ(file.metadata().target_bpw, 0.55);
  EXPECT_EQ(file.metadata().table_bits, (TableBits{4, 4}));
}

TEST(LittleBitWriterTest, BodyCountsOnlyCompressedLinears) {
  const LittleBitFile file(GoldenPath("dense"));
  int64_t bytes = 0, weights = 0;
  for (const LinearSpec& linear : BlockLinears(file.config())) {
    if (linear.projection == Projection::kDown) continue;  // left dense in this file
    bytes += LittleBitPayloadBytes({linear.d_out, linear.d_in, 8, 1});
    weights += linear.d_out * linear.d_in;
  }
  EXPECT_EQ(file.body_bytes(), bytes);
  EXPECT_EQ(file.body_weights(), weights);
  EXPECT_DOUBLE_EQ(file.body_bpw(),
                   8.0 * static_cast<double>(bytes) / static_cast<double>(weights));
}

TEST(LittleBitWriterTest, LongSourceNameKeepsItsEnd) {
  const TemporaryDirectory directory;
  const LittleBitFile golden(GoldenPath("one-path"));
  {
    LittleBitWriter writer(directory / "long");
    for (const LittleBitSection& s : golden.sections()) {
      if (s.kind == StorageKind::kFile) writer.AddFile(s.name, AsText(s.data));
      if (s.kind == StorageKind::kDense) writer.AddDense({s.name, s.dtype, s.shape, s.data});
      if (s.kind == StorageKind::kGroupQuant)
        writer.AddGroupQuant(s.name, s.group_quant_shape(), s.data);
      if (s.kind == StorageKind::kLittleBit)
        writer.AddLittleBit(s.name, s.littlebit_shape(), s.data, 0.5);
    }
    LittleBitMetadata metadata = golden.metadata();
    metadata.source_model = std::string(3000, '\x01') + std::string(3000, 'x') + "/the-end";
    EXPECT_EQ(writer.Finish(metadata),
              golden.file_bytes());  // the size does not depend on the metadata
  }
  const LittleBitFile file(directory / "long");
  EXPECT_TRUE(file.metadata().source_model.ends_with("xxx/the-end"));
  EXPECT_GT(file.metadata().source_model.size(), 500u);
}

TEST(LittleBitWriterTest, NothingAppearsWithoutFinish) {
  const TemporaryDirectory directory;
  { LittleBitWriter(directory / "x").AddFile("config.json", "{}"); }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(LittleBitWriterTest, RefusesWhatTheReaderWouldRefuse) {
  const TemporaryDirectory directory;
  LittleBitWriter writer(directory / "x");
  const std::vector<std::byte> bytes(64);
  writer.AddFile("config.json", "{}");
  EXPECT_THROW(writer.AddFile("config.json", "{}"), Error);
  EXPECT_THROW(writer.AddFile("../x", ""), Error);
  EXPECT_THROW(writer.AddFile("", ""), Error);
  EXPECT_THROW(writer.AddDense({"config.json", DType::kF32, {16}, bytes}), Error);
  EXPECT_THROW(writer.AddDense({"a\nb", DType::kF32, {16}, bytes}), Error);
  EXPECT_THROW(writer.AddDense({std::string(1025, 'a'), DType::kF32, {16}, bytes}), Error);
  EXPECT_THROW(writer.AddDense({"a", DType::kF32, {17}, bytes}), Error);
  EXPECT_THROW(writer.AddDense({"a", DType::kF32, {-16}, bytes}), Error);
  EXPECT_THROW(writer.AddDense({"a", DType::kF32, {1, 1, 1, 1, 1, 1, 1, 1, 16}, bytes}), Error);
  EXPECT_THROW(writer.AddGroupQuant("a", {1, 62, 5}, bytes), Error);
  EXPECT_THROW(writer.AddGroupQuant("a", {1, 63, 8}, bytes), Error);
  EXPECT_THROW(writer.AddLittleBit("a", {4, 4, 0, 1}, bytes, 0), Error);
  EXPECT_THROW(writer.AddLittleBit("a", {4, 4, 1, 3}, bytes, 0), Error);
  EXPECT_THROW(writer.AddLittleBit("a", {4, 4, 1, 1}, bytes, -1), Error);
  EXPECT_NO_THROW(writer.AddLittleBit("a", {4, 4, 1, 1}, bytes, 0));
  EXPECT_THROW(writer.Finish({.producer = std::string(2000, 'x')}), Error);
  EXPECT_THROW(writer.Finish({.manual_rank = -1}), Error);
}

TEST(LittleBitWriterTest, LooksLikeTellsByTheMagic) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(LooksLikeLittleBit(GoldenPath("dense")));
  EXPECT_FALSE(LooksLikeLittleBit(directory / "none"));
  EXPECT_FALSE(LooksLikeLittleBit(directory.path()));
  WriteFileAtomically(directory / "short", "LTB");
  EXPECT_FALSE(LooksLikeLittleBit(directory / "short"));
}

}  // namespace
}  // namespace llmq
