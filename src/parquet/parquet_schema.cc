#include "parquet/parquet_schema.h"

#include <fmt/format.h>

#include <utility>

#include "llmq/error.h"

namespace llmq {
namespace {

constexpr size_t kMaxDepth = 32;

// Walks the stored tree once, depth first.
class SchemaWalk {
 public:
  SchemaWalk(const std::vector<ParquetElement>& elements, const std::string& where)
      : elements_(elements), where_(where) {}

  std::vector<ParquetColumn> Run() {
    const ParquetElement& root = Next();
    for (int64_t i = 0; i < root.children; ++i) {
      column_ = &columns_.emplace_back();
      column_->name = Peek().name;
      Visit({}, Levels{}, column_->name);
    }
    Expect(next_ == elements_.size(), "as many nodes as the tree has");
    return std::move(columns_);
  }

 private:
  struct Levels {
    uint32_t definition = 0;
    uint32_t repetition = 0;
  };

  void Expect(bool right, const char* expected) const {
    if (right) return;
    throw Error(ErrorCode::kGeneral, fmt::format("{}: schema: expected {}", where_, expected),
                "The file is damaged; fetch it again");
  }

  const ParquetElement& Peek() const {
    Expect(next_ < elements_.size(), "as many nodes as the tree has");
    return elements_[next_];
  }
  const ParquetElement& Next() {
    const ParquetElement& element = Peek();
    ++next_;
    return element;
  }

  // `way`: the steps above this node; `key`: what rows call it.
  void Visit(std::vector<ParquetStep> way, Levels levels, std::string key) {
    const ParquetElement& node = Next();
    Expect(way.size() < kMaxDepth, "at most 32 levels of nesting");
    levels.definition += node.repetition != ParquetRepetition::kRequired;
    levels.repetition += node.repetition == ParquetRepetition::kRepeated;
    way.push_back({std::move(key), node.repetition, levels.definition, levels.repetition});
    if (node.children <= 0) return AddLeaf(node, std::move(way), levels);
    if (node.is_list && node.children == 1) return VisitList(node, way, levels);
    for (int64_t i = 0; i < node.children; ++i) {
      std::string child = Peek().name;
      Visit(way, levels, std::move(child));
    }
  }

  // A list is three nodes: itself, a repeated one, and the element. Old writers leave out the last;
  // LogicalTypes.md of the format tells the two apart by these names.
  void VisitList(const ParquetElement& list, std::vector<ParquetStep> way, Levels levels) {
    const ParquetElement& repeated = Peek();
    const bool two_nodes =
        repeated.children != 1 || repeated.name == "array" || repeated.name == list.name + "_tuple";
    if (repeated.repetition != ParquetRepetition::kRepeated || two_nodes) {
      return Visit(std::move(way), levels, "");
    }
    Next();
    ++levels.definition;
    ++levels.repetition;
    way.push_back({"", ParquetRepetition::kRepeated, levels.definition, levels.repetition});
    Visit(std::move(way), levels, "");
  }

  void AddLeaf(const ParquetElement& node, std::vector<ParquetStep> way, Levels levels) {
    Expect(node.type && *node.type >= 0 && *node.type <= 7 && node.children == 0,
           "a leaf's type of value");
    column_->leaves.push_back({.chunk = leaves_++,
                               .type = static_cast<ParquetType>(*node.type),
                               .is_readable = node.is_readable,
                               .steps = std::move(way),
                               .max_definition = levels.definition,
                               .max_repetition = levels.repetition});
  }

  const std::vector<ParquetElement>& elements_;
  const std::string& where_;
  size_t next_ = 0;
  size_t leaves_ = 0;
  std::vector<ParquetColumn> columns_;
  ParquetColumn* column_ = nullptr;
};

}  // namespace

std::vector<ParquetColumn> MakeParquetColumns(const ParquetMetadata& metadata,
                                              const std::string& where) {
  return SchemaWalk(metadata.schema, where).Run();
}

}  // namespace llmq
