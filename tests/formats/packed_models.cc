#include "tests/formats/packed_models.h"

#include <fmt/format.h>

#include <cstring>
#include <span>
#include <stdexcept>

#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "llmq/checkpoint.h"

namespace llmq::testing {
namespace {

namespace fs = std::filesystem;

struct Path {
  int64_t rank = 0;
  std::vector<float> u, v;          // [d_out, r], [r, d_in] of any size: the sign counts
  std::vector<float> h, g, l1, l2;  // as stored
};

double Sign(float value) { return value < 0 ? -1 : 1; }

RawTensor PackWords(const std::string& name, const std::vector<float>& values, int64_t rows,
                    int64_t cols) {
  const int64_t row_words = (cols + 31) / 32;
  std::vector<uint32_t> words(static_cast<size_t>(rows * row_words));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      if (values[i * cols + j] < 0) words[i * row_words + j / 32] |= uint32_t{1} << (j % 32);
    }
  }
  RawTensor tensor{name, DType::kI32, {rows, row_words}, {}};
  tensor.bytes.resize(words.size() * 4);
  std::memcpy(tensor.bytes.data(), words.data(), tensor.bytes.size());
  return tensor;
}

class Packer {
 public:
  Packer(const PackedModelOptions& options, const LinearSpec& linear, uint64_t seed,
         std::vector<RawTensor>& out)
      : options_(options), linear_(linear), seed_(seed), out_(out) {}

  // [d_out, d_in]
  std::vector<double> Pack() {
    std::vector<double> dense(static_cast<size_t>(linear_.d_out * linear_.d_in));
    AddPath(options_.rank, "", dense);
    if (options_.residual_rank > 0) AddPath(options_.residual_rank, "_R", dense);
    return dense;
  }

 private:
  std::vector<float> Random(int64_t count, double deviation) {
    return RandomValues(++seed_, static_cast<size_t>(count), deviation);
  }

  // Rounded to the stored type.
  std::vector<float> Scale(int64_t count, float factor) {
    std::vector<float> values = Random(count, 0.2);
    for (float& value : values) {
      value = (1 + value) * factor;
      if (options_.scale_dtype == DType::kBF16) value = Bf16ToFloat(FloatToBf16(value));
      if (options_.scale_dtype == DType::kF16) value = HalfToFloat(FloatToHalf(value));
    }
    return values;
  }

  void AddPath(int64_t rank, const std::string& r, std::vector<double>& dense) {
    Path path;
    path.rank = rank;
    path.u = Random(linear_.d_out * rank, 1);
    path.v = Random(rank * linear_.d_in, 1);
    path.h = Scale(linear_.d_out, options_.h_factor);
    path.g = Scale(linear_.d_in, options_.g_factor);
    path.l1 = Scale(rank, 0.25f);
    path.l2 = Scale(rank, 0.5f);
    Write(path, r);
    Multiply(path, dense);
  }

  std::string Name(const std::string& part) const { return linear_.name + "." + part; }

  void Write(const Path& path, const std::string& r) {
    out_.push_back(PackWords(Name("U" + r + "_packed"), path.u, linear_.d_out, path.rank));
    out_.push_back(PackWords(Name("V" + r + "_packed"), path.v, path.rank, linear_.d_in));
    out_.push_back(Int64Tensor(Name("U" + r + "_shape"), {linear_.d_out, path.rank}));
    out_.push_back(Int64Tensor(Name("V" + r + "_shape"), {path.rank, linear_.d_in}));
    if (options_.kind == PackedKind::kNanoQuant) {
      WriteScale("scale_pre", path.g);
      WriteScale("scale_post", path.h);
      if (options_.scale_mid) WriteScale("scale_mid", path.l1);
    } else {
      WriteScale("u1" + r, path.h);
      WriteScale("v2" + r, path.g);
      WriteScale("v1" + r, path.l1);
      WriteScale("u2" + r, path.l2);
    }
  }

