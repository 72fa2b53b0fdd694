// A Hugging Face model directory as one sorted table of tensors.
//
// Before this: config.json through core/model_config, shards through formats/safetensors. After
// this: the compressor takes one tensor after the other, and the runtime runs the dense original.
// Everything that a long run would trip over later (a shard missing, a tensor of another shape, an
// element type that cannot be computed with) is refused here, before any work begins.
#include "llmq/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "formats/safetensors_shards.h"
#include "llmq/error.h"

namespace llmq {

namespace fs = std::filesystem;

struct Checkpoint::State {
  State(const fs::path& d, ArrivingWeights* arriving)
      : directory(d),
        files(ReadModelFiles(d)),
        config(ParseModelConfig(files, (d / "config.json").string())),
        shards(d, arriving) {
    const PublishedNames names = PublishedNamesOf(config);
    tensors_left_out = shards.RenamePrefixes(names);
    shards.AttachScales(config, directory.string());
    shards.Rename(names, directory.string());
  }

  fs::path directory;
  ModelFiles files;
  ModelConfig config;
  SafetensorsShards shards;
  int64_t tensors_left_out = 0;

  void CheckArchitecture() const;
};

void Checkpoint::State::CheckArchitecture() const {
  for (const ExpectedTensor& expected : ExpectedTensors(config)) {
    CheckFloatTensor(shards.Find(expected.name), expected, directory.string());
  }
  // A tied head may be stored all the same; then it must look like the embedding.
  const TensorView* head = shards.Find(kHeadName);
  if (head != nullptr) {
    CheckFloatTensor(head, {kHeadName, {config.vocab_size, config.EmbeddingWidth()}},
                     directory.string());
  }
}

Checkpoint::Checkpoint(const fs::path& directory, ArrivingWeights* arriving)
    : state_(std::make_unique<State>(directory, arriving)) {
  state_->CheckArchitecture();
}

Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;

const fs::path& Checkpoint::directory() const { return state_->directory; }
const ModelConfig& Checkpoint::config() const { return state_->config; }
const ModelFiles& Checkpoint::files() const { return state_->files; }
std::span<const TensorView> Checkpoint::tensors() const { return state_->shards.tensors(); }
const TensorView* Checkpoint::Find(std::string_view name) const {
  return state_->shards.Find(name);
}

const TensorView& Checkpoint::Get(std::string_view name) const {
  const TensorView* tensor = Find(name);
  if (tensor == nullptr) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: {}: expected this tensor, found none", directory().string(), name),
                "Fetch the checkpoint again: all shards and the index of one version");
  }
  state_->shards.Await(*tensor);
  return *tensor;
}

std::vector<std::string> Checkpoint::FilesInOrder() const {
  std::vector<std::string> names;
  const auto add = [&](const SafetensorsFile& file) {
    const std::string name = file.file().path().filename().string();
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  add(state_->shards.FileOf(*Find(kEmbeddingName)));
  for (const LinearSpec& linear : BlockLinears(config())) {
    add(state_->shards.FileOf(*Find(linear.name + ".weight")));
  }
  std::ranges::for_each(state_->shards.files(), add);
  return names;
}

int64_t Checkpoint::tensors_left_out() const { return state_->tensors_left_out; }

void Checkpoint::Release(const TensorView& tensor) const { state_->shards.Release(tensor); }

int64_t Checkpoint::parameter_count() const {
  int64_t count = 0;
  for (const TensorView& tensor : tensors()) {
    const bool tied_duplicate = config().tie_word_embeddings && tensor.name == kHeadName;
    if (!tied_duplicate) count += tensor.num_elements();
  }
  return count;
}

int64_t Checkpoint::fp16_bytes() const { return 2 * parameter_count(); }

uint64_t Checkpoint::Fingerprint() const {
  state_->shards.AwaitAll();
  constexpr uint64_t kSample = 64 << 10;
  constexpr uint64_t kStride = 1 << 20;
  StreamingChecksum64 checksum;
  checksum.Update(AsBytes(state_->files.at("config.json")));
  for (const SafetensorsFile& shard : state_->shards.files()) {
    const auto bytes = shard.file().bytes();
    const uint64_t size = bytes.size();
    checksum.Update(std::as_bytes(std::span(&size, 1)));
    checksum.Update(shard.header());
    for (uint64_t offset = shard.header().size(); offset < size; offset += kStride) {
      const auto sample = bytes.subspan(offset, std::min(kSample, size - offset));
      checksum.Update(sample);
      shard.file().Release(sample);
    }
  }
  return checksum.Digest();
}

}  // namespace llmq
