// Does the model still write English? Continuations of shipped prompts, judged without a human.
//
// Before: an opened model and, for comparison, the one it was made from. After: reports and quality
// thresholds. Every number here is described and justified in docs/coherence.md; change them
// together.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "llmq/evaluate.h"
#include "runtime/token_loss.h"

namespace llmq {
namespace {

constexpr std::string_view kPrompts[] = {
    "Once upon a time, there was a little girl who",
    "One day, Tom and his dog went to the park. They",
    "It was a cold winter day, and the snow was",
    "There was an old man who lived in a small house near the sea. Every morning he",
    "The children were very hungry, so their mother",
    "The bird wanted to fly, but",
    "In the evening the family sat at the table and",
    "Anna found a big box in the garden. When she opened it, she",
    "The boy was sad because he",
    "The sun was shining and the flowers were",
};
constexpr int64_t kNewTokens = 48;
// Sampled, not greedy: a greedy choice makes small but sound models loop.
constexpr double kTemperature = 0.7;
constexpr double kTopP = 0.9;

constexpr size_t kGram = 3;          // tokens
constexpr size_t kFewestTokens = 8;  // fewer written tokens are no text
constexpr double kMostRepetition = 0.5;
constexpr double kLeastWordShare = 0.8;
constexpr double kMostExcessLoss =
    0.3;  // 0: as the judge itself writes, 1: as a random choice of tokens
constexpr double kPassShare = 0.7;  // of the prompts

struct Writing {
  std::vector<int32_t> prompt;
  std::vector<int32_t> continuation;
};

Writing Write(const Model& model, size_t prompt_index) {
  Writing writing;
  writing.prompt = model.tokenizer().Encode(kPrompts[prompt_index], /*add_special=*/true);
  const auto session =
      Session::Create(model, static_cast<int64_t>(writing.prompt.size()) + kNewTokens);
  const SamplingOptions sampling{
      .temperature = kTemperature, .top_p = kTopP, .seed = prompt_index + 1};
  writing.continuation = Generate(*session, writing.prompt, kNewTokens, sampling,
                                  model.config().eos_token_ids, nullptr)
                             .tokens;
  return writing;
}

// Mean loss of the continuation under the judge, nats per token. Precondition: it is not empty.
double ReferenceLoss(const Model& judge, const Writing& writing) {
  std::vector<int32_t> tokens = writing.prompt;
  tokens.insert(tokens.end(), writing.continuation.begin(), writing.continuation.end());
  const auto session = Session::Create(judge, static_cast<int64_t>(tokens.size()));
  const double sum =
      SumNegativeLogLikelihood(*session, tokens, static_cast<int64_t>(writing.prompt.size()));
  return sum / static_cast<double>(writing.continuation.size());
}

// Share of the n-grams that have been there before.
double Repetition(const std::vector<int32_t>& tokens) {
  if (tokens.size() < kGram) return 0;
  const size_t total = tokens.size() - kGram + 1;
  std::set<std::vector<int32_t>> distinct;
  for (size_t i = 0; i < total; ++i)
    distinct.insert({tokens.begin() + i, tokens.begin() + i + kGram});
  return 1.0 - static_cast<double>(distinct.size()) / static_cast<double>(total);
}

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }

// One upper-case letter and then only lower-case ones: a name, or a word that begins a sentence.
bool LooksLikeName(std::string_view word) {
  return word.size() > 1 && IsUpper(word[0]) && std::all_of(word.begin() + 1, word.end(), IsLower);
}

bool IsLetter(char c) { return IsLower(c) || IsUpper(c) || (c & 0x80) != 0; }

// The end of the word that begins at `begin`: a run of letters, apostrophes inside included. Bytes
// of other alphabets count as letters, so foreign script is one word, and not a known one.
size_t WordEnd(std::string_view text, size_t begin) {
  size_t end = begin;
  while (end < text.size() && (IsLetter(text[end]) || (text[end] == '\'' && end + 1 < text.size() &&
                                                       IsLetter(text[end + 1]))))
    ++end;
  return end;
}

// "Don't", or "dog's" for the sake of "dog".
bool IsKnown(std::string_view word, const std::unordered_set<std::string_view>& known) {
  std::string lower(word);
  for (char& c : lower) c = IsUpper(c) ? static_cast<char>(c - 'A' + 'a') : c;
  return known.contains(lower) ||
         known.contains(std::string_view(lower).substr(0, lower.find('\'')));
}

// The share of known words among the words of `text`; names that are not known do not count.
double WordShare(std::string text, const std::unordered_set<std::string_view>& known) {
  constexpr std::string_view kCurlyApostrophe = "\u2019";
  for (size_t at = 0; (at = text.find(kCurlyApostrophe, at)) != std::string::npos;) {
    text.replace(at, kCurlyApostrophe.size(), 1, '\'');
  }
  int64_t words = 0;
  int64_t real = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = IsLetter(text[begin]) ? WordEnd(text, begin) : begin;
    const std::string_view word = std::string_view(text).substr(begin, end - begin);
    begin = std::max(end, begin + 1);
    if (word.empty()) continue;
    const bool is_known = IsKnown(word, known);
    if (!is_known && LooksLikeName(word)) continue;
    ++words;
    real += is_known;
  }
  return words == 0 ? 0 : static_cast<double>(real) / static_cast<double>(words);
}

