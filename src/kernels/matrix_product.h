// The matrix product of each instruction set, all compiled from matrix_product.cc.
#ifndef LLMQ_KERNELS_MATRIX_PRODUCT_H_
#define LLMQ_KERNELS_MATRIX_PRODUCT_H_

#include "kernels/kernels.h"

namespace llmq {

void MatrixProductScalar(const MatrixProduct& product);
void MatrixProductAvx2(const MatrixProduct& product);
void MatrixProductAvx512(const MatrixProduct& product);

}  // namespace llmq

#endif  // LLMQ_KERNELS_MATRIX_PRODUCT_H_
