// Plans the files of a writer; see the header.
#include "gguf/gguf_plan.h"

#include <fmt/format.h>

#include <span>
#include <string_view>
#include <unordered_set>

#include "base/bytes.h"
#include "gguf/gguf_layout.h"
#include "gguf/gguf_rules.h"
#include "gguf/gguf_shards.h"
#include "gguf/gguf_table.h"
#include "gguf/gguf_values.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr uint64_t kMaxDataBytes = uint64_t{1} << 62;

[[noreturn]] void Fail(const std::filesystem::path& path, const std::string& what) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", path.string(), what));
}

void CheckKeys(const std::filesystem::path& path, const std::vector<GgufKey>& keys) {
  std::unordered_set<std::string_view> names;
  for (const GgufKey& key : keys) {
    const std::string part = fmt::format("key {}", Shorten(key.name));
    if (const auto fault = KeyNameFault(key.name)) Fail(path, "key: " + *fault);
    if (key.name == gguf_layout::kAlignmentKey || key.name.starts_with(gguf_layout::kSplitPrefix)) {
      Fail(path, part + ": expected to be left to the writer, found among the keys");
    }
    if (!names.insert(key.name).second) Fail(path, part + ": expected once, found twice");
    if (const auto fault = ValueFault(key.value)) Fail(path, part + ": " + *fault);
  }
}

void CheckTensors(const std::filesystem::path& path, const std::vector<GgufTensor>& tensors,
                  uint64_t alignment) {
  std::unordered_set<std::string_view> names;
  uint64_t data_bytes = 0;
  for (const GgufTensor& tensor : tensors) {
    const std::string part = fmt::format("tensor {}", Shorten(tensor.name));
    if (const auto fault = TensorNameFault(tensor.name)) Fail(path, part + ": " + *fault);
    if (!names.insert(tensor.name).second) Fail(path, part + ": expected once, found twice");
    const auto fault = TensorFault(static_cast<uint32_t>(tensor.type), UnsignedShape(tensor));
    if (fault) Fail(path, part + ": " + *fault);
    data_bytes += PaddedBytes(tensor, alignment);  // each below 2^60
    if (data_bytes > kMaxDataBytes) {
      Fail(path,
           fmt::format("{}: expected at most {} bytes of data, found more", part, kMaxDataBytes));
    }
  }
}

struct Range {
  size_t tensors = 0;
  uint64_t data_bytes = 0;
};

// At least one range; none without tensors unless there are none at all.
std::vector<Range> Split(const std::vector<GgufTensor>& tensors, const GgufWriteOptions& options) {
  std::vector<Range> ranges(1);
  for (const GgufTensor& tensor : tensors) {
    const uint64_t bytes = PaddedBytes(tensor, options.alignment);
    const bool full = options.max_shard_bytes > 0 && ranges.back().tensors > 0 &&
                      ranges.back().data_bytes + bytes > options.max_shard_bytes;
    if (full) ranges.emplace_back();
    ranges.back().tensors += 1;
    ranges.back().data_bytes += bytes;
  }
  return ranges;
}

std::string Head(std::span<const GgufKey> keys, std::span<const GgufKey> own_keys,
                 std::span<const GgufTensor> tensors, uint64_t alignment) {
  std::string head(gguf_layout::kMagic);
  AppendGgufNumber(gguf_layout::kVersion, head);
  AppendGgufNumber(uint64_t{tensors.size()}, head);
  AppendGgufNumber(uint64_t{keys.size() + own_keys.size()}, head);
  for (const auto list : {keys, own_keys}) {
    for (const GgufKey& key : list) {
      AppendGgufString(key.name, head);
      AppendGgufValue(key.value, head);
    }
  }
  AppendGgufTable(tensors, alignment, head);
  head.resize(AlignUp(head.size(), alignment), '\0');
  return head;
}

// The keys that the writer adds. The alignment stands in every shard: each is read by itself.
std::vector<GgufKey> OwnKeys(const GgufWriteOptions& options, size_t shard, size_t shards,
                             size_t tensors) {
  std::vector<GgufKey> keys;
  if (options.alignment != gguf_layout::kDefaultAlignment) {
    keys.push_back(
        {std::string(gguf_layout::kAlignmentKey), static_cast<uint32_t>(options.alignment)});
  }
  if (options.max_shard_bytes == 0) return keys;
  keys.push_back({std::string(gguf_layout::kSplitNumberKey), static_cast<uint16_t>(shard)});
  keys.push_back({std::string(gguf_layout::kSplitCountKey), static_cast<uint16_t>(shards)});
  keys.push_back({std::string(gguf_layout::kSplitTensorsKey), static_cast<int32_t>(tensors)});
  return keys;
}

}  // namespace

std::vector<GgufShardPlan> PlanGguf(const std::filesystem::path& path,
                                    const std::vector<GgufKey>& keys,
                                    const std::vector<GgufTensor>& tensors,
                                    const GgufWriteOptions& options) {
  if (const auto fault = AlignmentFault(options.alignment)) Fail(path, "alignment: " + *fault);
  CheckKeys(path, keys);
  CheckTensors(path, tensors, options.alignment);
  const std::vector<Range> ranges = Split(tensors, options);
  const bool split = options.max_shard_bytes > 0;
  if (ranges.size() > kMaxGgufShards) {
    Fail(path, fmt::format("expected at most {} shards, found {}", kMaxGgufShards, ranges.size()));
  }
  std::vector<GgufShardPlan> plans;
  size_t first = 0;
  for (size_t shard = 0; shard < ranges.size(); ++shard) {
    const Range& range = ranges[shard];
    const std::vector<GgufKey> own = OwnKeys(options, shard, ranges.size(), tensors.size());
    const auto given = shard == 0 ? std::span<const GgufKey>(keys) : std::span<const GgufKey>();
    plans.push_back({.path = split ? GgufShardPath(path, shard, ranges.size()) : path,
                     .head = Head(given, own, std::span(tensors).subspan(first, range.tensors),
                                  options.alignment),
                     .tensors = range.tensors,
                     .data_bytes = range.data_bytes});
    first += range.tensors;
  }
  return plans;
}

uint64_t PlannedGgufBytes(const std::filesystem::path& path, const std::vector<GgufKey>& keys,
                          const std::vector<GgufTensor>& tensors, const GgufWriteOptions& options) {
  uint64_t bytes = 0;
  for (const GgufShardPlan& plan : PlanGguf(path, keys, tensors, options)) {
    bytes += plan.head.size() + plan.data_bytes;
  }
  return bytes;
}

}  // namespace llmq
