#include "parquet/row_builder.h"

#include <fmt/format.h>

#include <utility>

#include "llmq/error.h"

namespace llmq {

RowBuilder::RowBuilder(const ParquetColumn& column, std::vector<ColumnData> data,
                       ReadBudget& budget, std::string where)
    : column_(column),
      data_(std::move(data)),
      cursors_(data_.size()),
      budget_(budget),
      where_(std::move(where)) {}

void RowBuilder::Fail(const std::string& what) const {
  throw Error(ErrorCode::kGeneral, where_ + ": " + what, "The file is damaged; fetch it again");
}

Json RowBuilder::Next() {
  Json row;
  for (size_t leaf = 0; leaf < data_.size(); ++leaf) {
    const std::vector<uint32_t>& repetitions = data_[leaf].repetitions;
    Entries entries{cursors_[leaf].entry, cursors_[leaf].entry};
    // A row begins with repetition level 0 and goes on to the next.
    if (entries.begin >= repetitions.size() || repetitions[entries.begin] != 0) {
      Fail("expected another row, found none");
    }
    do {
      ++entries.end;
    } while (entries.end < repetitions.size() && repetitions[entries.end] != 0);
    cursors_[leaf].entry = entries.end;
    Json value = Build(leaf, 0, entries);
    if (leaf == 0) {
      row = std::move(value);
    } else {
      Merge(row, std::move(value));
    }
  }
  return row;
}

void RowBuilder::ExpectEnd() const {
  for (size_t leaf = 0; leaf < data_.size(); ++leaf) {
    if (cursors_[leaf].entry != data_[leaf].repetitions.size()) {
      Fail("expected as many rows as the row group has, found more");
    }
  }
}

// The node of this step: null, an array, or what is inside.
Json RowBuilder::Build(size_t leaf, size_t step, Entries entries) {
  const ParquetStep& node = column_.leaves[leaf].steps[step];
  const ColumnData& data = data_[leaf];
  if (node.repetition == ParquetRepetition::kRequired) return Inside(leaf, step, entries);
  const bool absent = data.definitions[entries.begin] < node.definition;
  if (absent && entries.end - entries.begin != 1) Fail("expected nothing, found a list");
  if (node.repetition == ParquetRepetition::kOptional) {
    return absent ? Json() : Inside(leaf, step, entries);
  }
  Json array = Json::array();
  if (absent) return array;
  while (entries.begin < entries.end) {
    size_t end = entries.begin + 1;
    while (end < entries.end && data.repetitions[end] > node.repeats) ++end;
    array.push_back(Inside(leaf, step, {entries.begin, end}));
    entries.begin = end;
  }
  return array;
}

Json RowBuilder::Inside(size_t leaf, size_t step, Entries entries) {
  const std::vector<ParquetStep>& steps = column_.leaves[leaf].steps;
  constexpr uint64_t kBytesPerNode = 64;
  budget_.Spend(kBytesPerNode, where_);
  if (step + 1 == steps.size()) {
    if (entries.end - entries.begin != 1) Fail("expected one value, found a list of them");
    return Value(leaf);
  }
  Json inside = Build(leaf, step + 1, entries);
  const std::string& key = steps[step + 1].key;
  if (key.empty()) return inside;
  Json object = Json::object();
  object[key] = std::move(inside);
  return object;
}

Json RowBuilder::Value(size_t leaf) {
  const std::vector<ParquetValue>& values = data_[leaf].values;
  const ParquetValue& value = values[cursors_[leaf].value++];
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    budget_.Spend(text->size(), where_);
    return std::string(*text);
  }
  if (const auto* truth = std::get_if<bool>(&value)) return *truth;
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  return std::get<double>(value);
}

// Each leaf has built the column's value with its own part of every object.
void RowBuilder::Merge(Json& into, Json&& from) const {
  if (into.is_object() && from.is_object()) {
    for (auto& [key, value] : from.items()) {
      if (into.contains(key)) {
        Merge(into[key], std::move(value));
      } else {
        into[key] = std::move(value);
      }
    }
  } else if (into.is_array() && from.is_array() && into.size() == from.size()) {
    for (size_t i = 0; i < into.size(); ++i) Merge(into[i], std::move(from[i]));
  } else if (!into.is_null() || !from.is_null()) {
    Fail("expected columns of one structure that agree, found others");
  }
}

}  // namespace llmq
