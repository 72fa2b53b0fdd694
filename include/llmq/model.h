// Running a model without LibTorch: a Hugging Face directory or a .littlebit file in, logits out.
#ifndef LLMQ_MODEL_H_
#define LLMQ_MODEL_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "llmq/model_config.h"
#include "llmq/tokenizer.h"

namespace llmq {

// How keys and values are kept in memory: 4, 2, or (in groups of 64) 1.03 bytes a number; or as the
// latents of their compressed projections, from which every step makes them again.
enum class KvType { kF32, kF16, kQ8, kLatent };

// Where the forward pass is computed. kAuto: on the first CUDA device, if there is one and the
// model has no part that only the CPU has.
enum class RunDevice { kAuto, kCpu, kCuda };

struct RuntimeOptions {
  int threads = 0;  // 0: one per core; no result depends on it
  // Activations stay float32. Otherwise the inputs of compressed layers and of grouped embeddings
  // and heads are rounded to 8 bits, a scale for each 256, which is faster. Either way a compressed
  // model's next token does not depend on the instruction set.
  bool exact = true;
  KvType kv = KvType::kF32;
  RunDevice device = RunDevice::kCpu;
};

// Weights ready to run. Immutable after opening; sessions on several threads may share it.
class Model {
 public:
  // `path`: a checkpoint directory or a .littlebit file. Errors as those of Checkpoint and
  // LittleBitFile; with kCuda Error{kInvalidArguments} if there is no CUDA device and
  // Error{kUnsupportedConversion} if the model has parts that only the CPU has.
  static std::unique_ptr<Model> Open(const std::filesystem::path& path,
                                     const RuntimeOptions& options);
  static std::unique_ptr<Model> Open(const std::filesystem::path& path, int threads) {
    return Open(path, RuntimeOptions{.threads = threads});
  }
  virtual ~Model() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  virtual const std::filesystem::path& path() const = 0;
};

// The tokenizer of what Model::Open takes, without its weights: of any architecture, and of a
// directory that holds nothing but tokenizer files. Errors as those of Tokenizer::FromFiles,
// ReadTokenizerFiles, GgufFile and LittleBitFile.
std::unique_ptr<Tokenizer> OpenTokenizer(const std::filesystem::path& path);

// One sequence being read and written: a KV cache and a position. Borrows the model.
class Session {
 public:
  // max_tokens: capacity of the KV cache. 0 means the model's context length.
  static std::unique_ptr<Session> Create(const Model& model, int64_t max_tokens);
  virtual ~Session() = default;

  // Appends tokens to the sequence. Returns logits [vocab] f32 after the last of them, valid until
  // the next call. Throws Error{kInvalidArguments} past the capacity or for an id outside the
  // vocabulary.
  virtual std::span<const float> Append(std::span<const int32_t> tokens) = 0;
  // As Append, but returns the logits after every one of them: [tokens.size(), vocab] f32
  // row-major.
  virtual std::span<const float> AppendAll(std::span<const int32_t> tokens) = 0;
  virtual int64_t position() const = 0;
  virtual int64_t capacity() const = 0;
  // Forgets the tokens from `position` on (at most the current one); what comes before stays in the
  // cache.
  virtual void Rewind(int64_t position) = 0;
  virtual void Reset() = 0;  // forget the sequence, keep the memory
};

struct SamplingOptions {
  double temperature = 0;  // 0: greedy
  int64_t top_k = 0;       // 0: off
  double top_p = 1.0;      // 1: off
  uint64_t seed = 0;
};

// Picks the next token from logits. Deterministic for a seed; ties go to the lowest id.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  int32_t Sample(std::span<const float> logits);

 private:
  SamplingOptions options_;
  uint64_t state_;  // of the generator (splitmix64)
};

struct GenerateResult {
  std::vector<int32_t> tokens;  // written tokens, without the prompt and without the end token
  bool reached_end = false;     // the model wrote an end token
};
// Feeds `prompt` and writes up to max_new tokens. on_token (may be empty) sees each as it is chosen
// and returns false to stop.
GenerateResult Generate(Session& session, std::span<const int32_t> prompt, int64_t max_new,
                        const SamplingOptions& sampling, std::span<const int64_t> end_ids,
                        const std::function<bool(int32_t)>& on_token);

}  // namespace llmq

#endif  // LLMQ_MODEL_H_
