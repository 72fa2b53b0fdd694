#include "llamacpp/file_type.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>

#include "llmq/error.h"

namespace llmq {
namespace {

constexpr std::array<GgufFileType, 17> kFileTypes = {{{"F32", 0, GgmlType::kF32},
                                                      {"F16", 1, GgmlType::kF16},
                                                      {"BF16", 32, GgmlType::kBF16},
                                                      {"Q8_0", 7, GgmlType::kQ8_0},
                                                      {"Q6_K", 18, GgmlType::kQ6_K},
                                                      {"Q5_K_M", 17, GgmlType::kQ5_K},
                                                      {"Q5_K_S", 16, GgmlType::kQ5_K},
                                                      {"Q5_1", 9, GgmlType::kQ5_1},
                                                      {"Q5_0", 8, GgmlType::kQ5_0},
                                                      {"Q4_K_M", 15, GgmlType::kQ4_K},
                                                      {"Q4_K_S", 14, GgmlType::kQ4_K},
                                                      {"Q4_1", 3, GgmlType::kQ4_1},
                                                      {"Q4_0", 2, GgmlType::kQ4_0},
                                                      {"Q3_K_L", 13, GgmlType::kQ3_K},
                                                      {"Q3_K_M", 12, GgmlType::kQ3_K},
                                                      {"Q3_K_S", 11, GgmlType::kQ3_K},
                                                      {"Q2_K", 10, GgmlType::kQ2_K}}};

constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kShortForms = {
    {{"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}}};

// Layers that a "mixed" file gives more bits: the first and last eighth, and every third between.
bool HasMoreBits(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

// A matrix of a block: which, and in which layer.
struct Place {
  int64_t layer = 0;
  std::string_view part;  // "attn_v"
};

Place ParsePlace(std::string_view name) {
  constexpr std::string_view kBlock = "blk.";
  if (!name.starts_with(kBlock)) return {};
  name.remove_prefix(kBlock.size());
  Place place;
  const char* end = std::from_chars(name.data(), name.data() + name.size(), place.layer).ptr;
  name.remove_prefix(static_cast<size_t>(end - name.data()) + 1);
  place.part = name.substr(0, name.find('.'));
  return place;
}

GgmlType ValueType(std::string_view file_type, GgmlType base, int64_t layer,
                   const ModelConfig& config) {
  GgmlType type = base;
  if (file_type == "Q2_K") {
    type = config.num_heads / config.num_kv_heads >= 4 ? GgmlType::kQ4_K : GgmlType::kQ3_K;
  } else if (file_type == "Q3_K_M") {
    type = layer < 2 ? GgmlType::kQ5_K : GgmlType::kQ4_K;
  } else if (file_type == "Q3_K_L") {
    type = GgmlType::kQ5_K;
  } else if (file_type == "Q4_K_M" || file_type == "Q5_K_M") {
    if (HasMoreBits(layer, config.num_layers)) type = GgmlType::kQ6_K;
  } else if (file_type == "Q4_K_S" && layer < 4) {
    type = GgmlType::kQ5_K;
  }
  // llama.cpp's "70B" model: its value matrices are small, so bits cost little there.
  const bool seventy = config.num_layers == 80 && config.num_heads != config.num_kv_heads &&
                       config.experts.count == 0;
  if (seventy && (type == GgmlType::kQ3_K || type == GgmlType::kQ4_K)) type = GgmlType::kQ5_K;
  return type;
}

GgmlType DownType(std::string_view file_type, GgmlType base, int64_t layer, int64_t layers) {
  if (file_type == "Q2_K") return GgmlType::kQ3_K;
  if (file_type == "Q3_K_M") return layer < layers / 16 ? GgmlType::kQ5_K : GgmlType::kQ4_K;
  if (file_type == "Q3_K_L") return GgmlType::kQ5_K;
  if (file_type == "Q4_K_M" || file_type == "Q5_K_M") {
    return HasMoreBits(layer, layers) ? GgmlType::kQ6_K : base;
  }
  if (file_type == "Q4_K_S" && layer < layers / 8) return GgmlType::kQ5_K;
  return base;
}

GgmlType AttentionOutputType(std::string_view file_type, GgmlType base) {
  if (file_type == "Q2_K") return GgmlType::kQ3_K;
  if (file_type == "Q3_K_M") return GgmlType::kQ4_K;
  if (file_type == "Q3_K_L") return GgmlType::kQ5_K;
  return base;
}

// In models with eight experts attention is a small part.
constexpr int64_t kExpertsOfMixtral = 8;

GgmlType OutputTypeBesideExperts(std::string_view file_type, GgmlType base) {
  for (const char* name : {"Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M"}) {
    if (file_type == name) return GgmlType::kQ5_K;
  }
  return base;
}

bool IsWhole(GgmlType type, int64_t cols) { return cols % InfoOf(type).block_values == 0; }

// For rows that are not whole blocks of the type.
GgmlType Fallback(GgmlType type, int64_t cols) {
  if (IsWhole(type, cols)) return type;
  GgmlType other = GgmlType::kF16;
  switch (type) {
    case GgmlType::kQ2_K:
    case GgmlType::kQ3_K: other = GgmlType::kQ4_0; break;
    case GgmlType::kQ4_K: other = GgmlType::kQ5_0; break;
    case GgmlType::kQ5_K: other = GgmlType::kQ5_1; break;
    case GgmlType::kQ6_K: other = GgmlType::kQ8_0; break;
    default: break;
  }
  return IsWhole(other, cols) ? other : GgmlType::kF16;
}

}  // namespace

const GgufFileType& FindGgufFileType(std::string_view name) {
  std::string wanted(name);
  for (char& c : wanted) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const auto& [short_form, full] : kShortForms) {
    if (wanted == short_form) wanted = full;
  }
  for (const GgufFileType& type : kFileTypes) {
    if (wanted == type.name) return type;
  }
  throw Error(ErrorCode::kUnsupportedConversion,
              fmt::format("--gguf-quant: expected one of {}, found \"{}\"",
                          fmt::join(GgufFileTypeNames(), ", "), name),
              "Other types need an importance matrix or are not written by this program");
}

std::vector<std::string> GgufFileTypeNames() {
  std::vector<std::string> names;
  for (const GgufFileType& type : kFileTypes) names.emplace_back(type.name);
  return names;
}

GgmlType ChooseTensorType(const GgufFileType& file_type, const ModelConfig& config,
                          std::string_view gguf_name, int64_t cols) {
  const GgmlType base = file_type.base_type;
  const Place place = ParsePlace(gguf_name);
  const bool is_router = place.part == "ffn_gate_inp";
  if (is_router || gguf_name == "position_embd.weight") return GgmlType::kF32;
  if (InfoOf(base).block_values == 1) return base;  // F32, F16, BF16: everything else alike
  const bool is_head = gguf_name == "output.weight" ||
                       (gguf_name == "token_embd.weight" && config.tie_word_embeddings);
  if (is_head) {
    const bool eight = base == GgmlType::kQ8_0 || !IsWhole(base, cols);
    return Fallback(eight ? GgmlType::kQ8_0 : GgmlType::kQ6_K, cols);
  }
  GgmlType type = base;
  const bool eight_experts = config.experts.count == kExpertsOfMixtral;
  if (place.part == "attn_v" || place.part == "attn_qkv")
    type = ValueType(file_type.name, base, place.layer, config);
  if (eight_experts && (place.part == "attn_k" || place.part == "attn_v")) type = GgmlType::kQ8_0;
  if (place.part.starts_with("ffn_down")) {  // of experts too
    type = DownType(file_type.name, base, place.layer, config.num_layers);
  }
  if (place.part == "attn_output") {
    type = eight_experts ? OutputTypeBesideExperts(file_type.name, base)
                         : AttentionOutputType(file_type.name, base);
  }
  return Fallback(type, cols);
}

}  // namespace llmq