  void WriteScale(const std::string& part, const std::vector<float>& values) {
    RawTensor tensor{Name(part), options_.scale_dtype, {}, {}};
    if (options_.scales_as_rows) tensor.shape.push_back(1);
    tensor.shape.push_back(static_cast<int64_t>(values.size()));
    tensor.bytes = EncodeValues(values, options_.scale_dtype);
    out_.push_back(std::move(tensor));
  }

  double Latent(const Path& path, int64_t k) const {
    if (options_.kind == PackedKind::kNanoQuant) return options_.scale_mid ? path.l1[k] : 1;
    const float product = path.l1[k] * path.l2[k];
    if (options_.scale_dtype == DType::kBF16) return Bf16ToFloat(FloatToBf16(product));
    if (options_.scale_dtype == DType::kF16) return HalfToFloat(FloatToHalf(product));
    return product;
  }

  void Multiply(const Path& path, std::vector<double>& dense) const {
    for (int64_t i = 0; i < linear_.d_out; ++i) {
      for (int64_t j = 0; j < linear_.d_in; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < path.rank; ++k) {
          sum += Latent(path, k) * Sign(path.u[i * path.rank + k]) *
                 Sign(path.v[k * linear_.d_in + j]);
        }
        dense[i * linear_.d_in + j] += path.h[i] * sum * path.g[j];
      }
    }
  }

  const PackedModelOptions& options_;
  const LinearSpec& linear_;
  uint64_t seed_;
  std::vector<RawTensor>& out_;
};

void WriteShards(const fs::path& directory, const std::vector<RawTensor>& tensors) {
  Json index = {{"metadata", Json::object()}, {"weight_map", Json::object()}};
  for (const size_t shard : {0u, 1u}) {
    const std::string name = fmt::format("model-{}-of-2.safetensors", shard + 1);
    std::vector<RawTensor> part;  // every other one: a linear is spread over both
    for (size_t i = shard; i < tensors.size(); i += 2) {
      part.push_back(tensors[i]);
      index["weight_map"][tensors[i].name] = name;
    }
    WriteSafetensors(directory / name, part);
  }
  WriteFileAtomically(directory / "model.safetensors.index.json", DumpJson(index));
  fs::remove(directory / "model.safetensors");
}

}  // namespace

DenseMatrices WritePackedModel(const fs::path& directory, const PackedModelOptions& options) {
  WriteTinyCheckpoint(directory, options.model);
  std::vector<RawTensor> tensors;
  DenseMatrices dense;
  {
    const Checkpoint checkpoint(directory);
    std::map<std::string, LinearSpec> linears;
    for (const LinearSpec& linear : BlockLinears(checkpoint.config())) {
      if (linear.name != options.dense_linear) linears[linear.name + ".weight"] = linear;
    }
    uint64_t seed = options.model.seed * 7919;
    for (const TensorView& t : checkpoint.tensors()) {
      const auto it = linears.find(t.name);
      if (it == linears.end()) {
        tensors.push_back({t.name, t.dtype, t.shape, {t.data.begin(), t.data.end()}});
      } else {
        dense[t.name] = Packer(options, it->second, seed += 1000, tensors).Pack();
      }
    }
  }
  if (options.change) options.change(tensors);
  WriteSafetensors(directory / "model.safetensors", tensors);
  if (options.shards == 2) WriteShards(directory, tensors);
  return dense;
}

void AddToConfig(const fs::path& directory, const std::string& members) {
  std::string text = ReadTextFile(directory / "config.json");
  text.insert(text.find('{') + 1, members + ",");
  WriteFileAtomically(directory / "config.json", text);
}

RawTensor& At(std::vector<RawTensor>& tensors, const std::string& name) {
  for (RawTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  throw std::invalid_argument("no tensor " + name);
}

RawTensor Int64Tensor(const std::string& name, const std::vector<int64_t>& values) {
  RawTensor tensor{name, DType::kI64, {static_cast<int64_t>(values.size())}, {}};
  const auto bytes = std::as_bytes(std::span(values));
  tensor.bytes.assign(bytes.begin(), bytes.end());
  return tensor;
}

}  // namespace llmq::testing
