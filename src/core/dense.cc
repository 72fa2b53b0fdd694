// Back from factors to a dense matrix: what the compressed layer stands for, for error measurement
// and for formats that know no factors. The only file of core that uses Eigen.
#include <Eigen/Core>
#include <vector>

#include "llmq/littlebit.h"

namespace llmq {
namespace {

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// signs [rows, cols] -> f32, row k multiplied by row_scale[k] (nullptr: by 1) and column c by
// col_scale[c].
RowMatrix ExpandSigns(const SignMatrixView& signs, const ScaleView* row_scale,
                      const ScaleView& col_scale) {
  RowMatrix out(signs.rows, signs.cols);
  std::vector<float> of_column;
  for (int64_t col = 0; col < signs.cols; ++col) of_column.push_back(col_scale[col]);
  for (int64_t row = 0; row < signs.rows; ++row) {
    const float scale = row_scale == nullptr ? 1.0f : (*row_scale)[row];
    for (int64_t col = 0; col < signs.cols; ++col) {
      const float value = scale * of_column[static_cast<size_t>(col)];
      out(row, col) = signs.negative(row, col) ? -value : value;
    }
  }
  return out;
}

}  // namespace

void ReconstructDense(const LittleBitShape& shape, std::span<const std::byte> payload,
                      std::span<float> out) {
  Eigen::Map<RowMatrix> dense(out.data(), shape.d_out, shape.d_in);
  dense.setZero();
  for (const LittleBitPathView& path : ViewLittleBitPaths(shape, payload)) {
    const RowMatrix left = ExpandSigns(path.u, nullptr, path.h);   // [r, d_out]
    const RowMatrix right = ExpandSigns(path.v, &path.l, path.g);  // [r, d_in]
    dense.noalias() += left.transpose() * right;                   // [d_out, r] . [r, d_in]
  }
}

}  // namespace llmq
