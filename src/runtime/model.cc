// Opening a model: weights, tokenizer and the choice of kernels in one immutable thing.
//
// Before: a checkpoint directory or a .littlebit file. After: sessions.
#include "llamacpp/tokenizer_reader.h"
#include "llmq/gguf.h"
#include "runtime/runtime_model.h"

namespace llmq {

std::unique_ptr<Model> Model::Open(const std::filesystem::path& path, int threads) {
  return std::make_unique<RuntimeModel>(path, threads);
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

RuntimeModel::RuntimeModel(const std::filesystem::path& path, int threads)
    : path_(path),
      threads_(ResolveThreadCount(threads)),
      kernels_(ChooseKernels()),
      weights_(path),
      tokenizer_(Tokenizer::FromFiles(weights_.files(), path.string())) {}

}  // namespace llmq
