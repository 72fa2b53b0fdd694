// LittleBitMetadata to JSON and back; see the header.
#include "formats/littlebit_metadata.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/limits.h"
#include "formats/littlebit_layout.h"
#include "llmq/error.h"

namespace llmq {
namespace {

using littlebit_layout::kMetadataBytes;

constexpr double kMaxBpw = 1024;
constexpr int64_t kMaxCount = int64_t{1} << 60;

Json ToJson(const LittleBitMetadata& metadata, uint32_t version) {
  Json json;
  json["source_model"] = metadata.source_model;
  json["producer"] = metadata.producer;
  json["recipe"] = metadata.recipe;
  json["target_bpw"] = metadata.target_bpw;
  json["manual_rank"] = metadata.manual_rank;
  json["original_parameters"] = metadata.original_parameters;
  json["original_fp16_bytes"] = metadata.original_fp16_bytes;
  json["train_tokens"] = metadata.train_tokens;
  json["seed"] = metadata.seed;
  json["embedding_bits"] = metadata.table_bits.embedding;
  if (version == 1) return json;
  json["head_bits"] = metadata.table_bits.head;
  json["budget_scope"] = BudgetScopeName(metadata.budget_scope);
  return json;
}

class MetadataParser {
 public:
  MetadataParser(std::string_view json, uint32_t version, const std::string& where)
      : version_(version), where_(where), json_(ParseJson(json, where)) {}

  LittleBitMetadata Parse() const {
    LittleBitMetadata metadata;
    metadata.source_model = Text("source_model");
    metadata.producer = Text("producer");
    metadata.recipe = Text("recipe");
    metadata.target_bpw = Bpw("target_bpw");
    metadata.manual_rank = Count("manual_rank");
    metadata.original_parameters = Count("original_parameters");
    metadata.original_fp16_bytes = Count("original_fp16_bytes");
    metadata.train_tokens = Count("train_tokens");
    metadata.seed = Seed("seed");
    metadata.table_bits.embedding = Bits("embedding_bits");
    metadata.table_bits.head = metadata.table_bits.embedding;
    if (version_ == 1) return metadata;
    metadata.table_bits.head = Bits("head_bits");
    metadata.budget_scope = Scope("budget_scope");
    return metadata;
  }

 private:
  const Json& At(const char* key) const {
    if (!json_.is_object() || !json_.contains(key)) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: \"{}\": expected a value, found none", where_, key));
    }
    return json_.at(key);
  }

  [[noreturn]] void Fail(const char* key, const std::string& expected) const {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: \"{}\": expected {}, found {}", where_, key,
                                                 expected, DumpJson(At(key)).substr(0, 60)));
  }

  std::string Text(const char* key) const {
    if (!At(key).is_string()) Fail(key, "a string");
    return At(key).get<std::string>();
  }
  double Bpw(const char* key) const {
    const double value = At(key).is_number() ? At(key).get<double>() : -1;
    if (!(value >= 0 && value <= kMaxBpw)) Fail(key, fmt::format("a number from 0 to {}", kMaxBpw));
    return value;
  }
  int64_t Count(const char* key) const {
    const uint64_t value = Seed(key);
    if (value > kMaxCount) Fail(key, fmt::format("an integer from 0 to {}", kMaxCount));
    return static_cast<int64_t>(value);
  }
  int Bits(const char* key) const {
    const int64_t bits = Count(key);
    const bool known = bits <= 16 && IsTableBits(static_cast<int>(bits));
    if (!known || (version_ == 1 && bits == 6)) {
      Fail(key, version_ == 1 ? "16, 8 or 4" : "16, 8, 6 or 4");
    }
    return static_cast<int>(bits);
  }
  BudgetScope Scope(const char* key) const {
    const std::string scope = Text(key);
    if (scope == BudgetScopeName(BudgetScope::kFile)) return BudgetScope::kFile;
    if (scope != BudgetScopeName(BudgetScope::kBody)) Fail(key, "\"body\" or \"file\"");
    return BudgetScope::kBody;
  }
  uint64_t Seed(const char* key) const {
    if (!At(key).is_number_unsigned()) Fail(key, "a non-negative integer");
    return At(key).get<uint64_t>();
  }

  uint32_t version_;
  const std::string& where_;
  Json json_;
};

}  // namespace

uint32_t VersionOfMetadata(const LittleBitMetadata& metadata) {
  const TableBits& bits = metadata.table_bits;
  const bool first = bits.head == bits.embedding && bits.embedding != 6 &&
                     metadata.budget_scope == BudgetScope::kBody;
  return first ? 1 : 2;
}

std::string DumpMetadata(const LittleBitMetadata& metadata, uint32_t version) {
  LittleBitMetadata shortened = metadata;
  std::string json = DumpJson(ToJson(shortened, version));
  while (json.size() > kMetadataBytes && !shortened.source_model.empty()) {
    // The end of a path says most. Escapes make the needed cut unknown, so cut until it fits.
    shortened.source_model.erase(0, std::min<size_t>(16, shortened.source_model.size()));
    json = DumpJson(ToJson(shortened, version));
  }
  if (json.size() > kMetadataBytes) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("metadata: expected at most {} bytes of JSON, found {}", kMetadataBytes,
                            json.size()));
  }
  json.resize(kMetadataBytes, ' ');
  ParseMetadata(json, version, "metadata");
  return json;
}

LittleBitMetadata ParseMetadata(std::string_view json, uint32_t version, const std::string& where) {
  return MetadataParser(json, version, where).Parse();
}

}  // namespace llmq
