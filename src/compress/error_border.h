// The border at which LibTorch's exceptions become llmq::Error.
#ifndef LLMQ_COMPRESS_ERROR_BORDER_H_
#define LLMQ_COMPRESS_ERROR_BORDER_H_

#include "llmq/compress.h"

namespace llmq {

// RunPipeline; throws llmq::Error and nothing else.
CompressReport CompressConvertingErrors(const CompressOptions& options, CompressObserver& observer);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_ERROR_BORDER_H_
