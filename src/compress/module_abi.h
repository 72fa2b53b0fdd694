// The one C function between the executable and the compressor module, and the stamp that proves
// that both were built from the same headers.
//
// Before: open_module.cc, in the executable. After: module_entry.cc, in libllmq_compressor.so. C++
// types cross the border because both sides come from one build; the stamp turns a stale module
// into a message instead of a crash. Exceptions do not cross it.
#ifndef LLMQ_COMPRESS_MODULE_ABI_H_
#define LLMQ_COMPRESS_MODULE_ABI_H_

#include <cstdint>
#include <string>

#include "base/log.h"
#include "llmq/compress.h"

namespace llmq {

// Changes whenever the layout of what crosses the border changes in size.
inline constexpr uint64_t kCompressorAbi = 1'000'000'007ull * sizeof(CompressOptions) +
                                           1'000'003ull * sizeof(CompressReport) +
                                           1009ull * sizeof(TrainOptions) + sizeof(LayerReport);

struct CompressorCall {
  uint64_t abi = kCompressorAbi;
  const CompressOptions* options = nullptr;
  CompressObserver* observer = nullptr;
  Verbosity verbosity = Verbosity::kNormal;
  // Filled by the module. error_code 0 means success, otherwise an ErrorCode.
  CompressReport report;
  int error_code = 0;
  std::string error_message;
  std::string error_suggestion;
};

// Returns 0, or 1 if the stamps differ (then nothing but `abi` has been read).
using CompressorEntry = int (*)(CompressorCall* call);
inline constexpr const char* kCompressorEntryName = "llmq_compressor_run_v1";
inline constexpr const char* kCompressorFileName = "libllmq_compressor.so";

}  // namespace llmq

#endif  // LLMQ_COMPRESS_MODULE_ABI_H_
