#include "llamacpp/pre_tokenizer_name.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/digest.h"
#include "llamacpp/pre_tokenizer_digests.h"
#include "llamacpp/pre_tokenizers.h"
#include "llmq/error.h"
#include "text/json_steps.h"

namespace llmq {
namespace {

struct KnownSplit {
  std::string_view digest;  // SHA-256 of the expressions of all Split steps, joined
  bool ignore_merges;       // of the model; the name implies it
  bool digits;              // a step Digits, each digit alone, follows
  std::string_view name;
};

// Published with ollama (convert/tokenizer.go); those whose expressions llamacpp/pre_tokenizers has
// are computed from them by a test.
constexpr std::array<KnownSplit, 8> kKnownSplits = {{
    {"d98f9631be1e9607a9848c26c1f9eac1aa9fc21ac6ba82a2fc0741af9780a48f", true, false, "llama-bpe"},
    {"d98f9631be1e9607a9848c26c1f9eac1aa9fc21ac6ba82a2fc0741af9780a48f", false, false, "dbrx"},
    {"1ff7f41064896984db5d1bb6ff64fa4bc29007d08c1b439e505b7392777a319e", false, false, "qwen2"},
    {"1d64a9a8eaf9f1bd80331984d81fdd514e7feafe8df83a525dd31472f275699a", true, false, "tekken"},
    {"03df5c5863ad70781dcfdef491ead25140f895fe8010964be0daefe27be32b02", false, true,
     "deepseek-llm"},
    {"21cde974d587f0d54dc8d56b183cc1e6239600172035c68fbd6d4b9f8da0576e", false, true,
     "deepseek-coder"},
    {"00431aed57e696b747435f734d1e3b9b1bfd931a121fb5cac7129e97c181e9ba", false, false, "qwen35"},
    {"b92c0824a58e1d8dc3221cf3e12c433c3a86f57e46d57229993489f0798e7702", false, false, "laguna"},
}};

// The steps of a pre-tokenizer, as far as names depend on them.
struct Steps {
  std::string splits;                    // the expressions of the Split steps, joined
  std::vector<std::string> expressions;  // of all steps
  bool digits = false;                   // Digits, each alone
  bool words = false;                    // ByteLevel cuts words itself
  bool plain = true;                     // nothing else, and no option that no name implies
  std::string description;               // for messages
};

Steps ReadSteps(const SortedJson& file, const std::string& where) {
  Steps steps;
  for (const JsonStep& step : FlattenSteps(file, "pre_tokenizer", "pretokenizers", where)) {
    const SortedJson& json = *step.json;
    steps.description += fmt::format("{}{}", steps.description.empty() ? "" : ", ", step.type);
    if (step.type == "Split") {
      const SortedJson& pattern = RequireKey(json, "pattern", step.where);
      const std::string regex = GetString(pattern, "Regex", "", step.where);
      steps.splits += regex;
      steps.expressions.push_back(regex);
      steps.plain = steps.plain && !regex.empty() && !steps.digits &&
                    GetString(json, "behavior", "", step.where) == "Isolated" &&
                    !GetBool(json, "invert", false, step.where);
    } else if (step.type == "Digits") {
      steps.digits = GetBool(json, "individual_digits", false, step.where);
      steps.plain = steps.plain && steps.digits;
      steps.expressions.emplace_back(R"(\p{N})");
    } else if (step.type == "ByteLevel") {
      steps.words = GetBool(json, "use_regex", true, step.where);
      if (steps.words) steps.expressions.emplace_back(ByteLevelExpression());
      if (GetBool(json, "add_prefix_space", true, step.where)) {
        steps.plain = false;
        steps.description += " with add_prefix_space";
      }
    } else {
      steps.plain = false;
    }
  }
  return steps;
}

std::string_view NameOfSplits(const Steps& steps, bool ignore_merges) {
  if (!steps.plain || steps.splits.empty() || steps.words) return "";
  const std::string digest = Sha256Hex(steps.splits);
  for (const KnownSplit& known : kKnownSplits) {
    if (known.digest == digest && known.ignore_merges == ignore_merges &&
        known.digits == steps.digits) {
      return known.name;
    }
  }
  return "";
}

std::string_view NameOfRule(const Steps& steps, bool ignore_merges) {
  if (!steps.plain || steps.expressions.empty()) return "";
  for (const PreTokenizerRule& rule : PreTokenizerRules()) {
    if (rule.ignore_merges == ignore_merges &&
        std::equal(rule.expressions.begin(), rule.expressions.end(), steps.expressions.begin(),
                   steps.expressions.end())) {
      return rule.names.front();
    }
  }
  return "";
}

}  // namespace

std::string PreTokenizerName(const SortedJson& file, const Tokenizer& tokenizer,
                             const std::string& where) {
  const Steps steps = ReadSteps(file, where);
  const bool ignore_merges =
      GetBool(RequireKey(file, "model", where), "ignore_merges", false, where + ": model");
  std::string_view name = NameOfSplits(steps, ignore_merges);
  const std::vector<int32_t> ids = tokenizer.Encode(PreTokenizerCheckText(), true);
  const std::string digest = Sha256Hex(fmt::format("[{}]", fmt::join(ids, ", ")));
  if (name.empty()) name = PreTokenizerOfDigest(digest);
  if (name.empty()) name = NameOfRule(steps, ignore_merges);
  if (!name.empty()) return std::string(name);
  throw Error(
      ErrorCode::kUnsupportedConversion,
      fmt::format("{}: expected a pre-tokenizer that llama.cpp has a name for, found {} (SHA-256 "
                  "of its expressions {}, of the ids of llama.cpp's check text {})",
                  where, steps.description.empty() ? "none" : steps.description,
                  steps.splits.empty() ? "none" : Sha256Hex(steps.splits), digest),
      "Say --pre-tokenizer NAME if you know llama.cpp's name for it");
}

}  // namespace llmq
