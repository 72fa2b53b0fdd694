// Compressed layers become dense matrices again, and these become llama.cpp's blocks.
//
// Before this: formats/littlebit_file. After this: a GGUF file for every llama.cpp. The list of
// tensors is made first, because the table stands before the data; then each tensor is multiplied
// out, quantized and written.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>

#include "formats/gguf_names.h"
#include "llamacpp/file_type.h"
#include "llamacpp/model_keys.h"
#include "llamacpp/tokenizer_writer.h"
#include "llmq/convert.h"
#include "llmq/error.h"

namespace llmq {
namespace {

// Rows of an output tensor.
struct Source {
  std::string name;           // Hugging Face's
  int64_t rotated_heads = 0;  // rows are queries or keys of so many heads; 0: they are not
};

// One tensor of the output and where its values come from.
struct PlannedTensor {
  GgufTensor tensor;            // data unused
  std::vector<Source> sources;  // one after the other; empty: `values`
  std::vector<float> values = {};
};

// Queries and keys: by Hugging Face name, how many heads their rows make.
std::map<std::string, int64_t> RotatedHeads(const ModelConfig& config) {
  std::map<std::string, int64_t> heads;
  if (config.gguf_architecture != "llama") return heads;  // the others turn as Hugging Face's do
  for (const LinearSpec& linear : BlockLinears(config)) {
    const bool query = linear.projection == Projection::kQ;
    if (!query && linear.projection != Projection::kK) continue;
    heads[linear.name + ".weight"] = query ? config.num_heads : config.num_kv_heads;
    heads[linear.name + ".bias"] = heads[linear.name + ".weight"];
  }
  return heads;
}

// llama-quantize's order: what belongs to no block, then block by block, by name.
std::pair<int64_t, std::string> Place(const PlannedTensor& planned) {
  constexpr std::string_view kBlock = "blk.";
  const std::string& name = planned.tensor.name;
  return {name.starts_with(kBlock) ? std::stoll(name.substr(kBlock.size())) : -1, name};
}

std::vector<PlannedTensor> PlanTensors(const ModelConfig& config, const GgufFileType& file_type) {
  const std::map<std::string, std::string> names = GgufTensorNames(config);
  const std::map<std::string, int64_t> rotated = RotatedHeads(config);
  const auto source_of = [&](const std::string& name) -> Source {
    const auto heads = rotated.find(name);
    return {name, heads == rotated.end() ? 0 : heads->second};
  };
  std::vector<PlannedTensor> plan;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape) {
    const GgmlType type = shape.size() == 1
                              ? GgmlType::kF32
                              : ChooseTensorType(file_type, config, name, shape.back());
    plan.push_back({{name, type, shape, {}}, {}});
  };
  std::set<std::string> joined;
  for (const JoinedGgufTensor& whole : JoinedGgufTensors(config)) {
    add(whole.name, whole.shape);
    std::ranges::transform(whole.parts, std::back_inserter(plan.back().sources), source_of);
    joined.insert(whole.parts.begin(), whole.parts.end());
  }
  for (const ExpectedTensor& expected : ExpectedTensors(config)) {
    if (joined.contains(expected.name)) continue;
    std::vector<int64_t> shape = expected.shape;
    if (shape.size() == 2 && shape[0] == 1) shape.erase(shape.begin());  // a shared expert's gate
    add(names.at(expected.name), shape);
    plan.back().sources = {source_of(expected.name)};
  }
  for (RopeFactors& factors : RopeFactorTensors(config)) {
    const auto size = static_cast<int64_t>(factors.values.size());
    plan.push_back({{factors.name, GgmlType::kF32, {size}, {}}, {}, std::move(factors.values)});
  }
  std::ranges::sort(plan, {}, Place);
  return plan;
}

std::vector<GgufTensor> TableOf(const std::vector<PlannedTensor>& plan) {
  std::vector<GgufTensor> table;
  for (const PlannedTensor& planned : plan) table.push_back(planned.tensor);
  return table;
}

// values [shape] f32, row-major: what the section stands for.
std::vector<float> SectionValues(const LittleBitSection& section) {
  if (section.kind == StorageKind::kDense) {
    return ToFloat({section.name, section.dtype, section.shape, section.data});
  }
  const int64_t rows = section.shape[0];
  const int64_t cols = section.shape[1];
  std::vector<float> values(static_cast<size_t>(rows * cols));
  if (section.kind == StorageKind::kLittleBit) {
    ReconstructDense(section.littlebit_shape(), section.data, values);
    return values;
  }
  for (int64_t row = 0; row < rows; ++row) {
    DequantizeGroupRow(
        section.group_quant_shape(), section.data, row,
        std::span(values).subspan(static_cast<size_t>(row * cols), static_cast<size_t>(cols)));
  }
  return values;
}

// The rows of a head from Hugging Face's order (first values of all rotary pairs, then second
// values) to llama.cpp's (pair by pair). values [heads * head_dim, cols] row-major.
std::vector<float> InterleaveHeads(const std::vector<float>& values, int64_t heads,
                                   int64_t head_dim) {
  const int64_t cols = static_cast<int64_t>(values.size()) / (heads * head_dim);
  const int64_t half = head_dim / 2;
  std::vector<float> out(values.size());
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t i = 0; i < head_dim; ++i) {
      const int64_t from = head * head_dim + i;
      const int64_t to = head * head_dim + (i < half ? 2 * i : 2 * (i - half) + 1);
      std::copy_n(values.data() + from * cols, cols, out.data() + to * cols);
    }
  }
  return out;
}

