// Checkpoints whose files come while they are open: planned from headers, read when they are there.
#include "llmq/arriving_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "base/bytes.h"
#include "base/file.h"
#include "llmq/checkpoint.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;
using testing::RawTensor;
using testing::TemporaryDirectory;
using testing::TinyCheckpointOptions;
using testing::WriteTinyCheckpoint;

std::string HeaderOf(const std::string& file) {
  uint64_t json = 0;
  std::memcpy(&json, file.data(), sizeof(json));
  return file.substr(0, sizeof(json) + json);
}

// Takes the weight files out of a directory, and brings each back when it is waited for.
class LateWeights : public ArrivingWeights {
 public:
  explicit LateWeights(const fs::path& directory) : directory_(directory) {
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (entry.path().extension() != ".safetensors") continue;
      const std::string bytes = ReadTextFile(entry.path());
      files_.push_back({entry.path().filename(), bytes.size(), HeaderOf(bytes)});
      content_[files_.back().name] = bytes;
      fs::remove(entry.path());
    }
  }

  std::span<const ArrivingFile> files() const override { return files_; }
  std::optional<Error> Wait(const std::string& name) noexcept override {
    const std::lock_guard lock(mutex_);
    waited.push_back(name);
    if (failure) return failure;
    WriteFileAtomically(directory_ / name, content_.at(name));
    return std::nullopt;
  }

  std::string& content(const std::string& name) { return content_.at(name); }
  ArrivingFile& file(const std::string& name) {
    return *std::ranges::find(files_, name, &ArrivingFile::name);
  }

  std::vector<std::string> waited;
  std::optional<Error> failure;

 private:
  fs::path directory_;
  std::mutex mutex_;
  std::vector<ArrivingFile> files_;
  std::map<std::string, std::string> content_;
};

class ArrivingWeightsTest : public ::testing::Test {
 protected:
  ArrivingWeightsTest() {
    TinyCheckpointOptions options;
    options.shards = 3;
    for (const char* name : {"whole", "late"}) WriteTinyCheckpoint(directory_ / name, options);
  }

  void ExpectRefused(LateWeights& weights, const std::string& part) {
    try {
      const Checkpoint checkpoint(directory_ / "late", &weights);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kGeneral);
      EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
    }
    EXPECT_TRUE(weights.waited.empty());
  }

  const TemporaryDirectory directory_;
};

TEST_F(ArrivingWeightsTest, HeadersTellWhatFilesTell) {
  const Checkpoint whole(directory_ / "whole");
  LateWeights weights(directory_ / "late");
  const Checkpoint late(directory_ / "late", &weights);
  EXPECT_EQ(late.parameter_count(), whole.parameter_count());
  ASSERT_EQ(late.tensors().size(), whole.tensors().size());
  for (size_t i = 0; i < whole.tensors().size(); ++i) {
    EXPECT_EQ(late.tensors()[i].name, whole.tensors()[i].name);
    EXPECT_EQ(late.tensors()[i].shape, whole.tensors()[i].shape);
  }
  EXPECT_TRUE(weights.waited.empty());
}

TEST_F(ArrivingWeightsTest, GetWaitsForOneFileAndOnce) {
  const Checkpoint whole(directory_ / "whole");
  LateWeights weights(directory_ / "late");
  const Checkpoint late(directory_ / "late", &weights);
  const std::byte* address = late.Find(kEmbeddingName)->data.data();
  EXPECT_EQ(ToFloat(late.Get(kEmbeddingName)), ToFloat(whole.Get(kEmbeddingName)));
  EXPECT_EQ(late.Get(kEmbeddingName).data.data(), address);
  EXPECT_EQ(weights.waited.size(), 1u);
  for (const TensorView& tensor : whole.tensors()) {
    EXPECT_EQ(ToFloat(late.Get(tensor.name)), ToFloat(tensor)) << tensor.name;
  }
  EXPECT_EQ(weights.waited.size(), 3u);
  EXPECT_EQ(late.Fingerprint(), whole.Fingerprint());
}

TEST_F(ArrivingWeightsTest, ManyThreadsMayWait) {
  const Checkpoint whole(directory_ / "whole");
  LateWeights weights(directory_ / "late");
  const Checkpoint late(directory_ / "late", &weights);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (const TensorView& tensor : whole.tensors()) {
        EXPECT_EQ(ToFloat(late.Get(tensor.name)), ToFloat(tensor)) << tensor.name;
      }
    });
  }
}

