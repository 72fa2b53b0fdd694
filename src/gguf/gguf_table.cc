// Reads and writes the table of tensors; see the header.
//
// The file lists dimensions innermost first; GgufTensor has them outermost first. Offsets leave no
// freedom: each tensor begins where the padding of the one before it ends.
#include "gguf/gguf_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "gguf/gguf_layout.h"
#include "gguf/gguf_rules.h"
#include "gguf/gguf_values.h"

namespace llmq {
namespace {

struct TensorInfo {
  GgufTensor tensor;
  uint64_t offset;  // in the data section, in bytes
};

TensorInfo ReadInfo(ByteReader& reader, uint64_t index, const std::string& path) {
  const std::string numbered = fmt::format("{}: tensor {}", path, index);
  const std::string_view name = ReadGgufString(reader, numbered + ": name");
  if (const auto fault = TensorNameFault(name)) FailGguf(numbered, *fault);
  const std::string where = fmt::format("{}: tensor {}", path, name);

  const auto dimensions = reader.Read<uint32_t>();
  if (dimensions > kMaxGgufDimensions) {
    FailGguf(where, fmt::format("expected at most {} dimensions, found {}", kMaxGgufDimensions,
                                dimensions));
  }
  std::vector<uint64_t> shape(dimensions);
  for (uint64_t& dimension : shape) dimension = reader.Read<uint64_t>();
  std::reverse(shape.begin(), shape.end());
  const auto type = reader.Read<uint32_t>();
  if (const auto fault = TensorFault(type, shape)) {
    const bool unknown = FindGgmlType(type) == nullptr;
    FailGguf(where, *fault,
             unknown
                 ? "The file needs another program, or is damaged; quantize the model to a type "
                   "of ggml"
                 : "The file is damaged; fetch or write it again");
  }
  GgufTensor tensor{.name = std::string(name), .type = static_cast<GgmlType>(type)};
  tensor.shape.assign(shape.begin(), shape.end());
  return {std::move(tensor), reader.Read<uint64_t>()};
}

// The padding behind the last tensor may be missing: llama.cpp loads such files, and several
// programs write them. Bytes behind it are nobody's, and ignored as ggml ignores them.
void TakeData(std::vector<TensorInfo>& infos, std::span<const std::byte> data, uint64_t alignment,
              const std::string& path) {
  uint64_t expected_offset = 0;
  for (TensorInfo& info : infos) {
    GgufTensor& tensor = info.tensor;
    const std::string where = fmt::format("{}: tensor {}", path, tensor.name);
    if (info.offset != expected_offset) {
      const char* kind = info.offset % alignment != 0    ? "misaligned"
                         : info.offset < expected_offset ? "overlap"
                                                         : "hole";
      FailGguf(where, fmt::format("offset: expected {}, found {} ({})", expected_offset,
                                  info.offset, kind));
    }
    const uint64_t bytes = tensor.num_bytes();
    const uint64_t remaining = data.size() - std::min<uint64_t>(expected_offset, data.size());
    if (expected_offset > data.size() || bytes > remaining) {
      FailGguf(where, fmt::format("data: expected {} bytes at offset {}, found {}", bytes,
                                  expected_offset, remaining));
    }
    tensor.data = data.subspan(expected_offset, bytes);
    expected_offset += PaddedBytes(tensor, alignment);
  }
}

}  // namespace

std::vector<GgufTensor> ReadGgufTensors(ByteReader& reader, std::span<const std::byte> file,
                                        uint64_t count, uint64_t alignment,
                                        const std::string& path) {
  const uint64_t limit = reader.remaining() / gguf_layout::kMinTensorInfoBytes;
  if (count > limit) {
    FailGguf(path + ": header",
             fmt::format("tensors: expected at most {}, found {}", limit, count));
  }
  std::vector<TensorInfo> infos;  // not reserved: the count is not yet proven
  for (uint64_t i = 0; i < count; ++i) infos.push_back(ReadInfo(reader, i, path));

  const uint64_t begin = AlignUp(reader.offset(), alignment);
  if (!infos.empty()) {
    if (begin > file.size()) {
      FailGguf(path,
               fmt::format("data section: expected at offset {}, found the end of the file at {}",
                           begin, file.size()));
    }
    TakeData(infos, file.subspan(begin), alignment, path);
  }
  std::vector<GgufTensor> tensors;
  tensors.reserve(infos.size());
  for (TensorInfo& info : infos) tensors.push_back(std::move(info.tensor));
  return tensors;
}

void AppendGgufTable(std::span<const GgufTensor> tensors, uint64_t alignment, std::string& out) {
  uint64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    AppendGgufString(tensor.name, out);
    AppendGgufNumber(static_cast<uint32_t>(tensor.shape.size()), out);
    for (auto it = tensor.shape.rbegin(); it != tensor.shape.rend(); ++it) {
      AppendGgufNumber(static_cast<uint64_t>(*it), out);
    }
    AppendGgufNumber(static_cast<uint32_t>(tensor.type), out);
    AppendGgufNumber(offset, out);
    offset += PaddedBytes(tensor, alignment);
  }
}

uint64_t PaddedBytes(const GgufTensor& tensor, uint64_t alignment) {
  return AlignUp(tensor.num_bytes(), alignment);
}

std::vector<uint64_t> UnsignedShape(const GgufTensor& tensor) {
  return {tensor.shape.begin(), tensor.shape.end()};
}

int64_t GgufTensor::num_elements() const {
  int64_t elements = 1;
  for (const int64_t dimension : shape) elements *= dimension;
  return elements;
}

uint64_t GgufTensor::num_bytes() const {
  return GgmlBytes(type, static_cast<uint64_t>(num_elements())).value();
}

}  // namespace llmq
