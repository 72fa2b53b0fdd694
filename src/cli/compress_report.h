// The result of `littlebit compress`, as the contract's JSON object and as text.
#ifndef LLMQ_CLI_COMPRESS_REPORT_H_
#define LLMQ_CLI_COMPRESS_REPORT_H_

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/compress_arguments.h"
#include "cli/quality_meter.h"
#include "llmq/compress.h"
#include "llmq/model_config.h"

namespace llmq {

struct QualityTry {
  double target_bpw = 0;
  double achieved_bpw = 0;
  double perplexity_delta_pct = 0;
  bool passed = false;
};

// Of weights that came while the model was being compressed.
struct DownloadReport {
  uint64_t bytes = 0;
  double seconds = 0;
  double waited_seconds = 0;  // in which work could not go on without them
};

struct CompressOutcome {
  CompressReport report;
  std::vector<std::filesystem::path> files;  // the output: several if it is split into shards
  std::optional<Quality> quality;            // absent with --skip-validation
  std::optional<DownloadReport> download;
  std::vector<QualityTry> tries;  // of the search; empty without a threshold
  double seconds = 0;             // the whole command
  std::vector<std::string> warnings;
};

double CompressionRatio(const CompressReport& report);  // fp16 bytes over file bytes
double FileBpw(uint64_t file_bytes, int64_t parameters);
// "0.55", "1.2 of the whole file", "none (rank 8)"
std::string TargetText(const CompressArguments& arguments);
std::string TableBitsText(const TableBits& bits);  // "8 bits", "6 bits, head 8 bits"

Json CompressJson(const CompressArguments& arguments, const ModelConfig& config,
                  const CompressOutcome& outcome);
std::string CompressText(const CompressArguments& arguments, const CompressOutcome& outcome);

// The largest resident set of this process so far.
uint64_t PeakMemoryBytes();

}  // namespace llmq

#endif  // LLMQ_CLI_COMPRESS_REPORT_H_
