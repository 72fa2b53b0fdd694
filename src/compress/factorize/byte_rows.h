// Products of matrices in 8-bit integers, for steps that only need to know where to go next.
//
// Before: anneal has a matrix and means of signs. After: anneal sums up gains. A processor with
// integer dot products multiplies bytes four times as fast as float32; sums of bytes are exact, so
// the order of summing does not matter. Everywhere else, and for rows that bytes hold badly, the
// product is that of float32.
#ifndef LLMQ_COMPRESS_FACTORIZE_BYTE_ROWS_H_
#define LLMQ_COMPRESS_FACTORIZE_BYTE_ROWS_H_

#include "compress/torch_headers.h"

namespace llmq {

// Rows with a copy in bytes, one scale per row, if that loses less than kByteLoss of their norm.
struct ByteRows {
  at::Tensor values;  // [n, d] f32
  at::Tensor bytes;   // [n, d] int8, or undefined
  at::Tensor scale;   // [n] f32: values ~ bytes * scale
};

inline constexpr double kByteLoss = 0.02;
inline constexpr double kLargestByte = 127;

// Whether this machine's bytes are worth it for tensors of `device`.
bool HasByteProducts(at::Device device);

ByteRows ToByteRows(const at::Tensor& values);

// a b^T [n_a, n_b]
at::Tensor ProductOfRows(const ByteRows& a, const ByteRows& b);

// rows rows^T [n, n], symmetric in every bit.
at::Tensor GramOfRows(const ByteRows& rows);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_BYTE_ROWS_H_
