// Multiple-choice items as lm-evaluation-harness words them, from JSONL or Parquet.
#ifndef LLMQ_RUNTIME_BENCHMARK_ITEMS_H_
#define LLMQ_RUNTIME_BENCHMARK_ITEMS_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace llmq {

struct ChoiceItem {
  std::string context;
  std::vector<std::string> choices;  // each follows the context after one space
  int32_t gold = 0;                  // the right one
  std::string where;                 // "path: line N" or "path: row N"
};

// HellaSwag: lines or rows with ctx_a, ctx_b, activity_label, endings, label; or `context` in place
// of the first three.
std::vector<ChoiceItem> ReadHellaSwag(const std::filesystem::path& path);
// ARC: question.stem, question.choices [{text, label}], answerKey; or question, choices.text,
// choices.label, answerKey; or query, choices, gold.
std::vector<ChoiceItem> ReadArc(const std::filesystem::path& path);
// Both throw Error{kModelNotFound} if there is no file, and Error{kInvalidArguments} naming the
// line or row that is not such an item, or if there is none.

}  // namespace llmq

#endif  // LLMQ_RUNTIME_BENCHMARK_ITEMS_H_
