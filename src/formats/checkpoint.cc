// A Hugging Face model directory as one sorted table of tensors.
//
// Before this: config.json through core/model_config, shards through formats/safetensors. After
// this: the compressor takes one tensor after the other, and the runtime runs the dense original.
// Everything that a long run would trip over later (a shard missing, a tensor of another shape, an
// element type that cannot be computed with) is refused here, before any work begins.
#include "llmq/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"
#include "base/limits.h"
#include "formats/json_rows.h"
#include "formats/safetensors.h"
#include "llmq/error.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr uint64_t kMaxIndexBytes = uint64_t{256} << 20;
constexpr const char* kFetchAgain =
    "Fetch the checkpoint again: all shards and the index of one version";

using WeightMap = std::map<std::string, std::string>;  // tensor name -> shard file name

[[noreturn]] void Fail(const std::string& where, const std::string& what,
                       const std::string& suggestion) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what), suggestion);
}

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Shards lie beside the index: a name with a path in it would read files elsewhere.
bool IsShardName(const std::string& name) {
  return IsPlainFileName(name) && name.ends_with(".safetensors");
}

WeightMap ReadIndex(const fs::path& path) {
  const std::string where = path.string();
  WeightMap map;
  const MappedFile file(path);
  if (file.bytes().size() > kMaxIndexBytes) {
    Fail(where,
         fmt::format("expected at most {} bytes, found {}", kMaxIndexBytes, file.bytes().size()),
         kFetchAgain);
  }
  ForEachJsonRow(AsText(file.bytes()), where, [&](const std::string& name, const JsonRow& row) {
    if (name != "weight_map") return;
    for (const auto& [tensor, shard] : row.items()) {
      if (!shard.is_string() || !IsShardName(shard.get<std::string>())) {
        Fail(where,
             fmt::format("\"weight_map\": {}: expected the name of a .safetensors file, found {}",
                         tensor, shard.dump(-1, ' ', true).substr(0, 80)),
             kFetchAgain);
      }
      map[tensor] = shard.get<std::string>();
    }
  });
  if (map.empty()) Fail(where, "\"weight_map\": expected tensors, found none", kFetchAgain);
  return map;
}

[[noreturn]] void ThrowNoWeights(const fs::path& directory) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth") {
      Fail(directory.string(),
           fmt::format("expected {} or {}, found only pickled weights ({})", kSingleFile,
                       kIndexFile, entry.path().filename().string()),
           "Pickled weights can run code when they are read; convert them to safetensors first");
    }
  }
  throw Error(ErrorCode::kModelNotFound,
              fmt::format("{}: expected {} or {}, found neither", directory.string(), kSingleFile,
                          kIndexFile),
              "Give a directory with config.json and *.safetensors files");
}

// The index and the shards must say the same.
void CheckAgainstIndex(const WeightMap& map, const std::set<std::string>& found_in_shard,
                       const std::string& shard, const std::string& where) {
  for (const auto& [tensor, mapped_shard] : map) {
    if (mapped_shard == shard && !found_in_shard.contains(tensor)) {
      Fail(where,
           fmt::format("{}: expected this tensor as {} says, found none", tensor, kIndexFile),
           kFetchAgain);
    }
  }
  for (const std::string& tensor : found_in_shard) {
    const auto it = map.find(tensor);
    if (it == map.end() || it->second != shard) {
      Fail(where,
           fmt::format("{}: expected only tensors that {} places here, found one that it places {}",
                       tensor, kIndexFile, it == map.end() ? "nowhere" : "in " + it->second),
           kFetchAgain);
    }
  }
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

void CheckTensor(const TensorView* tensor, const ExpectedTensor& expected,
                 const std::string& where) {
  const std::string suggestion =
      "The weights do not belong to this config.json; fetch the checkpoint again";
  if (tensor == nullptr) {
    Fail(where,
         fmt::format("{}: expected a tensor of shape {}, found none", expected.name,
                     ShapeText(expected.shape)),
         suggestion);
  }
  if (tensor->shape != expected.shape) {
    Fail(where,
         fmt::format("{}: expected shape {}, found {}", expected.name, ShapeText(expected.shape),
                     ShapeText(tensor->shape)),
         suggestion);
  }
  if (!IsFloat(tensor->dtype)) {
    Fail(where,
         fmt::format("{}: expected F32, F16, BF16 or F64, found {}", expected.name,
                     DTypeName(tensor->dtype)),
         "Start from the original checkpoint in full precision");
  }
}

}  // namespace

