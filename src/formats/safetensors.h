// One .safetensors file: a checked table of views into a read-only mapping.
//
// Before this: a file from anywhere. After this: formats/checkpoint joins the files of a model.
// Nothing is copied; the bytes of a tensor are read from the disk when somebody touches them. It
// does not know what a model is, and it accepts every element type of the format.
#ifndef LLMQ_FORMATS_SAFETENSORS_H_
#define LLMQ_FORMATS_SAFETENSORS_H_

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "base/file.h"
#include "llmq/arriving_weights.h"
#include "llmq/tensor.h"

namespace llmq {

class SafetensorsFile {
 public:
  // Throws Error: kModelNotFound if there is no such file, kGeneral "path: tensor: expected ..,
  // found ..".
  explicit SafetensorsFile(const std::filesystem::path& path);
  // One that is still to come to `path`, from its header: checked in the same way, and nobody may
  // read the bytes of its tensors before Arrive().
  SafetensorsFile(const std::filesystem::path& path, const ArrivingFile& file);

  // The file has come. Throws Error{kGeneral} if it does not begin with that header.
  void Arrive() const;

  // In the order of the header. The views borrow from the mapping.
  std::span<const TensorView> tensors() const { return tensors_; }
  const MappedFile& file() const { return file_; }
  std::span<const std::byte> header() const { return header_; }  // length field and JSON
  bool Holds(const TensorView& tensor) const;

 private:
  void ReadHeader(std::span<const std::byte> begin);  // of the file

  MappedFile file_;
  std::vector<std::byte> fetched_header_;  // of a file that is still to come
  std::span<const std::byte> header_;
  std::vector<TensorView> tensors_;
};

}  // namespace llmq

#endif  // LLMQ_FORMATS_SAFETENSORS_H_
