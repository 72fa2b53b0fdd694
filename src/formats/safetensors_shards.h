// The safetensors files of a model directory as one sorted table of tensors.
//
// Before this: formats/safetensors checks one file. After this: formats/checkpoint asks for the
// tensors of a dense model, formats/packed_checkpoint for those of a packed one. It does not know
// what a model is; a shard that is missing, or that does not hold what the index says, is refused.
#ifndef LLMQ_FORMATS_SAFETENSORS_SHARDS_H_
#define LLMQ_FORMATS_SAFETENSORS_SHARDS_H_

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/fp8_scales.h"
#include "formats/safetensors.h"
#include "llmq/model_config.h"
#include "llmq/tensor.h"

namespace llmq {

class SafetensorsShards {
 public:
  // Opens model.safetensors or, if there is none, the shards that model.safetensors.index.json
  // names. Throws Error: kModelNotFound (neither is there), kGeneral (damaged, inconsistent; only
  // pickled weights: with advice).
  // Those that `arriving` has (nullptr: none) are known by their headers; it must outlive this.
  explicit SafetensorsShards(const std::filesystem::path& directory,
                             ArrivingWeights* arriving = nullptr);
  ~SafetensorsShards();

  std::span<const SafetensorsFile> files() const { return files_; }  // sorted by file name
  const SafetensorsFile& FileOf(const TensorView& tensor) const;     // which is not empty
  // All tensors, sorted by name. They borrow from the mapped files.
  std::span<const TensorView> tensors() const { return tensors_; }
  const TensorView* Find(std::string_view name) const;  // nullptr if absent
  // Names begin as the program's do; tensors that are not of the text model are left out. Returns
  // how many these were.
  int64_t RenamePrefixes(const PublishedNames& names);
  // From here on tensors have the program's names, and those that are several in one are their
  // parts. Throws Error{kGeneral} beginning with `where` for one that is missing, is there twice,
  // or has another shape than its parts make.
  void Rename(const PublishedNames& names, const std::string& where);
  // See fp8_scales.h.
  void AttachScales(const ModelConfig& config, const std::string& where);
  // Returns when the tensor's bytes, and its scales, may be read. From any thread. Throws
  // ArrivalError, also if another file has come than the header announced.
  void Await(const TensorView& tensor) const;
  void AwaitAll() const;
  // The tensor's pages may leave memory; the view stays valid.
  void Release(const TensorView& tensor) const;

 private:
  class Arrivals;

  void Open(const std::filesystem::path& directory, ArrivingWeights* arriving);
  void Sort();
  // Under one of the two names, the longer first.
  const TensorView* Find(const std::string& prefix, const std::string& name) const;

  std::vector<SafetensorsFile> files_;
  std::vector<TensorView> tensors_;
  std::unique_ptr<Arrivals> arrivals_;  // nullptr: every file was there
};

// Throws Error{kGeneral} beginning with `where` unless `tensor` (nullptr: absent) has the expected
// shape and a type that ConvertToFloat accepts.
void CheckFloatTensor(const TensorView* tensor, const ExpectedTensor& expected,
                      const std::string& where);

}  // namespace llmq

#endif  // LLMQ_FORMATS_SAFETENSORS_SHARDS_H_
