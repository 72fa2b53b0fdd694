// What compress and convert have in common about GGUF output: options, names and the conversion.
//
// Before this: a finished .littlebit or gguf-ext file. After this: the file that the user asked
// for.
#ifndef LLMQ_CLI_GGUF_OPTIONS_H_
#define LLMQ_CLI_GGUF_OPTIONS_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/progress.h"
#include "llmq/convert.h"

namespace CLI {
class App;
}

namespace llmq {

enum class OutputFormat { kLittleBit, kGgufExt, kGgufLossy };

// "littlebit", "gguf-ext", "gguf-lossy": what CLI11 has let through.
OutputFormat OutputFormatFromName(const std::string& name);

struct GgufArguments {
  std::string quant = "Q4_K_M";
  std::string pre_tokenizer;   // empty: found out
  std::string max_shard_size;  // "2G"; empty: one file
};
// --gguf-quant, --pre-tokenizer, --max-shard-size.
void AddGgufOptions(CLI::App& app, GgufArguments& arguments);

// Throws Error: kUnsupportedConversion for an unknown --gguf-quant, kInvalidArguments for a size.
LossyOptions MakeLossyOptions(const GgufArguments& arguments, int threads);

// "m" -> "m.littlebit", "m.gguf" or "m-lossy-Q4_K_M.gguf"; `name` beside it (may be empty) wins and
// gets the extension if it has none.
std::string OutputFileName(const std::string& stem, const std::string& name, OutputFormat format,
                           const GgufArguments& arguments);

// Throws Error{kInvalidArguments} where a directory, a pipe or a device has the name.
void CheckCanHoldOutput(const std::filesystem::path& output);

struct Conversion {
  std::vector<std::filesystem::path> files;
  uint64_t bytes = 0;
  std::map<std::string, int64_t> types;  // gguf-lossy: tensors of each block type
  std::vector<std::string> warnings;
};
// Writes `output` from the compressed model `input`. Errors as those of WriteLittleBit,
// WriteGgufExt and WriteGgufLossy; Error{kUserCancelled} after Ctrl-C.
Conversion Convert(const LittleBitFile& input, const std::filesystem::path& output,
                   OutputFormat format, const LossyOptions& lossy, Progress& progress);

}  // namespace llmq

#endif  // LLMQ_CLI_GGUF_OPTIONS_H_
