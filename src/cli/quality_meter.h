// Quality of a compressed model beside its original: perplexity on held-out text, and coherence.
//
// Shared by compress, which may measure several tries, and validate.
#ifndef LLMQ_CLI_QUALITY_METER_H_
#define LLMQ_CLI_QUALITY_METER_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/progress.h"
#include "llmq/evaluate.h"
#include "llmq/model.h"
#include "llmq/text_dataset.h"

namespace llmq {

// More than this increase of perplexity is severe (FR-014).
inline constexpr double kSevereDeltaPct = 50.0;

// How perplexity is measured: as in the papers, or as llama-perplexity does.
enum class Protocol { kPaper, kLlamaCpp };

struct Quality {
  PerplexityResult original;
  PerplexityResult compressed;
  double delta_pct = 0;  // increase of perplexity
  std::optional<CoherenceResult> coherence;
  std::string dataset;
  Protocol protocol = Protocol::kPaper;

  bool severe() const { return delta_pct > kSevereDeltaPct; }
};

// "5.23 → 8.45 (+61.6%)".
std::string PerplexityText(const Quality& quality);
// The contract's quality_metrics, with the coherence and the protocol added.
Json QualityJson(const Quality& quality, bool passed);
// "PASSED (7/10 prompts coherent)".
std::string CoherenceText(const CoherenceResult& coherence);
Json CoherenceJson(const CoherenceResult& coherence, bool with_prompts);

class QualityMeter {
 public:
  // Opens the original. Borrows `progress`.
  QualityMeter(const std::filesystem::path& original, TextDataset held_out, int64_t max_windows,
               int threads, Progress& progress, Protocol protocol = Protocol::kPaper);

  // Throws Error{kValidationFailed} if the models' tokenizers differ or a loss is not finite.
  Quality Measure(const Model& compressed);
  // Continuations of the compressed model with the original as judge.
  CoherenceResult Coherence(const Model& compressed);

  const Model& original() const { return *original_; }
  // With the meter's number of threads.
  std::unique_ptr<Model> Open(const std::filesystem::path& compressed,
                              RuntimeOptions options = {}) const;
  // Drives a bar named `stage` from an evaluation's progress, and stops it on Ctrl-C.
  EvaluationProgress Watch(const std::string& stage, const std::string& unit);

 private:
  PerplexityResult Perplexity(const Model& model, const std::string& stage);
  std::vector<int32_t> Tokenize(const Tokenizer& tokenizer) const;

  std::unique_ptr<Model> original_;
  TextDataset held_out_;
  Protocol protocol_;
  std::vector<int32_t> tokens_;  // held_out_ as the original's tokenizer writes it
  int64_t max_windows_;
  int threads_;
  Progress& progress_;
  std::optional<PerplexityResult> original_perplexity_;  // measured once
};

}  // namespace llmq

#endif  // LLMQ_CLI_QUALITY_METER_H_