TEST_F(ArrivingWeightsTest, FilesAreOrderedByTheirBlocks) {
  LateWeights weights(directory_ / "late");
  const Checkpoint late(directory_ / "late", &weights);
  const std::vector<std::string> order = late.FilesInOrder();
  EXPECT_EQ(order.size(), 3u);
  (void)late.Get(kEmbeddingName);
  EXPECT_EQ(order.front(), weights.waited.front());
  for (const LinearSpec& linear : BlockLinears(late.config())) {
    (void)late.Get(linear.name + ".weight");
  }
  EXPECT_TRUE(std::equal(weights.waited.begin(), weights.waited.end(), order.begin()));
}

TEST_F(ArrivingWeightsTest, FailuresReachTheOneWhoAsks) {
  LateWeights weights(directory_ / "late");
  const Checkpoint late(directory_ / "late", &weights);
  weights.failure = Error(ErrorCode::kUserCancelled, "interrupted");
  try {
    (void)late.Get(kEmbeddingName);
    ADD_FAILURE();
  } catch (const ArrivalError& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUserCancelled);
  }
  weights.failure.reset();
  EXPECT_FALSE(late.Get(kEmbeddingName).data.empty());  // another try may go well
}

TEST_F(ArrivingWeightsTest, AnotherFileThanItsHeaderAnnouncedIsRefused) {
  for (const bool shorter : {false, true}) {
    LateWeights weights(directory_ / "late");
    const Checkpoint late(directory_ / "late", &weights);
    for (const ArrivingFile& file : weights.files()) {
      std::string& content = weights.content(file.name);
      shorter ? content.pop_back() : static_cast<void>(content[20] ^= 1);
    }
    EXPECT_THROW((void)late.Get(kEmbeddingName), ArrivalError);
    EXPECT_THROW((void)late.Get(kEmbeddingName), ArrivalError);  // nor the second time
    WriteTinyCheckpoint(directory_ / "late", {.shards = 3});
  }
}

TEST_F(ArrivingWeightsTest, HeadersAreCheckedLikeFiles) {
  const std::string first = "model-00001-of-00003.safetensors";
  {
    LateWeights weights(directory_ / "late");
    weights.file(first).bytes -= 1;
    ExpectRefused(weights, "data");
    weights.file(first).bytes = weights.file(first).header.size() - 1;
    ExpectRefused(weights, "header");
    weights.file(first).bytes = 0;
    ExpectRefused(weights, first);
    weights.file(first).header.clear();
    ExpectRefused(weights, first);
  }
  WriteTinyCheckpoint(directory_ / "late", {.shards = 3, .missing_tensor = "model.norm.weight"});
  LateWeights without(directory_ / "late");
  ExpectRefused(without, "model.norm.weight");
}

// The scales of a matrix, in another file than the matrix.
TEST_F(ArrivingWeightsTest, Fp8WaitsForItsScales) {
  const std::string fp8 =
      R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [16, 32]}})";
  WriteTinyCheckpoint(directory_ / "fp8", {.config_overrides = fp8});
  const std::string linear = "model.layers.0.self_attn.k_proj";  // [16, 32]
  std::vector<RawTensor> tensors;
  {
    const Checkpoint dense(directory_ / "fp8");
    for (const TensorView& t : dense.tensors()) {
      tensors.push_back({t.name, t.dtype, t.shape, {t.data.begin(), t.data.end()}});
      if (t.name != linear + ".weight") continue;
      tensors.back().dtype = DType::kF8E4M3;
      tensors.back().bytes.assign(16 * 32, std::byte{0x3c});  // 1.5
    }
  }
  const float scale = 0.25f;
  const auto bytes = std::as_bytes(std::span(&scale, 1));
  const std::vector<RawTensor> scales = {
      {linear + ".weight_scale_inv", DType::kF32, {1, 1}, {bytes.begin(), bytes.end()}}};
  testing::WriteSafetensors(directory_ / "fp8" / "a.safetensors", tensors);
  testing::WriteSafetensors(directory_ / "fp8" / "b.safetensors", scales);
  std::string map = "\"" + scales[0].name + "\": \"b.safetensors\"";
  for (const RawTensor& tensor : tensors) map += ", \"" + tensor.name + "\": \"a.safetensors\"";
  WriteFileAtomically(directory_ / "fp8" / "model.safetensors.index.json",
                      "{\"weight_map\": {" + map + "}}");
  fs::remove(directory_ / "fp8" / "model.safetensors");

  LateWeights weights(directory_ / "fp8");
  const Checkpoint late(directory_ / "fp8", &weights);
  (void)late.Get(kEmbeddingName);
  EXPECT_EQ(weights.waited, std::vector<std::string>{"a.safetensors"});
  EXPECT_EQ(ToFloat(late.Get(linear + ".weight")), std::vector<float>(16 * 32, 0.375f));
  EXPECT_EQ(weights.waited.size(), 2u);
}

}  // namespace
}  // namespace llmq