struct Checkpoint::State {
  fs::path directory;
  ModelFiles files;
  ModelConfig config;
  std::vector<SafetensorsFile> shards;  // sorted by file name
  std::vector<TensorView> tensors;      // sorted by name

  void OpenShards();
  void CheckArchitecture() const;
  const TensorView* Find(std::string_view name) const;
};

void Checkpoint::State::OpenShards() {
  if (Exists(directory / kSingleFile)) {
    shards.emplace_back(directory / kSingleFile);
  } else if (Exists(directory / kIndexFile)) {
    const WeightMap map = ReadIndex(directory / kIndexFile);
    std::set<std::string> names;  // shard files
    for (const auto& [tensor, shard] : map) names.insert(shard);
    for (const std::string& shard : names) {
      const fs::path path = directory / shard;
      if (!Exists(path)) {
        Fail(path.string(),
             fmt::format("expected a shard that {} names, found no file", kIndexFile), kFetchAgain);
      }
      shards.emplace_back(path);
      std::set<std::string> found;
      for (const TensorView& tensor : shards.back().tensors()) found.insert(tensor.name);
      CheckAgainstIndex(map, found, shard, path.string());
    }
  } else {
    ThrowNoWeights(directory);
  }
  for (const SafetensorsFile& shard : shards) {
    tensors.insert(tensors.end(), shard.tensors().begin(), shard.tensors().end());
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorView& a, const TensorView& b) { return a.name < b.name; });
}

const TensorView* Checkpoint::State::Find(std::string_view name) const {
  const auto it =
      std::lower_bound(tensors.begin(), tensors.end(), name,
                       [](const TensorView& t, std::string_view n) { return t.name < n; });
  return it != tensors.end() && it->name == name ? &*it : nullptr;
}

void Checkpoint::State::CheckArchitecture() const {
  for (const ExpectedTensor& expected : ExpectedTensors(config)) {
    CheckTensor(Find(expected.name), expected, directory.string());
  }
  // A tied head may be stored all the same; then it must look like the embedding.
  const TensorView* head = Find(kHeadName);
  if (head != nullptr) {
    CheckTensor(head, {kHeadName, {config.vocab_size, config.hidden_size}}, directory.string());
  }
}

Checkpoint::Checkpoint(const fs::path& directory) : state_(std::make_unique<State>()) {
  state_->directory = directory;
  state_->files = ReadModelFiles(directory);
  state_->config = ParseModelConfig(state_->files, (directory / "config.json").string());
  state_->OpenShards();
  state_->CheckArchitecture();
}

Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;

const fs::path& Checkpoint::directory() const { return state_->directory; }
const ModelConfig& Checkpoint::config() const { return state_->config; }
const ModelFiles& Checkpoint::files() const { return state_->files; }
std::span<const TensorView> Checkpoint::tensors() const { return state_->tensors; }
const TensorView* Checkpoint::Find(std::string_view name) const { return state_->Find(name); }

const TensorView& Checkpoint::Get(std::string_view name) const {
  const TensorView* tensor = Find(name);
  if (tensor == nullptr) {
    Fail(directory().string(), fmt::format("{}: expected this tensor, found none", name),
         kFetchAgain);
  }
  return *tensor;
}

void Checkpoint::Release(const TensorView& tensor) const {
  for (const SafetensorsFile& shard : state_->shards) {
    if (shard.Holds(tensor)) shard.file().Release(tensor.data);
  }
}

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
  constexpr uint64_t kSample = 64 << 10;
  constexpr uint64_t kStride = 1 << 20;
  StreamingChecksum64 checksum;
  checksum.Update(AsBytes(state_->files.at("config.json")));
  for (const SafetensorsFile& shard : state_->shards) {
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