void CheckFinite(const std::vector<float>& values, const std::string& name) {
  const auto it = std::ranges::find_if_not(values, [](float v) { return std::isfinite(v); });
  if (it == values.end()) return;
  throw Error(
      ErrorCode::kReconstructionFailed,
      fmt::format("{}: expected finite values, found {} at {}", name, *it, it - values.begin()),
      "Check the file with 'llm-quantize littlebit info FILE --verify'");
}

// As llama.cpp wants the rows.
std::vector<float> SourceValues(const LittleBitFile& file, const Source& source) {
  const ModelConfig& config = file.config();
  const LittleBitSection& section = *file.Find(source.name);  // the plan is made of what it holds
  std::vector<float> values = SectionValues(section);
  const bool is_norm = source.name.ends_with("norm.weight");
  for (float& value : values) value += is_norm ? static_cast<float>(config.norm_offset) : 0;
  file.Release(section);
  return source.rotated_heads == 0 ? values
                                   : InterleaveHeads(values, source.rotated_heads, config.head_dim);
}

// The tensor, or a part of it.
std::vector<std::byte> Quantize(const GgufTensor& tensor, const std::vector<float>& values,
                                int threads) {
  const auto size = static_cast<int64_t>(values.size());
  const int64_t cols = tensor.shape.size() == 1 ? size : tensor.shape.back();
  const int64_t rows = size / cols;
  std::vector<std::byte> bytes(GgufTensor{"", tensor.type, {rows, cols}, {}}.num_bytes());
  QuantizeRows(tensor.type, rows, cols, values, bytes, threads);
  if (!ScalesAreFinite(tensor.type, bytes)) {
    throw Error(ErrorCode::kReconstructionFailed,
                fmt::format("{}: expected values that fit {}, found larger ones", tensor.name,
                            InfoOf(tensor.type).name),
                "Convert with --gguf-quant BF16 or F32");
  }
  return bytes;
}

// "19M", "1.3B": llama.cpp's way to say how large a model is.
std::string SizeLabel(int64_t parameters) {
  const auto count = static_cast<double>(parameters);
  const auto [scale, unit] = count >= 1e12  ? std::pair(1e12, "T")
                             : count >= 1e9 ? std::pair(1e9, "B")
                             : count >= 1e6 ? std::pair(1e6, "M")
                                            : std::pair(1e3, "K");
  return std::round(count / scale) < 10 ? fmt::format("{:.1f}{}", count / scale, unit)
                                        : fmt::format("{:.0f}{}", count / scale, unit);
}

struct Description {
  std::string name;
  std::string producer;
  int64_t parameters = 0;
};

std::vector<GgufKey> FileKeys(const Description& description, const ModelFiles& files,
                              const ModelConfig& config, const LossyOptions& options,
                              const std::string& where) {
  std::vector<GgufKey> keys = {{"general.architecture", GgufArchitecture(config)},
                               {"general.type", std::string("model")},
                               {"general.name", description.name},
                               {"general.size_label", SizeLabel(description.parameters)},
                               {"general.quantized_by", description.producer},
                               {"general.file_type", FindGgufFileType(options.file_type).id},
                               {"general.quantization_version", uint32_t{2}}};
  std::ranges::move(ModelKeys(config), std::back_inserter(keys));
  std::ranges::move(TokenizerKeys(files, config, options.pre_tokenizer, where),
                    std::back_inserter(keys));
  return keys;
}

