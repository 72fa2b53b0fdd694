#include "llamacpp/gguf_model.h"

#include <fmt/format.h>

#include <cmath>
#include <span>
#include <vector>

#include "formats/gguf_names.h"
#include "llamacpp/model_keys.h"
#include "llamacpp/tokenizer_reader.h"
#include "llmq/error.h"

namespace llmq {
namespace {

[[noreturn]] void Fail(const GgufFile& file, const std::string& name, const std::string& what) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}: {}", file.path().string(), name, what),
              "The file does not hold a model that this program can run");
}

// The tensor rope_freqs.weight, if the file has one.
std::vector<float> ReadFrequencyFactors(const GgufFile& file, int64_t head_dim) {
  constexpr const char* kName = "rope_freqs.weight";
  const GgufTensor* tensor = file.FindTensor(kName);
  if (tensor == nullptr) return {};
  if (tensor->type != GgmlType::kF32 || tensor->shape != std::vector<int64_t>{head_dim / 2}) {
    Fail(file, kName,
         fmt::format("expected F32 [{}], found {} [{}]", head_dim / 2, InfoOf(tensor->type).name,
                     fmt::join(tensor->shape, ", ")));
  }
  std::vector<float> factors(static_cast<size_t>(head_dim / 2));
  DequantizeRow(tensor->type, tensor->data, factors);
  for (const float factor : factors) {
    if (!std::isfinite(factor) || factor <= 0) {
      Fail(file, kName, fmt::format("expected positive numbers, found {}", factor));
    }
  }
  return factors;
}

}  // namespace

GgufModel::GgufModel(const std::filesystem::path& path) : file_(path) {
  const std::string config = ConfigJsonFromGguf(file_);
  files_ = TokenizerFilesFromKeys(file_.keys(), path.string());
  files_["config.json"] = config;
  config_ = ParseModelConfig(files_, path.string());
  config_.rope.interleaved = true;
  config_.rope.frequency_factors = ReadFrequencyFactors(file_, config_.head_dim);
  names_ = GgufTensorNames(config_);
  CheckTensors();
}

const GgufTensor* GgufModel::Find(const std::string& hugging_face_name) const {
  const auto it = names_.find(hugging_face_name);
  return it == names_.end() ? nullptr : file_.FindTensor(it->second);
}

void GgufModel::CheckTensors() const {
  for (const ExpectedTensor& expected : ExpectedTensors(config_)) {
    const std::string& name = names_.at(expected.name);
    const GgufTensor* tensor = file_.FindTensor(name);
    if (tensor == nullptr) Fail(file_, name, "expected a tensor of this name, found none");
    if (tensor->shape != expected.shape) {
      Fail(file_, name,
           fmt::format("expected shape [{}], found [{}]", fmt::join(expected.shape, ", "),
                       fmt::join(tensor->shape, ", ")));
    }
    if (!IsQuantizable(tensor->type)) {
      Fail(file_, name,
           fmt::format("expected a type that can be read (F32, F16, BF16, Q8_0, Q4_0, "
                       "Q4_1, Q5_0, Q5_1, Q2_K to Q6_K), found {}",
                       InfoOf(tensor->type).name));
    }
  }
}

}  // namespace llmq
