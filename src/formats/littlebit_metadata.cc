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

Json ToJson(const LittleBitMetadata& metadata) {
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
  json["embedding_bits"] = metadata.embedding_bits;
  return json;
}

class MetadataParser {
 public:
  MetadataParser(std::string_view json, const std::string& where)
      : where_(where), json_(ParseJson(json, where)) {}

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
    metadata.embedding_bits = static_cast<int>(Count("embedding_bits"));
    if (metadata.embedding_bits != 16 && metadata.embedding_bits != 8 &&
        metadata.embedding_bits != 4) {
      Fail("embedding_bits", "16, 8 or 4");
    }
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
  uint64_t Seed(const char* key) const {
    if (!At(key).is_number_unsigned()) Fail(key, "a non-negative integer");
    return At(key).get<uint64_t>();
  }

  const std::string& where_;
  Json json_;
};

}  // namespace

std::string DumpMetadata(const LittleBitMetadata& metadata) {
  LittleBitMetadata shortened = metadata;
  std::string json = DumpJson(ToJson(shortened));
  while (json.size() > kMetadataBytes && !shortened.source_model.empty()) {
    // The end of a path says most. Escapes make the needed cut unknown, so cut until it fits.
    shortened.source_model.erase(0, std::min<size_t>(16, shortened.source_model.size()));
    json = DumpJson(ToJson(shortened));
  }
  if (json.size() > kMetadataBytes) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("metadata: expected at most {} bytes of JSON, found {}", kMetadataBytes,
                            json.size()));
  }
  json.resize(kMetadataBytes, ' ');
  ParseMetadata(json, "metadata");
  return json;
}

LittleBitMetadata ParseMetadata(std::string_view json, const std::string& where) {
  return MetadataParser(json, where).Parse();
}

}  // namespace llmq
