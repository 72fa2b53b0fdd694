#include "cli/quality_meter.h"

#include <fmt/format.h>

#include <utility>

#include "cli/human_units.h"
#include "cli/interrupt.h"
#include "llmq/error.h"

namespace llmq {

namespace {

constexpr const char* kPaperText =
    "documents begun with BOS, joined; non-overlapping windows, every position but the first "
    "scored";
constexpr const char* kLlamaCppText =
    "documents joined; non-overlapping windows, each begun with BOS, the second half scored";

}  // namespace

std::string PerplexityText(const Quality& quality) {
  return fmt::format("{:.2f} → {:.2f} ({})", quality.original.perplexity,
                     quality.compressed.perplexity, FormatDelta(quality.delta_pct));
}

std::string CoherenceText(const CoherenceResult& coherence) {
  return fmt::format("{} ({}/{} prompts coherent)", coherence.passed ? "PASSED" : "FAILED",
                     coherence.coherent_prompts, coherence.prompts.size());
}

Json CoherenceJson(const CoherenceResult& coherence, bool with_prompts) {
  Json json = {{"passed", coherence.passed},
               {"score", coherence.score},
               {"coherent_prompts", coherence.coherent_prompts},
               {"total_prompts", coherence.prompts.size()}};
  if (!with_prompts) return json;
  json["prompts"] = Json::array();
  for (const PromptVerdict& prompt : coherence.prompts) {
    json["prompts"].push_back({{"prompt", prompt.prompt},
                               {"continuation", prompt.continuation},
                               {"repetition", prompt.repetition},
                               {"word_share", prompt.word_share},
                               {"reference_nll", prompt.reference_nll},
                               {"score", prompt.score},
                               {"coherent", prompt.coherent}});
  }
  return json;
}

Json QualityJson(const Quality& quality, bool passed) {
  Json json = {{"perplexity_original", quality.original.perplexity},
               {"perplexity_compressed", quality.compressed.perplexity},
               {"perplexity_delta_pct", quality.delta_pct},
               {"quality_passed", passed},
               {"calibration_samples", quality.compressed.windows},
               {"calibration_dataset", quality.dataset},
               {"calibration_tokens", quality.compressed.scored_tokens},
               {"window_tokens", quality.compressed.window_tokens},
               {"protocol", quality.protocol == Protocol::kPaper ? kPaperText : kLlamaCppText}};
  if (quality.coherence) {
    json["coherence_score"] = quality.coherence->score;
    json["coherence_passed"] = quality.coherence->passed;
    json["coherent_prompts"] = quality.coherence->coherent_prompts;
    json["total_prompts"] = quality.coherence->prompts.size();
  }
  return json;
}

QualityMeter::QualityMeter(const std::filesystem::path& original, TextDataset held_out,
                           int64_t max_windows, int threads, Progress& progress, Protocol protocol)
    : original_(Model::Open(original, threads)),
      held_out_(std::move(held_out)),
      protocol_(protocol),
      tokens_(Tokenize(original_->tokenizer())),
      max_windows_(max_windows),
      threads_(threads),
      progress_(progress) {}

std::unique_ptr<Model> QualityMeter::Open(const std::filesystem::path& compressed,
                                          RuntimeOptions options) const {
  options.threads = threads_;
  return Model::Open(compressed, options);
}

EvaluationProgress QualityMeter::Watch(const std::string& stage, const std::string& unit) {
  return [this, stage, unit, begun = false](int64_t done, int64_t total) mutable {
    if (!begun) progress_.Begin(stage, total, 0, unit);
    begun = true;
    progress_.Advance(done);
    if (done >= total) progress_.End();
    return !InterruptRequested();
  };
}

std::vector<int32_t> QualityMeter::Tokenize(const Tokenizer& tokenizer) const {
  return protocol_ == Protocol::kPaper ? TokenizeDocuments(held_out_, tokenizer)
                                       : TokenizeJoined(held_out_, tokenizer);
}

PerplexityResult QualityMeter::Perplexity(const Model& model, const std::string& stage) {
  if (protocol_ == Protocol::kLlamaCpp) {
    return MeasurePerplexityAsLlamaCpp(model, tokens_, max_windows_, Watch(stage, "windows"));
  }
  return MeasurePerplexity(model, tokens_, DefaultWindow(model.config()), max_windows_,
                           Watch(stage, "windows"));
}

Quality QualityMeter::Measure(const Model& compressed) {
  if (Tokenize(compressed.tokenizer()) != tokens_ ||
      compressed.config().vocab_size != original_->config().vocab_size) {
    throw Error(ErrorCode::kValidationFailed,
                fmt::format("{}: expected the tokenizer and vocabulary of {}, found others",
                            compressed.path().string(), original_->path().string()),
                "Give the model that the file was compressed from");
  }
  if (!original_perplexity_) original_perplexity_ = Perplexity(*original_, "Measuring original");
  Quality quality;
  quality.original = *original_perplexity_;
  quality.compressed = Perplexity(compressed, "Validating");
  quality.delta_pct = (quality.compressed.perplexity / quality.original.perplexity - 1) * 100;
  quality.dataset = held_out_.name;
  quality.protocol = protocol_;
  return quality;
}

CoherenceResult QualityMeter::Coherence(const Model& compressed) {
  return MeasureCoherence(compressed, original_.get(), Watch("Testing coherence", "steps"));
}

}  // namespace llmq
