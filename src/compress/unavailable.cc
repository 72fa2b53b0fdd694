// LLMQ_COMPRESSOR=OFF: the deployment build, which reads and runs compressed models but makes none.
#include "llmq/compress.h"
#include "llmq/error.h"

namespace llmq {

CompressReport Compress(const CompressOptions&, CompressObserver&) {
  throw Error(ErrorCode::kGeneral, "compress: this llm-quantize was built without the compressor",
              "Build with -DLLMQ_COMPRESSOR=MODULE, which needs LibTorch 2.x");
}

bool CompressorBuiltIn() { return false; }

}  // namespace llmq
