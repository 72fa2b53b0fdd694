// Text for calibration, training and measuring: files of the user or the texts that ship inside the
// program.
#ifndef LLMQ_TEXT_DATASET_H_
#define LLMQ_TEXT_DATASET_H_

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "llmq/tokenizer.h"

namespace llmq {

struct TextDataset {
  std::string name;                    // file name or "built-in"
  std::vector<std::string> documents;  // valid UTF-8, none empty
};

// .txt: one document; .jsonl: a "text" string per line; .json: an array of strings or of objects
// with "text", or an object with such an array under "data" or "text"; .parquet: the column "text".
// Throws Error{kModelNotFound} if the file is missing, Error{kInvalidArguments} for another
// extension, no text, or damage (line or row named).
TextDataset LoadTextDataset(const std::filesystem::path& path);
// The same texts with the empty ones, which count where rows are joined.
std::vector<std::string> LoadTextRows(const std::filesystem::path& path);

// Short public-domain and self-made English that ships inside the program (about 200 KB).
TextDataset BuiltInTrainingText();
TextDataset BuiltInHeldOutText();  // no overlap with the training text

// English words that the coherence measure knows: lower case, one per line, sorted.
std::string_view BuiltInWords();

// Tokens of all documents joined with "\n\n" (the way the papers evaluate WikiText-2), BOS once if
// the tokenizer adds it.
std::vector<int32_t> TokenizeJoined(const TextDataset& dataset, const Tokenizer& tokenizer);

// Tokens of all documents one after the other, each begun with BOS, as models see documents when
// they are trained. As TokenizeJoined where the tokenizer adds no BOS.
std::vector<int32_t> TokenizeDocuments(const TextDataset& dataset, const Tokenizer& tokenizer);

// Every k-th document (at least one) set aside: {training, held out}. Used when the user gives one
// file. A data set of one document is cut by length instead, the last part held out.
struct DatasetSplit {
  TextDataset training;
  TextDataset held_out;
};
DatasetSplit SplitHeldOut(const TextDataset& dataset);

}  // namespace llmq

#endif  // LLMQ_TEXT_DATASET_H_
