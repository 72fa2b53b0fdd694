#include "compress/stored_table.h"

#include <fmt/core.h>

#include <span>

#include "compress/torch_bridge.h"
#include "llmq/error.h"

namespace llmq {

void ExpectFinite(const TensorView& tensor) {
  const NonFiniteCount found = CountNonFinite(tensor);
  if (found.nan == 0 && found.inf == 0) return;
  throw Error(ErrorCode::kFactorizationFailed,
              fmt::format("{}: expected finite weights, found {} NaN and {} Inf", tensor.name,
                          found.nan, found.inf),
              "Check the model with llm-quantize info --check");
}

std::vector<std::byte> QuantizeTable(const TensorView& table, const GroupQuantShape& shape) {
  ExpectFinite(table);
  return QuantizeGroups(shape, table);
}

at::Tensor StoredTableValues(const TensorView& table, int bits) {
  if (bits == 16) {
    ExpectFinite(table);
    return ToTorch(table);
  }
  const GroupQuantShape shape{table.shape[0], table.shape[1], bits};
  const std::vector<std::byte> bytes = QuantizeTable(table, shape);
  at::Tensor values = at::empty(table.shape, at::kFloat);
  const std::span<float> all = AsMutableSpan(values);
  const auto cols = static_cast<size_t>(shape.cols);
  for (int64_t row = 0; row < shape.rows; ++row) {
    DequantizeGroupRow(shape, bytes, row, all.subspan(static_cast<size_t>(row) * cols, cols));
  }
  return values;
}

}  // namespace llmq
