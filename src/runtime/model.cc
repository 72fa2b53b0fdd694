// Opening a model: weights, tokenizer and the choice of kernels in one immutable thing.
//
// Before: a checkpoint directory or a .littlebit file. After: sessions.
#include "runtime/runtime_model.h"

namespace llmq {
namespace {

RuntimeOptions Resolved(RuntimeOptions options) {
  options.threads = ResolveThreadCount(options.threads);
  return options;
}

}  // namespace

std::unique_ptr<Model> Model::Open(const std::filesystem::path& path,
                                   const RuntimeOptions& options) {
  return std::make_unique<RuntimeModel>(path, options);
}

RuntimeModel::RuntimeModel(const std::filesystem::path& path, const RuntimeOptions& options)
    : path_(path),
      options_(Resolved(options)),
      kernels_(ChooseKernels()),
      weights_(path, options_.threads),
      tokenizer_(Tokenizer::FromFiles(weights_.files(), path.string())) {}

}  // namespace llmq
