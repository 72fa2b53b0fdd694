// Benchmarks by lm-evaluation-harness's protocol: the choice with the highest log-likelihood after
// the context.
//
// Before: runtime/benchmark_items has worded the items. After: accuracies for reports. Tokenisation
// as there: no special tokens, but for Gemma, which is lost without the begin token; context and
// context + choice are encoded, and what the second has more is the choice.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "llmq/error.h"
#include "llmq/evaluate.h"
#include "runtime/benchmark_items.h"
#include "runtime/python_text.h"
#include "runtime/token_loss.h"

namespace llmq {
namespace {

using Files = std::vector<std::filesystem::path>;

template <typename Read>
std::vector<ChoiceItem> ReadAll(const Files& data, const Read& read) {
  std::vector<ChoiceItem> items;
  for (const std::filesystem::path& file : data) {
    for (ChoiceItem& item : read(file)) items.push_back(std::move(item));
  }
  return items;
}

// Tokens of context and continuation, and where the continuation begins.
struct EncodedPair {
  std::vector<int32_t> tokens;
  int64_t continuation = 0;
};

EncodedPair EncodePair(const Model& model, std::string context, std::string continuation,
                       const std::string& where) {
  const Tokenizer& tokenizer = model.tokenizer();
  const bool add_special = model.config().architecture.starts_with("Gemma");
  // Spaces at the context's end belong to the first word of the continuation.
  const size_t length = LengthWithoutSpacesBehind(context);
  continuation.insert(0, context, length);
  context.resize(length);
  EncodedPair pair;
  pair.tokens = tokenizer.Encode(context + continuation, add_special);
  pair.continuation = static_cast<int64_t>(tokenizer.Encode(context, add_special).size());
  if (pair.continuation == 0 && tokenizer.bos_id()) {  // something must come before the first token
    pair.tokens.insert(pair.tokens.begin(), *tokenizer.bos_id());
    pair.continuation = 1;
  }
  if (pair.continuation == 0 || pair.continuation >= static_cast<int64_t>(pair.tokens.size())) {
    throw Error(ErrorCode::kInvalidArguments,
                where + ": expected a context and a choice with text, found none");
  }
  return pair;
}

// Scores continuations one after another and keeps what consecutive ones share in the cache.
class ContinuationScorer {
 public:
  explicit ContinuationScorer(const Model& model) : model_(model) {}

  // Sum of the continuation's log-likelihood. A pair longer than the context loses its beginning.
  double Score(EncodedPair pair) {
    const int64_t limit = model_.config().max_position;
    const int64_t surplus =
        std::max<int64_t>(0, static_cast<int64_t>(pair.tokens.size()) - 1 - limit);
    pair.tokens.erase(pair.tokens.begin(), pair.tokens.begin() + surplus);
    pair.continuation = std::max<int64_t>(1, pair.continuation - surplus);
    Reserve(static_cast<int64_t>(pair.tokens.size()));

    const auto differ =
        std::mismatch(pair.tokens.begin(), pair.tokens.end(), cached_.begin(), cached_.end());
    // The token before the continuation is run again, for its logits.
    const int64_t shared =
        std::min<int64_t>(differ.first - pair.tokens.begin(), pair.continuation - 1);
    session_->Rewind(shared);
    const double loss = SumNegativeLogLikelihood(*session_, std::span(pair.tokens).subspan(shared),
                                                 pair.continuation - shared);
    cached_ = std::move(pair.tokens);
    cached_.pop_back();
    return -loss;
  }

 private:
  // Room for that many tokens: items are short beside the contexts of today's models.
  void Reserve(int64_t tokens) {
    if (session_ && session_->capacity() >= tokens) return;
    session_ = Session::Create(model_, std::max<int64_t>(512, 2 * tokens));
    cached_.clear();
  }

  const Model& model_;
  std::unique_ptr<Session> session_;
  std::vector<int32_t> cached_;  // tokens in the session
};

int32_t IndexOfLargest(const std::vector<double>& values) {
  return static_cast<int32_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

// Characters, not bytes, of UTF-8 text; at least 1.
double Characters(const std::string& text) {
  const auto count =
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
  return static_cast<double>(std::max<int64_t>(1, count));
}

BenchmarkResult RunChoices(const Model& model, std::string name, std::vector<ChoiceItem> items,
                           int64_t max_items, const EvaluationProgress& progress) {
  if (max_items > 0 && static_cast<int64_t>(items.size()) > max_items) items.resize(max_items);
  const auto total = static_cast<int64_t>(items.size());
  BenchmarkResult result{.name = std::move(name), .metric = "acc_norm", .items = total};
  ContinuationScorer scorer(model);
  int64_t right = 0;
  int64_t right_norm = 0;
  for (const ChoiceItem& item : items) {
    Report(progress, static_cast<int64_t>(result.chosen.size()), total);
    std::vector<double> sums;
    std::vector<double> normed;
    for (const std::string& choice : item.choices) {
      sums.push_back(scorer.Score(EncodePair(model, item.context, " " + choice, item.where)));
      normed.push_back(sums.back() / Characters(choice));
    }
    result.chosen.push_back(IndexOfLargest(sums));
    result.chosen_norm.push_back(IndexOfLargest(normed));
    result.log_likelihoods.push_back(std::move(sums));
    right += result.chosen.back() == item.gold;
    right_norm += result.chosen_norm.back() == item.gold;
  }
  Report(progress, total, total);
  result.accuracy = static_cast<double>(right) / static_cast<double>(total);
  result.value = static_cast<double>(right_norm) / static_cast<double>(total);
  return result;
}

// The papers join all rows of the data set, of which every other is empty.
BenchmarkResult RunWikitext(const Model& model, const Files& data, int64_t max_items,
                            const EvaluationProgress& progress) {
  std::vector<std::string> rows;
  for (const std::filesystem::path& file : data) {
    for (std::string& row : LoadTextRows(file)) rows.push_back(std::move(row));
  }
  const TextDataset text{"wikitext", {fmt::format("{}", fmt::join(rows, "\n\n"))}};
  const std::vector<int32_t> tokens = TokenizeJoined(text, model.tokenizer());
  const PerplexityResult perplexity =
      MeasurePerplexity(model, tokens, DefaultWindow(model.config()), max_items, progress);
  return {.name = "wikitext",
          .metric = "perplexity",
          .value = perplexity.perplexity,
          .items = perplexity.windows};
}

}  // namespace

BenchmarkResult RunBenchmark(const Model& model, Benchmark benchmark, const Files& data,
                             int64_t max_items, const EvaluationProgress& progress) {
  switch (benchmark) {
    case Benchmark::kWikitext: return RunWikitext(model, data, max_items, progress);
    case Benchmark::kHellaSwag:
      return RunChoices(model, "hellaswag", ReadAll(data, ReadHellaSwag), max_items, progress);
    case Benchmark::kArc:
      return RunChoices(model, "arc", ReadAll(data, ReadArc), max_items, progress);
  }
  throw Error(ErrorCode::kInvalidArguments,
              "benchmark: expected wikitext, hellaswag or arc, found another");
}

}  // namespace llmq
