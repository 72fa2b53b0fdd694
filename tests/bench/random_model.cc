// Writes a checkpoint of a known shape with random weights, so that time and memory of compressing
// a large model can be measured without one: bfloat16, normal, sized as trained models' are.
//
//   random_model CONFIG_JSON OUT_DIR [--layers N] [--tokenizer-from MODEL_DIR]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "base/random.h"
#include "llmq/model_config.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChunk = 1 << 20;  // values written at a time

int64_t Elements(const ExpectedTensor& tensor) {
  int64_t count = 1;
  for (const int64_t size : tensor.shape) count *= size;
  return count;
}

// The header of one safetensors file that holds all tensors, one after the other.
std::string Header(const std::vector<ExpectedTensor>& tensors) {
  Json header = Json::object();
  int64_t offset = 0;
  for (const ExpectedTensor& tensor : tensors) {
    const int64_t end = offset + 2 * Elements(tensor);
    header[tensor.name] = {
        {"dtype", "BF16"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  return DumpJson(header, -1);
}

double Uniform(uint64_t& state) {
  return (static_cast<double>(NextRandom(state) >> 11) + 0.5) * 0x1.0p-53;
}

// Box and Muller; norms are 1.
void WriteValues(std::ofstream& file, const ExpectedTensor& tensor, uint64_t& state) {
  const double size = 1 / std::sqrt(static_cast<double>(tensor.shape.back()));
  const bool norm = tensor.shape.size() == 1;
  std::vector<uint16_t> values;
  for (int64_t left = Elements(tensor); left > 0; left -= static_cast<int64_t>(values.size())) {
    values.resize(static_cast<size_t>(std::min<int64_t>(left, kChunk)));
    for (uint16_t& value : values) {
      const double radius = std::sqrt(-2 * std::log(Uniform(state)));
      const double normal = radius * std::cos(2 * std::numbers::pi * Uniform(state));
      value = FloatToBf16(static_cast<float>(norm ? 1.0 : size * normal));
    }
    file.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size() * sizeof(uint16_t)));
  }
}

void Write(const fs::path& config_path, const fs::path& out, int64_t layers,
           const std::string& tokenizer_from) {
  Json json = ParseJson(ReadTextFile(config_path), config_path.string());
  if (layers > 0) json["num_hidden_layers"] = layers;
  json["torch_dtype"] = "bfloat16";
  fs::create_directories(out);
  const std::string text = DumpJson(json, 2);
  WriteFileAtomically(out / "config.json", text);
  if (!tokenizer_from.empty()) {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
      fs::copy_file(fs::path(tokenizer_from) / name, out / name,
                    fs::copy_options::overwrite_existing);
    }
  }
  const std::vector<ExpectedTensor> tensors =
      ExpectedTensors(ParseModelConfig(text, "", config_path.string()));
  const std::string header = Header(tensors);
  std::ofstream file(out / "model.safetensors", std::ios::binary);
  const uint64_t header_bytes = header.size();
  file.write(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes));
  file << header;
  uint64_t state = 1;
  for (const ExpectedTensor& tensor : tensors) WriteValues(file, tensor, state);
  file.close();
  if (!file) throw std::runtime_error(fmt::format("{}: cannot write", out.string()));
}

}  // namespace
}  // namespace llmq

int main(int argc, char** argv) {
  CLI::App app("Writes a random checkpoint of a given shape");
  std::string config, out, tokenizer_from;
  int64_t layers = 0;
  app.add_option("CONFIG_JSON", config, "config.json of the shape")->required();
  app.add_option("OUT_DIR", out, "Directory to write")->required();
  app.add_option("--layers", layers, "Blocks (0: as config.json has it)");
  app.add_option("--tokenizer-from", tokenizer_from, "Model whose tokenizer is copied");
  CLI11_PARSE(app, argc, argv);
  llmq::Write(config, out, layers, tokenizer_from);
}
