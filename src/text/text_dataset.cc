// Text files to documents, and documents to one run of tokens.
//
// Before this: the user's file or data/builtin. After this: calibration and training in
// src/compress, perplexity in src/runtime.
#include "llmq/text_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"
#include "base/json.h"
#include "llmq/error.h"
#include "parquet/parquet_reader.h"
#include "text/builtin_text.h"
#include "text/utf8.h"

namespace llmq {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kHeldOutShare = 16;  // one document in so many

[[noreturn]] void Fail(const std::string& where, const std::string& what,
                       const std::string& suggestion = "") {
  throw Error(ErrorCode::kInvalidArguments, where + ": " + what, suggestion);
}

using Rows = std::vector<std::string>;

void AddDocument(std::string_view text, TextDataset& dataset) {
  if (!text.empty()) dataset.documents.push_back(ReplaceInvalidUtf8(text));
}

// The readers below report damage as a general error; here the file is an argument of the user.
template <typename Work>
auto AsUserError(Work work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kGeneral) throw;
    throw Error(ErrorCode::kInvalidArguments, error.message(), error.suggestion());
  }
}

SortedJson ParseUserJson(std::string_view text, const std::string& where) {
  return AsUserError([&] { return ParseSortedJson(text, where); });
}

// JSON must be UTF-8 to be parsed at all, so damage is repaired before.
Rows ReadJsonLines(std::string_view text, const std::string& where) {
  Rows rows;
  size_t line_number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string inside = fmt::format("{}: line {}", where, line_number);
    const SortedJson json = ParseUserJson(ReplaceInvalidUtf8(line), inside);
    const auto it = json.is_object() ? json.find("text") : json.end();
    if (it == json.end() || !it->is_string()) {
      Fail(inside,
           "expected an object with a \"text\" string, found " + DumpJson(json).substr(0, 60));
    }
    rows.push_back(it->get<std::string>());
  }
  return rows;
}

const SortedJson& FindArray(const SortedJson& json, const std::string& where) {
  if (json.is_array()) return json;
  if (json.is_object()) {
    for (const char* key : {"data", "text"}) {
      const auto it = json.find(key);
      if (it != json.end() && it->is_array()) return *it;
    }
  }
  Fail(where, "expected an array, or an object with one under \"data\" or \"text\", found " +
                  DumpJson(json).substr(0, 60));
}

Rows ReadJson(std::string_view text, const std::string& where) {
  Rows rows;
  const SortedJson json = ParseUserJson(ReplaceInvalidUtf8(text), where);
  size_t index = 0;
  for (const SortedJson& entry : FindArray(json, where)) {
    const auto it = entry.is_object() ? entry.find("text") : entry.end();
    const SortedJson* document = it == entry.end() ? &entry : &*it;
    if (!document->is_string()) {
      Fail(fmt::format("{}: entry {}", where, index),
           "expected a string or an object with a \"text\" string, found " +
               DumpJson(entry).substr(0, 60));
    }
    rows.push_back(document->get<std::string>());
    ++index;
  }
  return rows;
}

Rows ReadParquet(std::span<const std::byte> file, const std::string& where) {
  const ParquetReader reader(file, where);
  const std::vector<std::string>& columns = reader.columns();
  if (std::ranges::count(columns, "text") == 0) {
    Fail(where, fmt::format("expected a column 'text', found {}", fmt::join(columns, ", ")));
  }
  Rows rows;
  reader.ForEachRow({"text"}, [&](int64_t number, const Json& row) {
    const Json& text = row["text"];
    if (!text.is_string()) {
      Fail(fmt::format("{}: row {}", where, number),
           fmt::format("expected a string in column 'text', found {}", text.type_name()));
    }
    rows.push_back(ReplaceInvalidUtf8(text.get_ref<const std::string&>()));
  });
  return rows;
}

