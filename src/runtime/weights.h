// The weights of a model where the forward pass finds them.
//
// Before: formats/checkpoint, formats/littlebit_file or llamacpp/gguf_model maps and checks the
// file. After: runtime/linear and runtime/transformer. Compressed matrices are laid out for the
// kernels, in memory of their own, and their pages of the file given back; other matrices are not
// copied (F64 and transposed ones are converted); norms and biases, which are small, are.
#ifndef LLMQ_RUNTIME_WEIGHTS_H_
#define LLMQ_RUNTIME_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "llamacpp/gguf_model.h"
#include "llmq/checkpoint.h"
#include "llmq/ggml_type.h"
#include "llmq/group_quant.h"
#include "llmq/littlebit_file.h"
#include "llmq/model_config.h"
#include "llmq/speed.h"
#include "runtime/compressed_matrix.h"
#include "runtime/large_memory.h"

namespace llmq {

// How the bytes of a matrix are to be read.
enum class WeightForm { kDense, kGrouped, kBlocks, kLittleBit };

// One matrix W [d_out, d_in] as it is stored, and the bias that follows it.
struct WeightMatrix {
  WeightForm form = WeightForm::kDense;
  int64_t d_out = 0;
  int64_t d_in = 0;
  std::span<const std::byte> bytes;        // all but kLittleBit: borrowed, or `converted`
  DenseType dense_type = DenseType::kF32;  // kDense
  int group_bits = 0;                      // kGrouped
  GgmlType block_type = GgmlType::kQ8_0;   // kBlocks
  std::vector<CompressedPath> paths;       // kLittleBit: borrowed
  std::vector<float> converted;            // F64 and transposed matrices as f32 [d_out, d_in]
  std::vector<float> bias;                 // [d_out], or empty

  GroupQuantShape group_shape() const { return {d_out, d_in, group_bits}; }
  // Numbers between the two stages of kLittleBit: the ranks of all paths.
  int64_t latents() const {
    int64_t sum = 0;
    for (const CompressedPath& path : paths) sum += path.v.rows;
    return sum;
  }
};

struct MlpWeights {
  WeightMatrix gate, up, down;  // gate: empty if there is none
};

struct NormWeights {
  std::vector<float> weight;  // [hidden], or [head_dim] over heads; empty: no norm. Offset included
  std::vector<float> bias;    // the same, of LayerNorm; else empty
};

struct LayerWeights {
  NormWeights norms[kNumBlockNorms];
  WeightMatrix q, k, v, o;
  std::vector<MlpWeights> mlps;       // ModelConfig::NumMlps of them
  WeightMatrix routers[kNumRouters];  // [rows, hidden], dense; empty without experts

  WeightMatrix& operator[](const LinearSpec& linear);
  const WeightMatrix& operator[](Router router) const { return routers[static_cast<int>(router)]; }
  const NormWeights& operator[](BlockNorm norm) const { return norms[static_cast<int>(norm)]; }
};

// The slots of a model, all empty.
std::vector<LayerWeights> EmptyLayers(const ModelConfig& config);

// The matrices outside the blocks.
struct TableWeights {
  WeightMatrix embedding;    // [vocab, EmbeddingWidth()]
  WeightMatrix head;         // the same; empty if tied
  WeightMatrix positions;    // [PositionRows(), hidden]; empty if they are not learned
  WeightMatrix project_in;   // [hidden, embedding_size]; empty if embeddings are not narrower
  WeightMatrix project_out;  // [embedding_size, hidden]; likewise
};

// Multiplies by 1 and adds 0.
NormWeights UnitNorm(const NormSpec& spec);

// A model's file, kept open, and its slots.
class ModelWeights {
 public:
  // Throws as Checkpoint, LittleBitFile and GgufModel do, and Error{kGeneral} for a tensor that is
  // missing, has another shape, or is stored in a way that cannot be run.
  ModelWeights(const std::filesystem::path& path, int threads);
  // Weights that stand for nothing (runtime/random_model).
  ModelWeights(ModelConfig config, std::vector<LayerWeights> layers, TableWeights tables,
               std::vector<LargeMemory> memory, const ModelSize& size);

  const ModelConfig& config() const { return config_; }
  ModelFiles files() const;  // none of random weights
  ModelSize size() const;
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const WeightMatrix& embedding() const { return tables_.embedding; }
  const WeightMatrix& head() const {
    return config_.tie_word_embeddings ? tables_.embedding : tables_.head;
  }
  const WeightMatrix& positions() const { return tables_.positions; }
  const WeightMatrix& project_in() const { return tables_.project_in; }
  const WeightMatrix& project_out() const { return tables_.project_out; }
  const NormWeights& final_norm() const { return final_norm_; }  // empty if there is none

 private:
  WeightMatrix Matrix(const std::string& name, int64_t d_out, int64_t d_in) const;
  WeightMatrix SectionMatrix(const LittleBitSection& section) const;
  void LayOutCompressed(int threads);
  std::vector<float> Vector(const std::string& name, int64_t size) const;
  NormWeights Norm(const NormSpec& spec) const;
  std::optional<TensorView> FindDense(const std::string& name) const;
  [[noreturn]] void Fail(const std::string& name, const std::string& expected,
                         const std::string& found) const;

  std::filesystem::path path_;
  std::optional<Checkpoint> checkpoint_;  // one of the three
  std::optional<LittleBitFile> littlebit_;
  std::optional<GgufModel> gguf_;
  ModelConfig config_;
  std::vector<LayerWeights> layers_;
  TableWeights tables_;
  NormWeights final_norm_;
  std::vector<LargeMemory> memory_;  // of compressed matrices
  ModelSize random_size_;            // of random weights
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_WEIGHTS_H_
