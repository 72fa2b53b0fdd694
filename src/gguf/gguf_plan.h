// What a writer will write, before it writes anything: which tensor goes to which file, and the
// bytes that stand before the data.
#ifndef LLMQ_GGUF_GGUF_PLAN_H_
#define LLMQ_GGUF_GGUF_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "llmq/gguf.h"

namespace llmq {

struct GgufShardPlan {
  std::filesystem::path path;
  std::string head;     // header, keys, table, zeros up to the data section
  size_t tensors;       // how many of the list, following those of the shard before
  uint64_t data_bytes;  // with padding
};

// Throws as GgufWriter's constructor does.
std::vector<GgufShardPlan> PlanGguf(const std::filesystem::path& path,
                                    const std::vector<GgufKey>& keys,
                                    const std::vector<GgufTensor>& tensors,
                                    const GgufWriteOptions& options);

}  // namespace llmq

#endif  // LLMQ_GGUF_GGUF_PLAN_H_
