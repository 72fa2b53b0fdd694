// MODEL on a command line becomes a local directory: one that is there, or a model of the Hub,
// which is downloaded.
#ifndef LLMQ_CLI_MODEL_SOURCE_H_
#define LLMQ_CLI_MODEL_SOURCE_H_

#include <filesystem>
#include <string>

#include "cli/environment.h"

namespace CLI {
class App;
}

namespace llmq {

enum class ModelNeed {
  kSmallFiles,  // config.json and tokenizer: of a model of the Hub, nothing large is fetched
  kWeights,
};

struct ModelSource {
  std::filesystem::path directory;
  std::string name;  // as people know it: the text given, or "org/name" without a revision
  // The directory has weights, complete or not. Without them only config.json can be looked at.
  bool has_weights = false;
  bool from_hub = false;
};

// A directory that exists wins over a model of the Hub. `revision` is --revision, or empty. Before
// the weights of a model of the Hub are fetched its config.json is parsed: what this program cannot
// use is refused in time.
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
