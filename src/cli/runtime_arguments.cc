#include "cli/runtime_arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/choice.h"
#include "llmq/error.h"

namespace llmq {
namespace {

template <typename Kv>
void AddKv(CLI::App& app, const std::string& description, Kv& kv) {
  const Choices<KvType> types = {{"f32", KvType::kF32},
                                 {"f16", KvType::kF16},
                                 {"q8", KvType::kQ8},
                                 {"latent", KvType::kLatent}};
  app.add_option("--kv", kv, description)->type_name("TYPE")->transform(OneOf(types));
}

}  // namespace

void AddRuntimeOptions(CLI::App& app, const std::string& threads_name,
                       RuntimeArguments& arguments) {
  app.add_option(threads_name, arguments.threads, "Threads (0: one per core)")
      ->type_name("INT")
      ->capture_default_str();
  app.add_flag("--exact", arguments.exact,
               "Keep activations in float32 (else 8 bits where weights are compressed)");
  AddKvOption(app, "Keys and values in memory: f32, f16, q8 or latent [f16; exact: f32]",
              arguments.kv);
  AddDeviceOption(app, "Where to compute: auto, cpu or cuda [auto: cuda if it can]",
                  arguments.device);
}

void AddDeviceOption(CLI::App& app, const std::string& description, RunDevice& device) {
  const Choices<RunDevice> devices = {
      {"auto", RunDevice::kAuto}, {"cpu", RunDevice::kCpu}, {"cuda", RunDevice::kCuda}};
  AddChoice(app, "--device", device, devices, description);
}

void AddKvOption(CLI::App& app, const std::string& description, KvType& kv) {
  AddKv(app, description, kv);
}
void AddKvOption(CLI::App& app, const std::string& description, std::optional<KvType>& kv) {
  AddKv(app, description, kv);
}

RuntimeOptions ToRuntimeOptions(const RuntimeArguments& arguments) {
  if (arguments.threads < 0 || arguments.threads > 4096) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("--threads: expected 0 to 4096, found {}", arguments.threads),
                "Leave it out to use all cores");
  }
  return {.threads = arguments.threads,
          .exact = arguments.exact,
          .kv = arguments.kv.value_or(arguments.exact ? KvType::kF32 : KvType::kF16),
          .device = arguments.device};
}

const char* KvTypeName(KvType type) {
  switch (type) {
    case KvType::kF32: return "f32";
    case KvType::kF16: return "f16";
    case KvType::kQ8: return "q8";
    case KvType::kLatent: return "latent";
  }
  return "";
}

}  // namespace llmq
