// Which items a benchmark measures: a local file, or the data set of the Hub.
#ifndef LLMQ_CLI_BENCHMARK_SOURCE_H_
#define LLMQ_CLI_BENCHMARK_SOURCE_H_

#include <filesystem>
#include <string>
#include <vector>

#include "cli/environment.h"
#include "llmq/evaluate.h"

namespace llmq {

// What --benchmark takes: protocols, and for ARC which of its sets.
enum class BenchmarkChoice { kWikitext, kHellaSwag, kArc, kArcEasy, kArcChallenge };

Benchmark ProtocolOf(BenchmarkChoice choice);
const char* BenchmarkName(BenchmarkChoice choice);

// `local`, if it is not empty; else files of the Hub, fetched if they are not in its cache. Throws
// as FetchHubFiles (llmq/hub.h).
std::vector<std::filesystem::path> BenchmarkFiles(
    BenchmarkChoice choice, const std::string& local,
    const EnvironmentLookup& look_up = LookUpInProcess);

}  // namespace llmq

#endif  // LLMQ_CLI_BENCHMARK_SOURCE_H_
