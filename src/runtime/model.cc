// Opening a model: weights, tokenizer and the choice of kernels in one immutable thing.
//
// Before: a checkpoint directory or a .littlebit file. After: sessions.
#include "llamacpp/tokenizer_reader.h"
#include "llmq/gguf.h"
#include "runtime/runtime_model.h"

#include <utility>

#include "llmq/error.h"
#include "runtime/transformer.h"

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

std::unique_ptr<Tokenizer> OpenTokenizer(const std::filesystem::path& path) {
  const std::string where = path.string();
  if (!std::filesystem::is_regular_file(path)) {
    return Tokenizer::FromFiles(ReadTokenizerFiles(path), where);
  }
  if (LooksLikeGguf(path) && !HoldsLittleBit(path)) {
    return Tokenizer::FromFiles(TokenizerFilesFromKeys(GgufFile(path).keys(), where), where);
  }
  return Tokenizer::FromFiles(LittleBitFile(path).files(), where);
}

RuntimeModel::RuntimeModel(const std::filesystem::path& path, const RuntimeOptions& options)
    : path_(path),
      options_(Resolved(options)),
      kernels_(ChooseKernels()),
      weights_(path, options_.threads),
      device_(OpenDeviceModel(weights_, options_)),
      tokenizer_(Tokenizer::FromFiles(weights_.files(), path.string())) {}

RuntimeModel::RuntimeModel(ModelWeights weights, const RuntimeOptions& options)
    : options_(Resolved(options)),
      kernels_(ChooseKernels()),
      weights_(std::move(weights)),
      device_(OpenDeviceModel(weights_, options_)) {}

std::unique_ptr<ForwardPass> RuntimeModel::MakeForwardPass(int64_t capacity) const {
  if (device_) return device_->MakeForwardPass(capacity);
  return std::make_unique<Transformer>(weights_, kernels_, options_, capacity);
}

const Tokenizer& RuntimeModel::tokenizer() const {
  if (tokenizer_) return *tokenizer_;
  throw Error(ErrorCode::kGeneral, "tokenizer: expected a model of words, found random weights",
              "Only speed can be measured with them.");
}

}  // namespace llmq
