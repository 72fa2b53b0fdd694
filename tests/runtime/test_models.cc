#include "tests/runtime/test_models.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "llmq/checkpoint.h"
#include "llmq/group_quant.h"
#include "llmq/littlebit_file.h"
#include "llmq/model_config.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq::testing {
namespace {

void WriteFiles(const ModelFiles& files, const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  for (const auto& [name, content] : files)
    std::ofstream(directory / name, std::ios::binary) << content;
}

RawTensor FloatTensor(const std::string& name, const std::vector<int64_t>& shape,
                      const std::vector<float>& values) {
  return {name, DType::kF32, shape, EncodeValues(values, DType::kF32)};
}

// Adds `tensor` as a grouped tensor and returns the values that it then stands for.
std::vector<float> AddGrouped(LittleBitWriter& writer, const TensorView& tensor, int bits) {
  const GroupQuantShape shape{tensor.shape[0], tensor.shape[1], bits};
  std::vector<std::byte> bytes(GroupQuantBytes(shape));
  std::vector<float> values = ToFloat(tensor);
  QuantizeGroups(shape, values, bytes);
  writer.AddGroupQuant(tensor.name, shape, bytes);
  for (int64_t row = 0; row < shape.rows; ++row) {
    DequantizeGroupRow(shape, bytes, row, std::span(values).subspan(row * shape.cols, shape.cols));
  }
  return values;
}

}  // namespace

void WriteShuffled(const std::filesystem::path& source, const std::filesystem::path& directory,
                   uint64_t seed) {
  const Checkpoint checkpoint(source);
  WriteFiles(checkpoint.files(), directory);
  std::mt19937_64 random(seed);
  std::vector<RawTensor> shuffled;
  for (const TensorView& tensor : checkpoint.tensors()) {
    RawTensor raw{
        tensor.name, tensor.dtype, tensor.shape, {tensor.data.begin(), tensor.data.end()}};
    const size_t size = DTypeBytes(tensor.dtype);
    for (int64_t i = tensor.num_elements() - 1; i > 0; --i) {
      const auto j = static_cast<int64_t>(random() % static_cast<uint64_t>(i + 1));
      std::swap_ranges(raw.bytes.begin() + i * size, raw.bytes.begin() + (i + 1) * size,
                       raw.bytes.begin() + j * size);
    }
    shuffled.push_back(std::move(raw));
  }
  WriteSafetensors(directory / "model.safetensors", shuffled);
}

LittleBitLinear RandomLittleBit(const LittleBitShape& shape, uint64_t seed) {
  std::vector<std::vector<float>> memory;
  std::vector<LittleBitPathValues> paths;
  const auto draw = [&](int64_t n, double mean, double deviation) -> std::span<const float> {
    memory.push_back(RandomValues(seed++, static_cast<size_t>(n), deviation));
    for (float& value : memory.back()) value += static_cast<float>(mean);
    return memory.back();
  };
  const double scale = 1.0 / std::sqrt(static_cast<double>(shape.rank * shape.d_in * shape.paths));
  memory.reserve(5 * shape.paths);
  for (int64_t p = 0; p < shape.paths; ++p) {
    LittleBitPathValues values;
    values.v = draw(shape.rank * shape.d_in, 0, 1);
    values.u = draw(shape.rank * shape.d_out, 0, 1);
    values.g = draw(shape.d_in, 1, 0.2);
    values.h = draw(shape.d_out, 1, 0.2);
    values.l = draw(shape.rank, scale, scale / 4);
    paths.push_back(values);
  }
  return PackLittleBit(shape, paths);
}

CompressedPair WriteCompressedPair(const std::filesystem::path& source,
                                   const std::filesystem::path& directory, int64_t rank,
                                   int64_t paths, int embedding_bits) {
  const Checkpoint checkpoint(source);
  const CompressedPair pair{directory / "model.littlebit", directory / "dense"};
  WriteFiles(checkpoint.files(), pair.dense);
  LittleBitWriter writer(pair.littlebit);
  for (const auto& [name, content] : checkpoint.files()) writer.AddFile(name, content);

  std::vector<RawTensor> dense;
  std::set<std::string> linears;
  for (const LinearSpec& spec : BlockLinears(checkpoint.config()))
    linears.insert(spec.name + ".weight");
  uint64_t seed = 1;
  for (const TensorView& tensor : checkpoint.tensors()) {
    if (linears.contains(tensor.name)) {
      const LittleBitShape shape{tensor.shape[0], tensor.shape[1], rank, paths};
      const LittleBitLinear layer = RandomLittleBit(shape, seed += 100);
      std::vector<float> values(shape.d_out * shape.d_in);
      ReconstructDense(shape, layer.payload, values);
      writer.AddLittleBit(tensor.name, shape, layer.payload, 1.0);
      dense.push_back(FloatTensor(tensor.name, tensor.shape, values));
    } else if (tensor.name == kEmbeddingName || tensor.name == kHeadName) {
      dense.push_back(
          FloatTensor(tensor.name, tensor.shape, AddGrouped(writer, tensor, embedding_bits)));
    } else {
      writer.AddDense(tensor);
      dense.push_back(FloatTensor(tensor.name, tensor.shape, ToFloat(tensor)));
    }
  }
  LittleBitMetadata metadata;
  metadata.source_model = "test";
  metadata.producer = "test";
  metadata.recipe = "littlebit";
  metadata.manual_rank = rank;
  metadata.original_parameters = checkpoint.parameter_count();
  metadata.original_fp16_bytes = checkpoint.fp16_bytes();
  metadata.table_bits = {embedding_bits, embedding_bits};
  writer.Finish(metadata);
  WriteSafetensors(pair.dense / "model.safetensors", dense);
  return pair;
}

}  // namespace llmq::testing