TextDataset ParseBuiltIn(std::string_view file) {
  constexpr std::string_view kSeparator = "\n\f\n";
  TextDataset dataset{"built-in", {}};
  for (size_t at = 0; at < file.size();) {
    const size_t end = std::min(file.find(kSeparator, at), file.size());
    AddDocument(file.substr(at, end - at), dataset);
    at = end + kSeparator.size();
  }
  return dataset;
}

// Where to cut a single document so that the last part is held out: the paragraph, line or word
// that ends nearest before the cut, else any character.
size_t HeldOutBegin(std::string_view text) {
  const size_t cut = text.size() - text.size() / kHeldOutShare;
  for (const std::string_view border : {"\n\n", "\n", " "}) {
    const size_t at = text.rfind(border, cut);
    if (at != std::string_view::npos && at > text.size() / 2) return at + border.size();
  }
  size_t at = cut;
  while (at > 0 && at < text.size() && (text[at] & 0xC0) == 0x80) --at;
  return at;
}

}  // namespace

std::vector<std::string> LoadTextRows(const std::filesystem::path& path) {
  const std::string where = path.string();
  const std::string extension = path.extension().string();
  const MappedFile file(path);  // what is not there has no wrong ending
  if (extension != ".txt" && extension != ".jsonl" && extension != ".json" &&
      extension != ".parquet") {
    Fail(where, fmt::format("expected .txt, .jsonl, .json or .parquet, found \"{}\"", extension));
  }
  if (extension == ".parquet") {
    return AsUserError([&] { return ReadParquet(file.bytes(), where); });
  }
  std::string_view text = AsText(file.bytes());
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (extension == ".txt") return {ReplaceInvalidUtf8(text)};
  return extension == ".jsonl" ? ReadJsonLines(text, where) : ReadJson(text, where);
}

TextDataset LoadTextDataset(const std::filesystem::path& path) {
  TextDataset dataset{path.filename().string(), LoadTextRows(path)};
  std::erase(dataset.documents, "");
  if (dataset.documents.empty()) Fail(path.string(), "expected text, found none");
  return dataset;
}

TextDataset BuiltInTrainingText() { return ParseBuiltIn(BuiltInTrainingFile()); }
TextDataset BuiltInHeldOutText() { return ParseBuiltIn(BuiltInHeldOutFile()); }
std::string_view BuiltInWords() { return BuiltInWordsFile(); }

std::vector<int32_t> TokenizeJoined(const TextDataset& dataset, const Tokenizer& tokenizer) {
  std::string joined;
  for (const std::string& document : dataset.documents) {
    if (!joined.empty()) joined += "\n\n";
    joined += document;
  }
  return tokenizer.Encode(joined, /*add_special=*/true);
}

std::vector<int32_t> TokenizeDocuments(const TextDataset& dataset, const Tokenizer& tokenizer) {
  if (tokenizer.Encode("", /*add_special=*/true).empty()) return TokenizeJoined(dataset, tokenizer);
  std::vector<int32_t> ids;
  for (const std::string& document : dataset.documents) {
    const std::vector<int32_t> part = tokenizer.Encode(document, /*add_special=*/true);
    ids.insert(ids.end(), part.begin(), part.end());
  }
  return ids;
}

DatasetSplit SplitHeldOut(const TextDataset& dataset) {
  DatasetSplit split{{dataset.name, {}}, {dataset.name + " (held out)", {}}};
  const std::vector<std::string>& documents = dataset.documents;
  if (documents.size() == 1) {
    const std::string_view text = documents[0];
    const size_t begin = HeldOutBegin(text);
    AddDocument(text.substr(0, begin), split.training);
    AddDocument(text.substr(begin), split.held_out);
    return split;
  }
  // With fewer documents than the share, the last is held out.
  const size_t every = std::min(kHeldOutShare, documents.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    const bool held_out = i % every == every - 1;
    (held_out ? split.held_out : split.training).documents.push_back(documents[i]);
  }
  return split;
}

}  // namespace llmq
