// Measuring a model: perplexity, coherence of what it writes, multiple-choice benchmarks.
#ifndef LLMQ_EVALUATE_H_
#define LLMQ_EVALUATE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "llmq/model.h"
#include "llmq/text_dataset.h"

namespace llmq {

// Called now and then with work done and total; returns false to stop (Error{kUserCancelled} is
// thrown).
using EvaluationProgress = std::function<bool(int64_t done, int64_t total)>;

// The papers' protocol: the tokens cut into non-overlapping windows, each from an empty cache;
// every position but the first of a window is scored; exp(mean negative log-likelihood). A last
// shorter window counts if it has at least 2 tokens.
struct PerplexityResult {
  double perplexity = 0;
  double mean_nll = 0;  // nats per scored token
  int64_t scored_tokens = 0;
  int64_t windows = 0;
  int64_t window_tokens = 0;
};
// max_windows: 0 means all. Throws Error{kValidationFailed} if there are fewer than 2 tokens or a
// loss is not finite.
PerplexityResult MeasurePerplexity(const Model& model, std::span<const int32_t> tokens,
                                   int64_t window_tokens, int64_t max_windows,
                                   const EvaluationProgress& progress);
// llama.cpp's protocol, for comparing with llama-perplexity: whole windows of min(512, the model's
// context) tokens, the first replaced by BOS if the tokenizer adds one, and only the second half of
// each scored. `tokens` are those of the whole text, BOS once (TokenizeJoined). Throws as above; a
// text shorter than one window is too short.
PerplexityResult MeasurePerplexityAsLlamaCpp(const Model& model, std::span<const int32_t> tokens,
                                             int64_t max_windows,
                                             const EvaluationProgress& progress);
// min(2048, the model's context).
int64_t DefaultWindow(const ModelConfig& config);

// Coherence: continuations of shipped prompts, judged by a documented deterministic measure
// (docs/coherence.md): repetition, share of real words, and the loss of the written text under the
// original model compared with that of what the original writes.
struct PromptVerdict {
  std::string prompt;
  std::string continuation;
  double repetition = 0;  // 0 none .. 1 all n-grams repeated
  double word_share = 0;  // share of words that are known words
  double reference_nll =
      0;             // nats per token of the continuation under the judge; 0 without a judge
  double score = 0;  // 0..1
  bool coherent = false;
};
struct CoherenceResult {
  std::vector<PromptVerdict> prompts;
  int64_t coherent_prompts = 0;
  double score = 0;     // mean of the prompts' scores
  bool passed = false;  // at least 70 % coherent
};
// `judge` may be null (then the loss is left out) or the original model. Same tokenizer as `model`.
CoherenceResult MeasureCoherence(const Model& model, const Model* judge,
                                 const EvaluationProgress& progress);

enum class Benchmark { kWikitext, kHellaSwag, kArc };
struct BenchmarkResult {
  std::string name;
  std::string metric;   // "perplexity" or "acc_norm"
  double value = 0;     // perplexity, or share correct by acc_norm
  double accuracy = 0;  // share correct without length normalisation; 0 for perplexity
  int64_t items = 0;
  std::vector<int32_t> chosen;                       // per item, by acc; for comparing item by item
  std::vector<int32_t> chosen_norm;                  // per item, by acc_norm
  std::vector<std::vector<double>> log_likelihoods;  // per item, of each choice
};
// `data`: files, measured as one. For wikitext texts that LoadTextRows reads; for hellaswag (ctx_a,
// ctx_b, activity_label, endings, label) and arc (question.stem, question.choices, answerKey) JSONL
// or Parquet. max_items: 0 means all. lm-evaluation-harness's protocol.
BenchmarkResult RunBenchmark(const Model& model, Benchmark benchmark,
                             const std::vector<std::filesystem::path>& data, int64_t max_items,
                             const EvaluationProgress& progress);

}  // namespace llmq

#endif  // LLMQ_EVALUATE_H_
