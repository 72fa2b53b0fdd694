// The names of the files of a split model: "NAME-00002-of-00004.gguf", and which shard is which.
#ifndef LLMQ_GGUF_GGUF_SHARDS_H_
#define LLMQ_GGUF_GGUF_SHARDS_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "gguf/gguf_part.h"

namespace llmq {

// What split.count (UINT16) can hold.
inline constexpr uint64_t kMaxGgufShards = 65535;

// The shard `number` (from 0) of `count` of the file that would be called `path`: "dir/name.gguf"
// -> "dir/name-00001-of-00003.gguf".
std::filesystem::path GgufShardPath(const std::filesystem::path& path, uint64_t number,
                                    uint64_t count);

// The part, and if it is the first shard of a split file all others behind it. Throws Error:
// kModelNotFound if a shard is missing, kGeneral if `path` is another shard, if the shards do not
// belong together or if one of them is damaged.
std::vector<GgufPart> ReadGgufParts(const std::filesystem::path& path);

}  // namespace llmq

#endif  // LLMQ_GGUF_GGUF_SHARDS_H_