std::unordered_set<std::string_view> KnownWords() {
  std::unordered_set<std::string_view> known;
  std::string_view rest = BuiltInWords();
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) known.insert(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return known;
}

// The scale of the loss: what the judge thinks of its own writing, and the loss of tokens drawn at
// random.
struct LossScale {
  double own = 0;
  double random = 0;
};

PromptVerdict Judge(const Model& model, const Model* judge, const LossScale& scale,
                    size_t prompt_index, const std::unordered_set<std::string_view>& known) {
  const Writing writing = Write(model, prompt_index);
  PromptVerdict verdict{.prompt = std::string(kPrompts[prompt_index])};
  verdict.continuation = model.tokenizer().Decode(writing.continuation, /*skip_special=*/true);
  verdict.repetition = Repetition(writing.continuation);
  verdict.word_share = WordShare(verdict.continuation, known);
  verdict.score = (1 - verdict.repetition) * verdict.word_share;
  verdict.coherent = writing.continuation.size() >= kFewestTokens &&
                     verdict.repetition <= kMostRepetition && verdict.word_share >= kLeastWordShare;
  if (judge != nullptr && !writing.continuation.empty()) {
    verdict.reference_nll = ReferenceLoss(*judge, writing);
    // 0: as the judge itself writes, 1: as tokens drawn at random.
    const double excess =
        std::clamp((verdict.reference_nll - scale.own) / (scale.random - scale.own), 0.0, 1.0);
    verdict.score *= 1 - excess;
    verdict.coherent = verdict.coherent && excess <= kMostExcessLoss;
  }
  return verdict;
}

}  // namespace

CoherenceResult MeasureCoherence(const Model& model, const Model* judge,
                                 const EvaluationProgress& progress) {
  constexpr auto kCount = static_cast<int64_t>(std::size(kPrompts));
  const std::unordered_set<std::string_view> known = KnownWords();
  const int64_t steps = judge == nullptr ? kCount : 2 * kCount;
  int64_t step = 0;

  LossScale scale;
  for (size_t i = 0; judge != nullptr && i < std::size(kPrompts); ++i) {
    Report(progress, step++, steps);
    const Writing writing = Write(*judge, i);
    if (!writing.continuation.empty())
      scale.own += ReferenceLoss(*judge, writing) / static_cast<double>(kCount);
  }
  // At least one nat above, for a judge that knows nothing itself.
  scale.random = std::max(std::log(static_cast<double>(model.config().vocab_size)), scale.own + 1);

  CoherenceResult result;
  for (size_t i = 0; i < std::size(kPrompts); ++i) {
    Report(progress, step++, steps);
    result.prompts.push_back(Judge(model, judge, scale, i, known));
    result.coherent_prompts += result.prompts.back().coherent;
    result.score += result.prompts.back().score / static_cast<double>(kCount);
  }
  Report(progress, steps, steps);
  result.passed =
      static_cast<double>(result.coherent_prompts) >= kPassShare * static_cast<double>(kCount);
  return result;
}

}  // namespace llmq
