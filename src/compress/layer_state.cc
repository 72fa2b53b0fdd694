#include "compress/layer_state.h"

#include <fmt/core.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "compress/state_file.h"
#include "compress/torch_bridge.h"

namespace llmq {
namespace {

constexpr const char* kErrorName = "relative_error";
constexpr const char* kPayloadName = "payload";

struct NamedTensor {
  const char* name;
  at::Tensor PathFactors::*tensor;
};
constexpr std::array<NamedTensor, 5> kPathTensors = {{{"v", &PathFactors::v},
                                                      {"u", &PathFactors::u},
                                                      {"g", &PathFactors::g},
                                                      {"h", &PathFactors::h},
                                                      {"l", &PathFactors::l}}};

std::vector<int64_t> TensorShape(const LittleBitShape& shape, const std::string& name) {
  if (name == "v") return {shape.rank, shape.d_in};
  if (name == "u") return {shape.rank, shape.d_out};
  if (name == "g") return {shape.d_in};
  if (name == "h") return {shape.d_out};
  return {shape.rank};
}

at::Tensor ReadTensor(const StateReader& reader, const std::string& name,
                      const std::vector<int64_t>& shape) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  std::memcpy(tensor.mutable_data_ptr(), reader.Get(name, tensor.nbytes()).data(), tensor.nbytes());
  return tensor;
}

}  // namespace

void SaveLayer(const LayerState& layer, const std::filesystem::path& path) {
  const size_t arrays = layer.is_packed() ? 1 : layer.factors.paths.size() * kPathTensors.size();
  StateWriter writer(path, static_cast<uint32_t>(arrays + 1));
  writer.Add(kErrorName, std::as_bytes(std::span(&layer.factors.relative_error, 1)));
  if (layer.is_packed()) writer.Add(kPayloadName, layer.packed.payload);
  for (size_t p = 0; p < layer.factors.paths.size(); ++p) {
    for (const NamedTensor& named : kPathTensors) {
      writer.Add(fmt::format("{}{}", named.name, p),
                 std::as_bytes(AsSpan(layer.factors.paths[p].*named.tensor)));
    }
  }
  writer.Commit();
}

LayerState LoadLayer(const std::filesystem::path& path, const LittleBitShape& shape, bool packed) {
  const StateReader reader(path);
  LayerState layer;
  layer.factors.shape = shape;
  std::memcpy(&layer.factors.relative_error, reader.Get(kErrorName, sizeof(double)).data(),
              sizeof(double));
  if (packed) {
    const auto bytes =
        reader.Get(kPayloadName, static_cast<uint64_t>(LittleBitPayloadBytes(shape)));
    layer.packed = {shape, {bytes.begin(), bytes.end()}};
    return layer;
  }
  for (int64_t p = 0; p < shape.paths; ++p) {
    PathFactors& factors = layer.factors.paths.emplace_back();
    for (const NamedTensor& named : kPathTensors) {
      factors.*named.tensor =
          ReadTensor(reader, fmt::format("{}{}", named.name, p), TensorShape(shape, named.name));
    }
  }
  return layer;
}

}  // namespace llmq
