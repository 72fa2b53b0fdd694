// A local Hugging Face checkpoint: config, tokenizer files and memory-mapped weights, read-only.
#ifndef LLMQ_CHECKPOINT_H_
#define LLMQ_CHECKPOINT_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "llmq/arriving_weights.h"
#include "llmq/model_config.h"
#include "llmq/tensor.h"

namespace llmq {

// Small text or binary files that make a model usable, by file name: "config.json",
// "tokenizer.json", ...
using ModelFiles = std::map<std::string, std::string>;
// NAME.jinja in this folder of a model is there as "additional_chat_templates.NAME.jinja".
inline constexpr std::string_view kChatTemplateFolder = "additional_chat_templates";
inline constexpr std::string_view kChatTemplateEnding = ".jinja";

// Those of `directory`, verbatim, without looking at weights. Throws Error: kModelNotFound (no such
// directory, or no config.json in it), kGeneral (not readable, or larger than any such file is).
ModelFiles ReadModelFiles(const std::filesystem::path& directory);
// The same, where config.json may be missing.
ModelFiles ReadTokenizerFiles(const std::filesystem::path& directory);
// ParseModelConfig of the config.json and generation_config.json in `files`.
ModelConfig ParseModelConfig(const ModelFiles& files, const std::string& where);

class Checkpoint {
 public:
  // `directory` holds config.json and model.safetensors, or model.safetensors.index.json and its
  // shards. Every header is checked against its file, and every tensor the architecture needs
  // against its expected shape, before this returns. Throws Error: kModelNotFound (no such
  // directory, or no config.json or weights in it), kGeneral (damaged, inconsistent, unsupported;
  // only pytorch_model.bin: with advice).
  // Files that `arriving` has (nullptr: none) need not be there: their headers are checked instead,
  // and Get() waits for them. It must outlive this.
  explicit Checkpoint(const std::filesystem::path& directory, ArrivingWeights* arriving = nullptr);
  ~Checkpoint();
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;

  const std::filesystem::path& directory() const;
  const ModelConfig& config() const;
  // config.json, generation_config.json, tokenizer files, chat template: those that exist,
  // verbatim.
  const ModelFiles& files() const;

  // All tensors, sorted by name, also those the architecture does not use. If files are still
  // coming, only Get() makes sure that a tensor's data may be read.
  std::span<const TensorView> tensors() const;
  const TensorView* Find(std::string_view name) const;  // nullptr if absent
  // Throws Error{kGeneral} naming it if it is absent, ArrivalError if its file does not come.
  const TensorView& Get(std::string_view name) const;
  // The names of the weight files: those first that the blocks need first.
  std::vector<std::string> FilesInOrder() const;
  // Of those that the files hold, how many are not of the text model.
  int64_t tensors_left_out() const;
  // The tensor's pages may leave memory; the view stays valid.
  void Release(const TensorView& tensor) const;

  int64_t parameter_count() const;  // elements of all tensors; a tied head counts once
  int64_t fp16_bytes() const;       // 2 * parameter_count(): what compression ratios compare with
  // Checksum over config.json and every shard's header, size and sampled content (64 KiB in each
  // MiB): names the weights for checkpoints without reading them all. Waits for all files.
  uint64_t Fingerprint() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The last path component of a model directory, "Llama-2-7b-hf" for example; never empty.
std::string ModelName(const std::filesystem::path& model);

}  // namespace llmq

#endif  // LLMQ_CHECKPOINT_H_
