// Writes random checkpoints, whole or with one defect; see the header.
#include "tests/support/tiny_checkpoint.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "base/bytes.h"
#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "llmq/model_config.h"

namespace llmq::testing {
namespace {

// SplitMix64: a counter through a mixer, so equal seeds give equal numbers everywhere. The seed
// goes through the mixer first, for neighbouring seeds would give the same numbers shifted by one.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(Mix(seed)) {}
  double Uniform() {
    state_ += 0x9e3779b97f4a7c15u;
    return static_cast<double>(Mix(state_) >> 11) * 0x1.0p-53;
  }

 private:
  static uint64_t Mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

const char* TorchName(DType dtype) {
  switch (dtype) {
    case DType::kF16: return "float16";
    case DType::kBF16: return "bfloat16";
    case DType::kF64: return "float64";
    default: return "float32";
  }
}

std::string ConfigText(const TinyCheckpointOptions& o) {
  Json config;
  config["architectures"] = Json::array({o.architecture});
  config["model_type"] = o.model_type;
  config["hidden_act"] = "silu";
  config["hidden_size"] = o.hidden_size;
  config["intermediate_size"] = o.intermediate_size;
  config["num_hidden_layers"] = o.num_layers;
  config["num_attention_heads"] = o.num_heads;
  config["num_key_value_heads"] = o.num_kv_heads;
  config["head_dim"] = o.head_dim;
  config["vocab_size"] = o.vocab_size;
  config["max_position_embeddings"] = o.max_position;
  config["rms_norm_eps"] = 1e-5;
  config["rope_theta"] = 10000.0;
  config["tie_word_embeddings"] = o.tied;
  config["attention_bias"] = o.attention_bias;
  config["mlp_bias"] = o.mlp_bias;
  config["bos_token_id"] = 1;
  config["eos_token_id"] = 2;
  config["torch_dtype"] = TorchName(o.dtype);
  config.update(ParseJson(o.config_overrides, "config_overrides"));
  return DumpJson(config, 2);
}

template <typename T>
void Put(std::vector<std::byte>& bytes, T value) {
  const size_t at = bytes.size();
  bytes.resize(at + sizeof(T));
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}

bool IsNorm(const std::string& name) { return name.find("norm") != std::string::npos; }

RawTensor MakeTensor(const ExpectedTensor& expected, const TinyCheckpointOptions& options,
                     uint64_t seed) {
  RawTensor tensor{expected.name, options.dtype, expected.shape, {}};
  if (expected.name == options.wrong_shape_tensor) tensor.shape[0] += 1;
  size_t count = 1;
  for (const int64_t dimension : tensor.shape) count *= static_cast<size_t>(dimension);
  std::vector<float> values = RandomValues(seed, count, options.scale);
  if (IsNorm(expected.name)) {
    for (float& v : values) v = 1 + v / 2;
  }
  if (expected.name == options.zero_tensor) values.assign(count, 0.0f);
  if (expected.name == options.nan_tensor)
    values[count / 2] = std::numeric_limits<float>::quiet_NaN();
  if (expected.name == options.infinite_tensor)
    values[count / 2] = std::numeric_limits<float>::infinity();
  tensor.bytes = EncodeValues(values, options.dtype);
  return tensor;
}

void WriteShards(const std::filesystem::path& directory, const std::vector<RawTensor>& tensors,
                 int shards) {
  Json index;
  index["metadata"] = {{"total_size", 0}};
  const size_t per_shard =
      (tensors.size() + static_cast<size_t>(shards) - 1) / static_cast<size_t>(shards);
  for (int s = 0; s < shards; ++s) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, shards);
    std::vector<RawTensor> part;
    for (size_t i = static_cast<size_t>(s) * per_shard;
         i < std::min(tensors.size(), static_cast<size_t>(s + 1) * per_shard); ++i) {
      part.push_back(tensors[i]);
      index["weight_map"][tensors[i].name] = name;
    }
    WriteSafetensors(directory / name, part);
  }
  WriteFileAtomically(directory / "model.safetensors.index.json", DumpJson(index, 2));
}

void CopyTokenizer(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    const bool wanted = name != "config.json" && name.find("safetensors") == std::string::npos;
    if (wanted && entry.is_regular_file()) {
      std::filesystem::copy_file(entry.path(), to / name,
                                 std::filesystem::copy_options::overwrite_existing);
    }
  }
}

}  // namespace

std::vector<float> RandomValues(uint64_t seed, size_t count, double standard_deviation) {
  Random random(seed);
  const double scale = standard_deviation * std::sqrt(3.0);  // four uniforms have variance 1/3
  std::vector<float> values(count);
  for (float& v : values) {
    const double sum = random.Uniform() + random.Uniform() + random.Uniform() + random.Uniform();
    v = static_cast<float>((sum - 2) * scale);
  }
  return values;
}

std::vector<std::byte> EncodeValues(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> bytes;
  bytes.reserve(values.size() * DTypeBytes(dtype));
  for (const float value : values) {
    switch (dtype) {
      case DType::kF32: Put(bytes, value); break;
      case DType::kF16: Put(bytes, FloatToHalf(value)); break;
      case DType::kBF16: Put(bytes, FloatToBf16(value)); break;
      case DType::kF64: Put(bytes, static_cast<double>(value)); break;
      default: throw std::invalid_argument("EncodeValues: not a floating-point type");
    }
  }
  return bytes;
}

void WriteSafetensors(const std::filesystem::path& path, const std::vector<RawTensor>& tensors) {
  Json header = Json::object();
  uint64_t offset = 0;
  for (const RawTensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", DTypeName(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string json = DumpJson(header);
  json.resize(AlignUp(json.size(), 8), ' ');
  const uint64_t length = json.size();
  AtomicFile file(path);
  file.Append(std::as_bytes(std::span(&length, 1)));
  file.Append(json);
  for (const RawTensor& tensor : tensors) file.Append(tensor.bytes);
  file.Commit();
}

void WriteTinyCheckpoint(const std::filesystem::path& directory,
                         const TinyCheckpointOptions& options) {
  std::filesystem::create_directories(directory);
  const std::string config_text = ConfigText(options);
  WriteFileAtomically(directory / "config.json", config_text);
  if (!options.tokenizer_from.empty()) CopyTokenizer(options.tokenizer_from, directory);

  std::vector<RawTensor> tensors;
  uint64_t seed = options.seed * 1000003;
  for (const ExpectedTensor& expected :
       ExpectedTensors(ParseModelConfig(config_text, "", "tiny checkpoint"))) {
    ++seed;  // a tensor left out does not change the others
    if (expected.name == options.missing_tensor) continue;
    tensors.push_back(MakeTensor(expected, options, seed));
  }
  if (options.shards > 1) {
    WriteShards(directory, tensors, options.shards);
  } else {
    WriteSafetensors(directory / "model.safetensors", tensors);
  }
}

}  // namespace llmq::testing
