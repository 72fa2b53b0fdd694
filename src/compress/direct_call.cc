// LLMQ_COMPRESSOR=LINK: the compressor is part of the executable.
#include "compress/error_border.h"
#include "llmq/compress.h"

namespace llmq {

CompressReport Compress(const CompressOptions& options, CompressObserver& observer) {
  return CompressConvertingErrors(options, observer);
}

bool CompressorBuiltIn() { return true; }

}  // namespace llmq