// Tensors that the architecture does not know: llama.cpp refuses files that have them.
std::vector<std::string> UnknownTensors(const LittleBitFile& file) {
  const std::map<std::string, std::string> names = GgufTensorNames(file.config());
  std::vector<std::string> unknown;
  for (const LittleBitSection& section : file.sections()) {
    const bool tensor =
        section.kind != StorageKind::kFile && section.kind != StorageKind::kMetadata;
    if (tensor && !names.contains(section.name)) unknown.push_back(section.name);
  }
  return unknown;
}

// Shards have names of their own, which the caller did not see.
void CheckOutputsAreNotInput(const std::vector<std::filesystem::path>& outputs,
                             const std::filesystem::path& input) {
  for (const std::filesystem::path& output : outputs) {
    std::error_code failure;
    if (!std::filesystem::equivalent(output, input, failure)) continue;
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("{}: writing it would overwrite the input", output.string()),
                "Choose another --output-dir or --output-name");
  }
}

std::vector<std::string> Warnings(const LittleBitFile& file) {
  constexpr size_t kShown = 5;
  std::vector<std::string> warnings = LossesOfModelKeys(file.config());
  std::vector<std::string> unknown = UnknownTensors(file);
  if (unknown.empty()) return warnings;
  const size_t count = unknown.size();
  unknown.resize(std::min(count, kShown));
  warnings.push_back(fmt::format("left out {} tensors that llama.cpp does not know: {}{}", count,
                                 fmt::join(unknown, ", "), count > kShown ? ", ..." : ""));
  return warnings;
}

}  // namespace

std::vector<std::string> LossyFileTypes() { return GgufFileTypeNames(); }

std::string CanonicalFileType(const std::string& name) { return FindGgufFileType(name).name; }

uint64_t PlannedGgufLossyBytes(const ModelFiles& files, const ModelConfig& config,
                               const LossyOptions& options, const std::string& where) {
  ExpectRunsInLlamaCpp(config);
  const GgufFileType& file_type = FindGgufFileType(options.file_type);
  return PlannedGgufBytes(where + ".gguf", FileKeys({where, "", 0}, files, config, options, where),
                          TableOf(PlanTensors(config, file_type)),
                          {.max_shard_bytes = options.max_shard_bytes});
}

LossyReport WriteGgufLossy(const LittleBitFile& file, const std::filesystem::path& path,
                           const LossyOptions& options, const ConvertProgress& progress) {
  const ModelConfig& config = file.config();
  ExpectRunsInLlamaCpp(config);
  const std::vector<PlannedTensor> plan = PlanTensors(config, FindGgufFileType(options.file_type));
  const LittleBitMetadata& metadata = file.metadata();
  GgufWriter writer(
      path,
      FileKeys({ModelName(metadata.source_model), metadata.producer, metadata.original_parameters},
               file.files(), config, options, file.path().string()),
      TableOf(plan), {.max_shard_bytes = options.max_shard_bytes});
  CheckOutputsAreNotInput(writer.paths(), file.path());
  LossyReport report{.files = writer.paths(), .warnings = Warnings(file)};
  for (const PlannedTensor& planned : plan) {
    const auto write = [&](const std::vector<float>& values) {
      CheckFinite(values, planned.tensor.name);
      writer.WritePart(Quantize(planned.tensor, values, options.threads));
    };
    if (planned.sources.empty()) write(planned.values);
    for (const Source& source : planned.sources) write(SourceValues(file, source));
    ++report.tensors;
    ++report.types[InfoOf(planned.tensor.type).name];
    if (!progress(report.tensors, static_cast<int64_t>(plan.size()), planned.tensor.name)) {
      throw Error(ErrorCode::kUserCancelled, path.string() + ": conversion was stopped",
                  "Run the command again");
    }
  }
  report.bytes = writer.Finish();
  return report;
}

std::vector<GgufKey> DescriptiveKeys(const LittleBitFile& file,
                                     std::vector<std::string>& warnings) {
  std::vector<GgufKey> keys = ModelKeys(file.config());
  try {
    std::ranges::move(TokenizerKeys(file.files(), file.config(), "", file.path().string()),
                      std::back_inserter(keys));
  } catch (const Error& error) {
    warnings.push_back("GGUF tools will not see the tokenizer: " + error.message());
  }
  return keys;
}

}  // namespace llmq
