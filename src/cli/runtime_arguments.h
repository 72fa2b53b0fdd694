// The options of commands that run a model: threads, activations, keys and values, device.
#ifndef LLMQ_CLI_RUNTIME_ARGUMENTS_H_
#define LLMQ_CLI_RUNTIME_ARGUMENTS_H_

#include <optional>
#include <string>

#include "llmq/model.h"

namespace CLI {
class App;
}

namespace llmq {

struct RuntimeArguments {
  int threads = 0;
  bool exact = false;
  std::optional<KvType> kv;  // not set: f32 if exact, else f16
  RunDevice device = RunDevice::kAuto;
};

// `threads_name`: "--threads", or with a short name before it.
void AddRuntimeOptions(CLI::App& app, const std::string& threads_name, RuntimeArguments& arguments);

// Throws Error{kInvalidArguments} for a number of threads out of range.
RuntimeOptions ToRuntimeOptions(const RuntimeArguments& arguments);

// --device alone.
void AddDeviceOption(CLI::App& app, const std::string& description, RunDevice& device);
// --kv alone.
void AddKvOption(CLI::App& app, const std::string& description, KvType& kv);
void AddKvOption(CLI::App& app, const std::string& description, std::optional<KvType>& kv);

const char* KvTypeName(KvType type);  // "f32", "f16", "q8", "latent"

}  // namespace llmq

#endif  // LLMQ_CLI_RUNTIME_ARGUMENTS_H_
