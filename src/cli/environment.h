// The environment variables of the commands. Elsewhere: the Hub's (hub/hub_settings), the kernels'
// (runtime/kernel_choice), the compressor module's (compress/open_module); CUDA_VISIBLE_DEVICES is
// CUDA's.
#ifndef LLMQ_CLI_ENVIRONMENT_H_
#define LLMQ_CLI_ENVIRONMENT_H_

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "llmq/bit_budget.h"
#include "llmq/compress.h"

namespace llmq {

// Looks a variable up; nullopt if it is not set.
using EnvironmentLookup = std::function<std::optional<std::string>(const char* name)>;
std::optional<std::string> LookUpInProcess(const char* name);

struct CompressEnvironment {
  int rank_search = 10;                                    // LLM_QUANTIZE_LITTLEBIT_RANK_SEARCH
  double min_bpw = kDefaultMinBpw;                         // LLM_QUANTIZE_LITTLEBIT_MIN_BPW
  double max_bpw = kDefaultMaxBpw;                         // LLM_QUANTIZE_LITTLEBIT_MAX_BPW
  SvdPrecision precision = SvdPrecision::kFloat64;         // LLM_QUANTIZE_SVD_PRECISION
  std::filesystem::path checkpoint_dir = "./.checkpoint";  // LLM_QUANTIZE_CHECKPOINT_DIR
};
// An empty value counts as not set. Throws Error{kInvalidArguments} naming the variable.
CompressEnvironment ReadCompressEnvironment(const EnvironmentLookup& look_up);

struct TerminalEnvironment {
  bool color = true;      // NO_COLOR not set, or empty
  bool animation = true;  // TERM is not "dumb"
};
TerminalEnvironment ReadTerminalEnvironment(const EnvironmentLookup& look_up);

}  // namespace llmq

#endif  // LLMQ_CLI_ENVIRONMENT_H_
