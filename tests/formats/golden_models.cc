// Makes the golden models from seeded values; see the header.
#include "tests/formats/golden_models.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "llmq/littlebit_file.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq::testing {
namespace {

std::vector<std::byte> Random(uint64_t seed, const std::vector<int64_t>& shape, DType dtype) {
  size_t count = 1;
  for (const int64_t dimension : shape) count *= static_cast<size_t>(dimension);
  return EncodeValues(RandomValues(seed, count, 0.5), dtype);
}

// Rows whose largest magnitude has the highest code, bit by bit as the document says: the bytes of
// the golden files must not depend on how the program chooses scales.
std::vector<std::byte> PlainGroups(const GroupQuantShape& shape, const std::vector<float>& values) {
  const int64_t group = shape.bits == 4 ? 32 : 64, groups = (shape.cols + group - 1) / group;
  const int64_t row_bytes = ((shape.cols * shape.bits + 7) / 8 + 1) / 2 * 2 + 2 * groups;
  const int highest = (1 << (shape.bits - 1)) - 1;
  std::vector<std::byte> bytes(static_cast<size_t>(shape.rows * row_bytes));
  for (int64_t i = 0; i < shape.rows * shape.cols; ++i) {
    const int64_t row = i / shape.cols, col = i % shape.cols, first = col / group * group;
    float largest = 0;
    for (int64_t j = first; j < std::min(first + group, shape.cols); ++j) {
      largest = std::max(largest, std::fabs(values[static_cast<size_t>(row * shape.cols + j)]));
    }
    const uint16_t scale = FloatToHalf(largest / static_cast<float>(highest));
    std::byte* out = bytes.data() + row * row_bytes;
    std::memcpy(out + row_bytes - 2 * (groups - col / group), &scale, 2);
    const float inverse = 1.0f / HalfToFloat(scale);
    const auto code =
        std::clamp(static_cast<int>(std::nearbyint(values[static_cast<size_t>(i)] * inverse)),
                   shape.bits == 8 ? -127 : -highest - 1, highest);
    const auto stored = static_cast<unsigned>(shape.bits == 8 ? code : code + highest + 1);
    for (int64_t b = 0; b < shape.bits; ++b) {
      const int64_t bit = col * shape.bits + b;
      out[bit / 8] |= static_cast<std::byte>((stored >> b & 1) << (bit % 8));
    }
  }
  return bytes;
}

// Values that codes say exactly, the largest, the smallest and zero among them: there is one best
// grid, however the program looks for it. Signs stay.
void MoveToGrid(int bits, std::vector<float>& scales) {
  constexpr int kBase = 0x3000, kStep = 5;
  const int codes = (1 << bits) - 1;
  for (size_t i = 0; i < scales.size(); ++i) {
    const int any = 1 + static_cast<int>(std::fabs(scales[i]) * 1000) % codes;
    const int code = i == 0 ? codes : i == 1 ? 1 : i == 2 ? 0 : any;
    const float value = HalfToFloat(static_cast<uint16_t>(code == 0 ? 0 : kBase + kStep * code));
    scales[i] = std::copysign(value, scales[i]);
  }
}

class ModelWriter {
 public:
  ModelWriter(const std::filesystem::path& path, std::string config)
      : writer_(path),
        config_text_(std::move(config)),
        config_(ParseModelConfig(config_text_, "", "golden")) {
    writer_.AddFile("config.json", config_text_);
  }

  LittleBitWriter& writer() { return writer_; }
  const ModelConfig& config() const { return config_; }

  void AddDense(const std::string& name, const std::vector<int64_t>& shape, DType dtype) {
    const std::vector<std::byte> bytes = Random(++seed_, shape, dtype);
    writer_.AddDense({name, dtype, shape, bytes});
  }

  void AddTable(const char* name, int bits) {
    const GroupQuantShape shape{config_.vocab_size, config_.hidden_size, bits};
    const std::vector<float> values =
        RandomValues(++seed_, static_cast<size_t>(shape.rows * shape.cols), 0.5);
    writer_.AddGroupQuant(name, shape, PlainGroups(shape, values));
  }

