// How fast a model reads and writes, measured as llama-bench does; and models of known shapes with
// random weights, so that speed can be measured without a model.
#ifndef LLMQ_SPEED_H_
#define LLMQ_SPEED_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "llmq/model.h"
#include "llmq/model_config.h"

namespace llmq {

// What a model takes, in terms of its file.
struct ModelSize {
  int64_t parameters = 0;  // of the original
  uint64_t bytes = 0;   // of the file or of a checkpoint's tensors; of random weights without the
                        // tokenizer and the head of a file
  double body_bpw = 0;  // compressed matrices; 0 if there are none
};
ModelSize SizeOf(const Model& model);

// "avx512vbmi": the instruction set in use; "cuda" on a GPU.
std::string KernelsOf(const Model& model);
int ThreadsOf(const Model& model);

// Of the KV cache that the model was opened with. Throws Error{kInvalidArguments} if the model
// cannot have it.
int64_t KvBytesPerToken(const Model& model);

struct SpeedOptions {
  int64_t prompt_tokens = 512;     // read at once; 0: do not measure
  int64_t generated_tokens = 128;  // read one by one; 0: do not measure
  int64_t depth = 0;               // tokens in the cache before each test
  int repetitions = 5;
};

// One test: so many tokens, repeated. The tokens are random; each repetition begins with `depth`
// tokens in the cache.
struct SpeedResult {
  int64_t prompt_tokens = 0;  // one of the two is 0
  int64_t generated_tokens = 0;
  int64_t depth = 0;
  std::vector<double> seconds;  // of each repetition
  double cpu_seconds = 0;       // of all threads and repetitions together

  std::string name() const;  // "pp512", "tg128 @ d2048"
  double average_seconds() const;
  double stddev_seconds() const;
  std::vector<double> rates() const;  // tokens per second, of each repetition
  double average_rate() const;        // tokens per second: mean and deviation over the repetitions
  double stddev_rate() const;
};

// After a warm-up. `keep_going` is asked between tokens; throws Error{kUserCancelled} if it says
// no, Error{kInvalidArguments} if the tests do not fit the model's context.
std::vector<SpeedResult> MeasureSpeed(const Model& model, const SpeedOptions& options,
                                      const std::function<bool()>& keep_going);

// "llama-2-7b", ...
std::vector<std::string> KnownShapes();
// Throws Error{kInvalidArguments} naming the known ones.
ModelConfig KnownShape(std::string_view name);

struct RandomModelOptions {
  double bpw = 0.55;   // of the compressed matrices, with ranks as compress chooses them; 0: all
                       // matrices are fp16
  int table_bits = 8;  // embedding and head of a compressed model: 8, 6 or 4
};
// A model whose weights are random, in memory. It has no tokenizer: tokenizer() throws
// Error{kGeneral}. fp16 matrices repeat after some gigabytes: more than any cache holds. Throws
// Error{kRankSelectionFailed} like PlanRanks.
std::unique_ptr<Model> MakeRandomModel(const ModelConfig& config, const RandomModelOptions& random,
                                       const RuntimeOptions& options);

}  // namespace llmq

#endif  // LLMQ_SPEED_H_
