// The converter between two worlds: views of files on one side, LibTorch tensors on the other.
//
// Before: formats/checkpoint hands out TensorViews. After: factorize/ and train/ work on float32
// tensors, and export hands spans of them to core. Always copies into float32 on the CPU; devices
// are the caller's business.
#ifndef LLMQ_COMPRESS_TORCH_BRIDGE_H_
#define LLMQ_COMPRESS_TORCH_BRIDGE_H_

#include <cstddef>
#include <span>
#include <vector>

#include "compress/torch_headers.h"
#include "llmq/tensor.h"

namespace llmq {

// f32 CPU copy of the tensor's shape. Precondition: IsFloat(view.dtype).
at::Tensor ToTorch(const TensorView& view);

// f32 CPU copy of `values` (product of `shape` numbers).
at::Tensor ToTorch(std::span<const float> values, const std::vector<int64_t>& shape);

// Borrows the tensor's memory. Precondition: contiguous f32 on the CPU.
std::span<const float> AsSpan(const at::Tensor& tensor);
std::span<float> AsMutableSpan(at::Tensor& tensor);

// Rounds to fp16 and back, as the scales of a .littlebit file are.
at::Tensor RoundToHalf(const at::Tensor& tensor);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TORCH_BRIDGE_H_
