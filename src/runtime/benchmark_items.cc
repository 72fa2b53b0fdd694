#include "runtime/benchmark_items.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "llmq/error.h"
#include "parquet/parquet_reader.h"
#include "runtime/python_text.h"

namespace llmq {
namespace {

constexpr std::string_view kSpaces = " \t\n\r\v\f";

// What the functions below ask for in a row.
const std::vector<std::string> kColumns = {"activity_label", "ctx_a", "ctx_b",    "context",
                                           "endings",        "label", "question", "choices",
                                           "answerKey",      "query", "gold"};

[[noreturn]] void Fail(const std::string& where, const std::string& expected,
                       const std::string& found) {
  throw Error(ErrorCode::kInvalidArguments,
              fmt::format("{}: expected {}, found {}", where, expected, found),
              "Use the benchmark's own JSONL or Parquet file");
}

const Json& Member(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object() || !object.contains(key))
    Fail(where, fmt::format("a member \"{}\"", key), "none");
  return object[key];
}

std::string Text(const Json& object, const char* key, const std::string& where) {
  const Json& value = Member(object, key, where);
  if (!value.is_string()) Fail(where, fmt::format("text in \"{}\"", key), value.type_name());
  return value.get<std::string>();
}

const Json& Array(const Json& object, const char* key, const std::string& where) {
  const Json& value = Member(object, key, where);
  if (!value.is_array() || value.empty())
    Fail(where, fmt::format("a list in \"{}\"", key), value.type_name());
  return value;
}

std::vector<std::string> Texts(const Json& object, const char* key, const std::string& where) {
  std::vector<std::string> texts;
  for (const Json& value : Array(object, key, where)) {
    if (!value.is_string()) Fail(where, fmt::format("texts in \"{}\"", key), value.type_name());
    texts.push_back(value.get<std::string>());
  }
  return texts;
}

// An index into the choices, written as a number or as its digits.
int32_t Index(const Json& object, const char* key, size_t choices, const std::string& where) {
  const Json& value = Member(object, key, where);
  const std::string digits = value.is_string() ? value.get<std::string>() : DumpJson(value);
  const bool number = !digits.empty() && digits.size() < 3 &&
                      digits.find_first_not_of("0123456789") == std::string::npos;
  if (!number || std::stoul(digits) >= choices) {
    Fail(where, fmt::format("an index below {} in \"{}\"", choices, key), digits);
  }
  return static_cast<int32_t>(std::stoul(digits));
}

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// The harness's cleaning of WikiHow's marks: "[title]" ends a sentence, other bracketed words go.
std::string CleanHellaSwag(std::string text) {
  text = Strip(text);
  ReplaceAll(text, " [title]", ". ");
  for (size_t open = text.find('['); open != std::string::npos; open = text.find('[', open)) {
    const size_t close = text.find(']', open);
    if (close == std::string::npos) break;
    if (text.find('\n', open) < close) {
      ++open;  // a mark does not span lines
    } else {
      text.erase(open, close - open + 1);
    }
  }
  ReplaceAll(text, "  ", " ");
  return text;
}

ChoiceItem ParseHellaSwag(const Json& line, const std::string& where) {
  ChoiceItem item;
  const std::string context = line.is_object() && line.contains("context")
                                  ? Text(line, "context", where)
                                  : Text(line, "activity_label", where) + ": " +
                                        Text(line, "ctx_a", where) + " " +
                                        Capitalize(Text(line, "ctx_b", where));
  item.context = CleanHellaSwag(context);
  for (const std::string& ending : Texts(line, "endings", where))
    item.choices.push_back(CleanHellaSwag(ending));
  item.gold = Index(line, "label", item.choices.size(), where);
  return item;
}

// As the data set's authors publish it: question {stem, choices [{text, label}]}; or as the Hub has
// it: question, choices {text [], label []}.
std::pair<std::vector<std::string>, std::vector<std::string>> ArcChoices(const Json& line,
                                                                         const Json& question,
                                                                         const std::string& where) {
  if (question.is_string()) {
    const Json& choices = Member(line, "choices", where);
    return {Texts(choices, "text", where), Texts(choices, "label", where)};
  }
  std::pair<std::vector<std::string>, std::vector<std::string>> choices;
  for (const Json& choice : Array(question, "choices", where)) {
    choices.first.push_back(Text(choice, "text", where));
    choices.second.push_back(Text(choice, "label", where));
  }
  return choices;
}

ChoiceItem ParseArc(const Json& line, const std::string& where) {
  ChoiceItem item;
  if (line.is_object() && line.contains("query")) {
    item.context = Text(line, "query", where) + "\nAnswer:";
    item.choices = Texts(line, "choices", where);
    item.gold = Index(line, "gold", item.choices.size(), where);
    return item;
  }
  const Json& question = Member(line, "question", where);
  const std::string stem =
      question.is_string() ? question.get<std::string>() : Text(question, "stem", where);
  item.context = "Question: " + stem + "\nAnswer:";
  const std::string key = Text(line, "answerKey", where);
  auto [texts, labels] = ArcChoices(line, question, where);
  item.gold = static_cast<int32_t>(std::ranges::find(labels, key) - labels.begin());
  if (texts.size() != labels.size()) Fail(where, "a label for each choice", "another number");
  if (item.gold == static_cast<int32_t>(labels.size())) {
    Fail(where, "an answerKey among the labels", key);
  }
  item.choices = std::move(texts);
  return item;
}

using Parse = ChoiceItem (*)(const Json& line, const std::string& where);

std::vector<ChoiceItem> ReadLines(const std::filesystem::path& path, Parse parse) {
  const std::string text = ReadTextFile(path);
  std::vector<ChoiceItem> items;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(kSpaces) == std::string_view::npos) continue;
    const std::string where = fmt::format("{}: line {}", path.string(), number);
    items.push_back(parse(ParseJson(line, where), where));
    items.back().where = where;
  }
  return items;
}

std::vector<ChoiceItem> ReadParquet(const std::filesystem::path& path, Parse parse) {
  const MappedFile file(path);
  const ParquetReader reader(file.bytes(), path.string());
  std::vector<ChoiceItem> items;
  reader.ForEachRow(kColumns, [&](int64_t number, const Json& row) {
    const std::string where = fmt::format("{}: row {}", path.string(), number);
    items.push_back(parse(row, where));
    items.back().where = where;
  });
  return items;
}

std::vector<ChoiceItem> ReadItems(const std::filesystem::path& path, Parse parse) {
  try {
    std::vector<ChoiceItem> items =
        path.extension() == ".parquet" ? ReadParquet(path, parse) : ReadLines(path, parse);
    if (items.empty()) Fail(path.string(), "at least one item", "none");
    return items;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kGeneral) throw;
    throw Error(ErrorCode::kInvalidArguments, error.message(), error.suggestion());
  }
}

}  // namespace

std::vector<ChoiceItem> ReadHellaSwag(const std::filesystem::path& path) {
  return ReadItems(path, ParseHellaSwag);
}
std::vector<ChoiceItem> ReadArc(const std::filesystem::path& path) {
  return ReadItems(path, ParseArc);
}

}  // namespace llmq
