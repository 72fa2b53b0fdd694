// Opening a model: weights, tokenizer and the choice of kernels in one immutable thing.
//
// Before: a checkpoint directory or a .littlebit file. After: sessions.
#include "runtime/runtime_model.h"

namespace llmq {

std::unique_ptr<Model> Model::Open(const std::filesystem::path& path, int threads) {
  return std::make_unique<RuntimeModel>(path, threads);
}

RuntimeModel::RuntimeModel(const std::filesystem::path& path, int threads)
    : path_(path),
      threads_(ResolveThreadCount(threads)),
      kernels_(ChooseKernels()),
      weights_(path),
      tokenizer_(Tokenizer::FromFiles(weights_.files(), path.string())) {}

}  // namespace llmq
