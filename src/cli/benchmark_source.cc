#include "cli/benchmark_source.h"

#include "cli/download_observer.h"
#include "llmq/hub.h"

namespace llmq {
namespace {

// The splits that papers and lm-evaluation-harness measure.
struct BenchmarkFacts {
  const char* name;
  Benchmark protocol;
  const char* repository;
  std::vector<std::string> files;
};

constexpr const char* kArcRepository = "allenai/ai2_arc";
constexpr const char* kEasyFile = "ARC-Easy/test-00000-of-00001.parquet";
constexpr const char* kChallengeFile = "ARC-Challenge/test-00000-of-00001.parquet";

BenchmarkFacts FactsOf(BenchmarkChoice choice) {
  switch (choice) {
    case BenchmarkChoice::kWikitext:
      return {"wikitext",
              Benchmark::kWikitext,
              "Salesforce/wikitext",
              {"wikitext-2-raw-v1/test-00000-of-00001.parquet"}};
    case BenchmarkChoice::kHellaSwag:
      return {"hellaswag",
              Benchmark::kHellaSwag,
              "Rowan/hellaswag",
              {"data/validation-00000-of-00001.parquet"}};
    case BenchmarkChoice::kArcEasy:
      return {"arc-easy", Benchmark::kArc, kArcRepository, {kEasyFile}};
    case BenchmarkChoice::kArcChallenge:
      return {"arc-challenge", Benchmark::kArc, kArcRepository, {kChallengeFile}};
    case BenchmarkChoice::kArc: break;
  }
  return {"arc", Benchmark::kArc, kArcRepository, {kEasyFile, kChallengeFile}};
}

}  // namespace

Benchmark ProtocolOf(BenchmarkChoice choice) { return FactsOf(choice).protocol; }

const char* BenchmarkName(BenchmarkChoice choice) { return FactsOf(choice).name; }

std::vector<std::filesystem::path> BenchmarkFiles(BenchmarkChoice choice, const std::string& local,
                                                  const EnvironmentLookup& look_up) {
  if (!local.empty()) return {local};
  const BenchmarkFacts facts = FactsOf(choice);
  HubSettings settings = ReadHubSettings(look_up);
  DownloadObserver observer(settings.progress);
  return FetchHubFiles(std::move(settings), {.id = facts.repository, .kind = HubKind::kDataset},
                       facts.files, observer);
}

}  // namespace llmq
