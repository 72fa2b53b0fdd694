// A dense GGUF file seen as a Hugging Face model: the same names, the same small files.
//
// Before this: gguf has checked the container. After this: runtime/weights asks for tensors by
// their Hugging Face names and does not know where they came from.
#ifndef LLMQ_LLAMACPP_GGUF_MODEL_H_
#define LLMQ_LLAMACPP_GGUF_MODEL_H_

#include <filesystem>
#include <map>
#include <string>

#include "llmq/checkpoint.h"
#include "llmq/gguf.h"
#include "llmq/model_config.h"

namespace llmq {

class GgufModel {
 public:
  // Throws as GgufFile does, and Error{kGeneral} for another architecture than llama, a tensor that
  // is missing, has another shape or a type that cannot be read.
  explicit GgufModel(const std::filesystem::path& path);

  const GgufFile& file() const { return file_; }
  // Its rotary pairs are (2i, 2i + 1): llama.cpp keeps the rows of queries and keys in that order.
  const ModelConfig& config() const { return config_; }
  // config.json and tokenizer files made from the keys.
  const ModelFiles& files() const { return files_; }
  const GgufTensor* Find(const std::string& hugging_face_name) const;  // nullptr if absent

 private:
  void CheckTensors() const;

  GgufFile file_;
  ModelFiles files_;
  ModelConfig config_;
  std::map<std::string, std::string> names_;  // Hugging Face's -> the file's
};

}  // namespace llmq

#endif  // LLMQ_LLAMACPP_GGUF_MODEL_H_