  void AddLinear(const LinearSpec& linear, int64_t rank, int64_t paths,
                 int scale_bits = kHalfScaleBits) {
    const LittleBitShape shape{linear.d_out, linear.d_in, rank, paths, scale_bits};
    std::vector<std::vector<float>> values;
    std::vector<LittleBitPathValues> views(static_cast<size_t>(paths));
    values.reserve(static_cast<size_t>(5 * paths));  // views point into it
    const auto make = [&](int64_t count) -> std::span<const float> {
      values.push_back(RandomValues(++seed_, static_cast<size_t>(count), 0.5));
      return values.back();
    };
    const auto make_scales = [&](int64_t count) -> std::span<const float> {
      make(count);
      if (scale_bits != kHalfScaleBits) MoveToGrid(scale_bits, values.back());
      return values.back();
    };
    for (LittleBitPathValues& view : views) {
      view.v = make(rank * shape.d_in);
      view.u = make(rank * shape.d_out);
      view.g = make_scales(shape.d_in);
      view.h = make_scales(shape.d_out);
      view.l = make_scales(rank);
    }
    const LittleBitLinear packed = PackLittleBit(shape, views);
    writer_.AddLittleBit(linear.name + ".weight", shape, packed.payload,
                         1.0 / static_cast<double>(rank + 1));
  }

  void Finish(double target_bpw, TableBits table_bits, uint64_t seed,
              BudgetScope scope = BudgetScope::kBody) {
    writer_.Finish({.source_model = "example/tiny",
                    .producer = "llm-quantize 0.1.0",
                    .recipe = "littlebit",
                    .target_bpw = target_bpw,
                    .manual_rank = target_bpw == 0 ? 2 : 0,
                    .original_parameters = 1234,
                    .original_fp16_bytes = 2468,
                    .train_tokens = 0,
                    .seed = seed,
                    .table_bits = table_bits,
                    .budget_scope = scope});
  }

