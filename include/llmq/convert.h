// From a compressed model to the GGUF files that others read.
//
// .littlebit to "gguf-ext" and back is LittleBitFile's own matter (WriteGgufExt, WriteLittleBit in
// llmq/littlebit_file.h); here is what llama.cpp knows: its keys, its tokenizers, its block types.
#ifndef LLMQ_CONVERT_H_
#define LLMQ_CONVERT_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "llmq/gguf.h"
#include "llmq/littlebit_file.h"

namespace llmq {

struct LossyOptions {
  std::string file_type = "Q4_K_M";  // one of LossyFileTypes(), any case
  std::string pre_tokenizer;         // llama.cpp's name of it; empty: found out
  uint64_t max_shard_bytes = 0;      // of tensor data; 0: one file
  int threads = 0;                   // 0: one per core; the bytes do not depend on it
};

// "F32", "F16", ..., "Q4_K_M", ..., "Q2_K".
std::vector<std::string> LossyFileTypes();
// The file type as written in names of files: "q4_k" is "Q4_K_M". Throws
// Error{kUnsupportedConversion} for an unknown one.
std::string CanonicalFileType(const std::string& name);

struct LossyReport {
  std::vector<std::filesystem::path> files;
  uint64_t bytes = 0;
  int64_t tensors = 0;
  std::map<std::string, int64_t> types;  // how many tensors of each block type
  std::vector<std::string> warnings;     // what the file cannot say, a sentence each
};

// Called after each tensor from the calling thread; returns false to stop (the output then does not
// appear and Error{kUserCancelled} is thrown).
using ConvertProgress = std::function<bool(int64_t done, int64_t total, const std::string& name)>;

// Bytes that WriteGgufLossy will write, but for a few of the model's name; throws its errors that
// files and configuration alone can tell. `where` begins messages.
uint64_t PlannedGgufLossyBytes(const ModelFiles& files, const ModelConfig& config,
                               const LossyOptions& options, const std::string& where);

// Multiplies every layer out, quantizes it and writes a GGUF file for llama.cpp. One tensor is in
// memory at a time. Throws Error: kUnsupportedConversion (an unknown file type, a tokenizer or
// architecture that llama.cpp does not have), kReconstructionFailed (a value that is not finite or
// does not fit the type, naming the tensor), kGeneral (cannot be written, not enough disk).
LossyReport WriteGgufLossy(const LittleBitFile& file, const std::filesystem::path& path,
                           const LossyOptions& options, const ConvertProgress& progress);

// A dense GGUF file of a model that can be run, as `info` shows it. Throws as Model::Open does.
struct DenseGgufSummary {
  ModelConfig config;
  std::string name;  // general.name; empty if the file has none
  std::string type;  // of most values: "Q4_K"
  int64_t parameters = 0;
};
DenseGgufSummary SummarizeDenseGguf(const std::filesystem::path& path);
// The tensors with a value, or a block's scale, that is not finite. Reads everything.
std::vector<std::string> NonFiniteTensors(const GgufFile& file);

// What llama.cpp's tools show of the model: llama.* and tokenizer.* keys for WriteGgufExt. If the
// tokenizer has no equivalent there, its keys are left out and `warnings` says so.
std::vector<GgufKey> DescriptiveKeys(const LittleBitFile& file, std::vector<std::string>& warnings);

}  // namespace llmq

#endif  // LLMQ_CONVERT_H_
