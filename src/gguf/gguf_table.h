// The table of tensors of one file, from and to its bytes, and where each tensor's data lies.
#ifndef LLMQ_GGUF_GGUF_TABLE_H_
#define LLMQ_GGUF_GGUF_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "llmq/gguf.h"

namespace llmq {

// `count` tensors at the cursor of `reader`, which walks `file` from its beginning; then the data
// section. The tensors borrow their data from `file`. Whether names repeat is not checked: they
// must not in all shards together. Throws Error{kGeneral} "path: tensor NAME: expected X, found Y".
std::vector<GgufTensor> ReadGgufTensors(ByteReader& reader, std::span<const std::byte> file,
                                        uint64_t count, uint64_t alignment,
                                        const std::string& path);

// The entries of `tensors`, whose data will follow one another, and nothing behind them.
void AppendGgufTable(std::span<const GgufTensor> tensors, uint64_t alignment, std::string& out);

// The bytes of the tensor's data and of the padding behind it.
uint64_t PaddedBytes(const GgufTensor& tensor, uint64_t alignment);

// The shape as TensorFault takes it. A negative dimension becomes one that is too large.
std::vector<uint64_t> UnsignedShape(const GgufTensor& tensor);

}  // namespace llmq

#endif  // LLMQ_GGUF_GGUF_TABLE_H_
