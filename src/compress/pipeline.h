// The whole way of a compression: plan, factorize, train, write.
#ifndef LLMQ_COMPRESS_PIPELINE_H_
#define LLMQ_COMPRESS_PIPELINE_H_

#include "llmq/compress.h"

namespace llmq {

// As Compress() of llmq/compress.h, but exceptions of LibTorch pass through: error_border converts
// them.
CompressReport RunPipeline(const CompressOptions& options, CompressObserver& observer);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_PIPELINE_H_
