// The three scales of a path: from magnitudes by their leading pair, balanced, rounded to fp16.
//
// Before: dual_svid and lb_admm have latents, refine has scales by least squares. After: the scales
// of a PathFactors. Shared by all initializations.
#ifndef LLMQ_COMPRESS_FACTORIZE_SCALES_H_
#define LLMQ_COMPRESS_FACTORIZE_SCALES_H_

#include <utility>

#include "compress/torch_headers.h"

namespace llmq {

// magnitudes [d, r] >= 0 -> {left [d] of norm 1, right [r]} with magnitudes ~ left right^T. Zeros
// for zeros.
std::pair<at::Tensor, at::Tensor> LeadingPair(const at::Tensor& magnitudes);

double RootMeanSquare(const at::Tensor& values);  // 0 for zeros

// h, l and g get the same root mean square, the cube root of the product: none of the three over-
// or underflows fp16 before a product of them does. All zero if one of them is.
void BalanceScales(at::Tensor& h, at::Tensor& l, at::Tensor& g);

at::Tensor ToScale(const at::Tensor& values);  // f32 on the CPU, rounded to fp16

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_SCALES_H_
