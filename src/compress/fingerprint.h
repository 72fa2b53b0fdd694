// What a run's result depends on, in words and as one number.
//
// Before: pipeline knows model, options and device. After: checkpoint_store names its directory
// after the number and, when a resumed run does not match, names the words that differ. The number
// of threads and gradient checkpointing are not in it: the result does not depend on them.
#ifndef LLMQ_COMPRESS_FINGERPRINT_H_
#define LLMQ_COMPRESS_FINGERPRINT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "compress/device.h"
#include "llmq/bit_budget.h"
#include "llmq/checkpoint.h"
#include "llmq/compress.h"

namespace llmq {

// Names of parts that a resumed run looks up.
namespace fingerprint_part {
inline constexpr const char* kBlockTokens = "block tokens";
inline constexpr const char* kKdTokens = "distillation tokens";
}  // namespace fingerprint_part

struct Fingerprint {
  std::vector<std::pair<std::string, std::string>> parts;  // name, value; in a fixed order

  uint64_t Hash() const;
  std::string HashText() const;  // 16 hex digits
};

// `train`: what options.train has come to (memory_stage.h).
Fingerprint MakeFingerprint(const CompressOptions& options, const TrainOptions& train,
                            const Checkpoint& checkpoint, const RankPlan& plan,
                            const DeviceChoice& device);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FINGERPRINT_H_
