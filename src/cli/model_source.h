// MODEL on a command line becomes a local directory: one that is there, or a model of the Hub,
// which is downloaded.
#ifndef LLMQ_CLI_MODEL_SOURCE_H_
#define LLMQ_CLI_MODEL_SOURCE_H_

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "cli/download_observer.h"
#include "cli/environment.h"
#include "llmq/hub.h"

namespace CLI {
class App;
}

namespace llmq {

// Of a model of the Hub: what is fetched.
enum class ModelNeed {
  kSmallFiles,  // config.json and tokenizer
  kHeaders,     // and the headers of weights that are not in the cache, if the Hub can be asked
  kWeights,
};

// A model of the Hub while a command works with it.
struct HubSource {
  HubSource(HubSettings settings, const HubRepository& repository)
      : observer(settings.progress), model(std::move(settings), repository, observer) {}

  DownloadObserver observer;
  HubModel model;
  std::unique_ptr<HubWeights> weights;  // those that are missing and whose headers are known
};

struct ModelSource {
  std::filesystem::path directory;
  std::string name;          // as people know it: the text given, or "org/name" without a revision
  bool has_weights = false;  // the directory has weights, complete or not
  std::shared_ptr<HubSource> hub;  // nullptr: a directory of somebody's

  ArrivingWeights* arriving() const { return hub ? hub->weights.get() : nullptr; }
  // Otherwise only config.json can be looked at.
  bool has_headers() const { return has_weights || arriving() != nullptr; }
};

// A directory that exists wins over a model of the Hub. `revision` is --revision, or empty. Before
// weights of a model of the Hub or their headers are fetched its config.json is parsed: what this
// program cannot use is refused in time.
// Throws Error: kModelNotFound (neither directory nor model), kInvalidArguments (a revision that is
// none, or of a directory), and what HubModel (llmq/hub.h) and ParseModelConfig throw.
ModelSource ResolveModel(const std::string& model, const std::string& revision, ModelNeed need,
                         const EnvironmentLookup& look_up = LookUpInProcess);

// For what may also be a file that runs: `model` itself if something is there or if it cannot be a
// model of the Hub; else as ResolveModel, with weights, "org/name@revision" naming the revision.
std::filesystem::path ResolveRunnable(const std::string& model,
                                      const EnvironmentLookup& look_up = LookUpInProcess);

// --revision
void AddRevisionOption(CLI::App& app, std::string& revision);

}  // namespace llmq

#endif  // LLMQ_CLI_MODEL_SOURCE_H_
