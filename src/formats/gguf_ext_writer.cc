// Writes a compressed model as gguf-ext, and back as .littlebit.
//
// Before this: formats/littlebit_file, opened from either container. After this: a file that it
// opens again. One section is in memory at a time.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "formats/gguf_ext.h"
#include "formats/gguf_names.h"
#include "formats/littlebit_metadata.h"

namespace llmq {
namespace {

// Names of the sections' tensors: llama.cpp's where it has one.
class BaseNames {
 public:
  explicit BaseNames(const ModelConfig& config) : known_(GgufTensorNames(config)) {}

  std::string Of(const LittleBitSection& section, size_t index) const {
    constexpr std::string_view kSuffix = ".weight";
    if (const auto it = known_.find(section.name); it != known_.end()) {
      const std::string& name = it->second;
      const bool factors = section.kind == StorageKind::kLittleBit;
      return factors ? name.substr(0, name.size() - kSuffix.size()) : name;
    }
    const bool file = section.kind == StorageKind::kFile;
    const std::string name = "littlebit.file." + section.name;
    if (file && name.size() <= kMaxGgufTensorName) return name;
    return fmt::format("littlebit.{}.{}", file ? "file" : "tensor", index);
  }

 private:
  std::map<std::string, std::string> known_;
};

// What the directory of a .littlebit file says, an array for each of its columns.
struct Columns {
  std::vector<std::string> name, tensor;
  std::vector<uint32_t> kind, dtype, bits, dimensions, paths;
  std::vector<uint64_t> bytes, checksum, rank, shape;
  std::vector<double> relative_error;

  void Add(const LittleBitSection& section, const std::string& base) {
    const bool factors = section.kind == StorageKind::kLittleBit;
    name.push_back(section.name);
    tensor.push_back(base);
    kind.push_back(static_cast<uint32_t>(section.kind));
    dtype.push_back(static_cast<uint32_t>(section.dtype));
    bits.push_back(static_cast<uint32_t>(section.bits));
    dimensions.push_back(static_cast<uint32_t>(section.shape.size()));
    paths.push_back(static_cast<uint32_t>(section.paths));
    bytes.push_back(factors
                        ? static_cast<uint64_t>(LittleBitPayloadBytes(section.littlebit_shape()))
                        : section.data.size());
    checksum.push_back(section.checksum);
    rank.push_back(static_cast<uint64_t>(section.rank));
    shape.insert(shape.end(), section.shape.begin(), section.shape.end());
    relative_error.push_back(section.relative_error);
  }

  void MoveTo(std::vector<GgufKey>& keys) {
    const auto add = [&](const char* column, GgufValue value) {
      keys.push_back({fmt::format("littlebit.section.{}", column), std::move(value)});
    };
    add("name", std::move(name));
    add("tensor", std::move(tensor));
    add("kind", std::move(kind));
    add("bytes", std::move(bytes));
    add("checksum", std::move(checksum));
    add("dtype", std::move(dtype));
    add("bits", std::move(bits));
    add("dimensions", std::move(dimensions));
    add("shape", std::move(shape));
    add("paths", std::move(paths));
    add("rank", std::move(rank));
    add("relative_error", std::move(relative_error));
  }
};

std::string TrimmedMetadata(const LittleBitFile& file) {
  std::string json = DumpMetadata(file.metadata(), file.format_version());
  json.resize(json.find_last_not_of(' ') + 1);
  return json;
}

std::vector<GgufKey> GeneralKeys(const LittleBitFile& file) {
  const std::string architecture = GgufArchitecture(file.config());
  const LittleBitMetadata& metadata = file.metadata();
  return {{"general.architecture", kGgufExtArchitecturePrefix + architecture},
          {"general.type", std::string("model")},
          {"general.name", ModelName(metadata.source_model)},
          {"general.quantized_by", metadata.producer},
          {"general.quantization_version", uint32_t{2}},
          {kGgufExtVersionKey, file.format_version()},
          {"littlebit.base_architecture", architecture},
          {"littlebit.target_bpw", static_cast<float>(metadata.target_bpw)},
          {"littlebit.achieved_bpw", static_cast<float>(file.body_bpw())},
          {"littlebit.bit_order", std::string("lsb0")},
          {"littlebit.sign_one", std::string("-1")},
          {"littlebit.metadata", TrimmedMetadata(file)}};
}

}  // namespace

uint64_t WriteGgufExt(const LittleBitFile& file, const std::filesystem::path& path,
                      std::span<const GgufKey> model_keys) {
  const BaseNames names(file.config());
  std::vector<GgufKey> keys = GeneralKeys(file);
  std::vector<GgufTensor> tensors;
  std::vector<size_t> owners;  // of each tensor: its section
  Columns columns;
  const auto sections = file.sections();
  for (size_t i = 0; i < sections.size(); ++i) {
    if (sections[i].kind == StorageKind::kMetadata) continue;
    const std::string base = names.Of(sections[i], i);
    columns.Add(sections[i], base);
    for (GgufTensor& tensor : GgufExtTensors(sections[i], base)) {
      tensors.push_back(std::move(tensor));
      owners.push_back(i);
    }
  }
  columns.MoveTo(keys);
  keys.insert(keys.end(), model_keys.begin(), model_keys.end());
  GgufWriter writer(path, std::move(keys), tensors, {.alignment = kGgufExtAlignment});
  for (size_t t = 0; t < tensors.size(); ++t) {
    writer.Write(tensors[t].data);
    const bool last = t + 1 == tensors.size() || owners[t + 1] != owners[t];
    if (last) file.Release(sections[owners[t]]);
  }
  return writer.Finish();
}

uint64_t WriteLittleBit(const LittleBitFile& file, const std::filesystem::path& path) {
  LittleBitWriter writer(path);
  for (const LittleBitSection& section : file.sections()) {
    switch (section.kind) {
      case StorageKind::kFile: writer.AddFile(section.name, AsText(section.data)); break;
      case StorageKind::kDense:
        writer.AddDense({section.name, section.dtype, section.shape, section.data});
        break;
      case StorageKind::kGroupQuant:
        writer.AddGroupQuant(section.name, section.group_quant_shape(), section.data);
        break;
      case StorageKind::kLittleBit: {
        const LittleBitShape shape = section.littlebit_shape();
        std::vector<std::byte> payload(static_cast<size_t>(LittleBitPayloadBytes(shape)));
        std::memcpy(payload.data(), section.data.data(), section.data.size());
        writer.AddLittleBit(section.name, shape, payload, section.relative_error);
        break;
      }
      case StorageKind::kMetadata: break;  // Finish() writes it
    }
    file.Release(section);
  }
  return writer.Finish(file.metadata());
}

}  // namespace llmq
