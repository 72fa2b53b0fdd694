// Many tokens times a matrix, by Eigen: for prefill and perplexity, where the kernels of one token
// lose.
//
// Compiled once per instruction set (CMakeLists.txt) under the name LLMQ_MATRIX_PRODUCT and with
// the namespace Eigen renamed, so that the linker cannot take one set's inline function for
// another's.
#define EIGEN_DONT_PARALLELIZE  // the runtime splits outputs over its threads
#include <Eigen/Core>

#include "kernels/versions.h"

namespace llmq {

void LLMQ_MATRIX_PRODUCT(const MatrixProduct& product) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Stride = Eigen::OuterStride<>;
  const Eigen::Map<const Matrix, 0, Stride> x(product.x, product.tokens, product.depth,
                                              Stride(product.x_stride));
  Eigen::Map<Matrix, 0, Stride> y(product.y, product.tokens, product.outputs,
                                  Stride(product.y_stride));
  // [T, depth] . [outputs, depth]^T -> [T, outputs]
  y.noalias() = x * Eigen::Map<const Matrix>(product.w, product.outputs, product.depth).transpose();
}

}  // namespace llmq