 private:
  LittleBitWriter writer_;
  std::string config_text_;
  ModelConfig config_;
  uint64_t seed_ = 0;
};

void WriteOnePath(const std::filesystem::path& path) {
  ModelWriter model(path,
                    R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":4,)"
                    R"("intermediate_size":6,"num_hidden_layers":1,"num_attention_heads":2,)"
                    R"("num_key_value_heads":1,"vocab_size":5,"max_position_embeddings":16,)"
                    R"("tie_word_embeddings":true,"torch_dtype":"float16"})");
  model.AddTable(kEmbeddingName, 8);
  model.AddDense(InputNormName(0), {4}, DType::kF16);
  for (const LinearSpec& linear : BlockLinears(model.config())) {
    if (linear.projection == Projection::kGate)
      model.AddDense(PostAttentionNormName(0), {4}, DType::kF16);
    model.AddLinear(linear, 2, 1);
  }
  model.AddDense(kFinalNormName, {4}, DType::kF16);
  model.Finish(0, {8, 8}, 7);
}

void WriteTwoPaths(const std::filesystem::path& path) {
  ModelWriter model(
      path, R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":35,)"
            R"("intermediate_size":41,"num_hidden_layers":2,"num_attention_heads":5,"head_dim":6,)"
            R"("num_key_value_heads":5,"vocab_size":9,"max_position_embeddings":16,)"
            R"("attention_bias":true,"mlp_bias":true,"torch_dtype":"bfloat16"})");
  model.writer().AddFile("tokenizer.json", "{\"model\": {\"type\": \"BPE\"}}\n");
  model.writer().AddFile("merges.txt", "");
  model.AddTable(kEmbeddingName, 4);
  for (const LinearSpec& linear : BlockLinears(model.config())) {
    if (linear.projection == Projection::kQ)
      model.AddDense(InputNormName(linear.layer), {35}, DType::kBF16);
    if (linear.projection == Projection::kGate) {
      model.AddDense(PostAttentionNormName(linear.layer), {35}, DType::kBF16);
    }
    model.AddLinear(linear, 3 + static_cast<int64_t>(linear.projection), 2);
    model.AddDense(linear.name + ".bias", {linear.d_out}, DType::kBF16);
  }
  model.AddDense(kFinalNormName, {35}, DType::kBF16);
  model.AddTable(kHeadName, 4);
  model.AddDense("model.extra.empty", {3, 0}, DType::kF32);
  model.AddDense("model.extra.scalar", {}, DType::kF64);
  const std::vector<std::byte> bytes(48, std::byte{0x5a});
  model.writer().AddDense({"model.extra.cube", DType::kI64, {1, 2, 3}, bytes});
  model.Finish(0.55, {4, 4}, 0xffffffffffffffffu);
}

void WriteDense(const std::filesystem::path& path) {
  ModelWriter model(
      path, R"({"architectures":["MistralForCausalLM"],"model_type":"mistral","hidden_size":8,)"
            R"("intermediate_size":12,"num_hidden_layers":1,"num_attention_heads":2,)"
            R"("num_key_value_heads":2,"vocab_size":6,"max_position_embeddings":16,)"
            R"("sliding_window":8,"torch_dtype":"bfloat16"})");
  model.AddDense(kEmbeddingName, {6, 8}, DType::kBF16);
  model.AddDense(InputNormName(0), {8}, DType::kF64);
  model.AddDense(PostAttentionNormName(0), {8}, DType::kF32);
  for (const LinearSpec& linear : BlockLinears(model.config())) {
    if (linear.projection == Projection::kDown) {
      model.AddDense(linear.name + ".weight", {linear.d_out, linear.d_in}, DType::kF16);
    } else {
      model.AddLinear(linear, 8, 1);
    }
  }
  model.AddDense(kFinalNormName, {8}, DType::kF16);
  model.AddDense(kHeadName, {6, 8}, DType::kF32);
  model.Finish(1.0, {16, 16}, 0);
}

// Version 2: 6 bits with a short group and unused bits, a head in other bits, the whole file
// counted.
void WriteSixBits(const std::filesystem::path& path) {
  ModelWriter model(
      path, R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":70,)"
            R"("intermediate_size":24,"num_hidden_layers":1,"num_attention_heads":2,"head_dim":4,)"
            R"("num_key_value_heads":1,"vocab_size":7,"max_position_embeddings":16,)"
            R"("torch_dtype":"float16"})");
  model.AddTable(kEmbeddingName, 6);
  model.AddDense(InputNormName(0), {70}, DType::kF16);
  for (const LinearSpec& linear : BlockLinears(model.config())) {
    if (linear.projection == Projection::kGate)
      model.AddDense(PostAttentionNormName(0), {70}, DType::kF16);
    model.AddLinear(linear, 4, 1);
  }
  model.AddDense(kFinalNormName, {70}, DType::kF16);
  model.AddTable(kHeadName, 8);
  model.Finish(1.2, {6, 8}, 3, BudgetScope::kFile);
}

// Version 3: scales of 4, 6 and 8 bits, beside those of 16.
void WriteScaleCodes(const std::filesystem::path& path) {
  ModelWriter model(
      path, R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":30,)"
            R"("intermediate_size":37,"num_hidden_layers":1,"num_attention_heads":3,"head_dim":8,)"
            R"("num_key_value_heads":1,"vocab_size":5,"max_position_embeddings":16,)"
            R"("tie_word_embeddings":true,"torch_dtype":"float16"})");
  model.AddTable(kEmbeddingName, 8);
  model.AddDense(InputNormName(0), {30}, DType::kF16);
  constexpr std::array<int, 7> kBits = {4, 6, 8, kHalfScaleBits, 4, 6, 8};
  for (const LinearSpec& linear : BlockLinears(model.config())) {
    if (linear.projection == Projection::kGate)
      model.AddDense(PostAttentionNormName(0), {30}, DType::kF16);
    model.AddLinear(linear, 3, 2, kBits[static_cast<size_t>(linear.projection)]);
  }
  model.AddDense(kFinalNormName, {30}, DType::kF16);
  model.Finish(1.5, {8, 8}, 5);
}

}  // namespace

const std::vector<GoldenModel>& GoldenModels() {
  static const std::vector<GoldenModel> models = {{"one-path", WriteOnePath, 1},
                                                  {"two-paths", WriteTwoPaths, 1},
                                                  {"dense", WriteDense, 1},
                                                  {"six-bits", WriteSixBits, 2},
                                                  {"scale-codes", WriteScaleCodes, 3}};
  return models;
}

std::filesystem::path GoldenPath(const std::string& name) {
  const auto model = std::ranges::find(GoldenModels(), name, &GoldenModel::name);
  return std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "littlebit" /
         (name + "-v" + std::to_string(model->version) + ".littlebit");
}

}  // namespace llmq::testing
