#include "compress/factorize/byte_rows.h"

#include <algorithm>
#include <cmath>

namespace llmq {
namespace {

// Nothing is gained below, and LibTorch 2.11 multiplies [n, 1] by [1, m] wrongly.
constexpr int64_t kLeastSize = 16;
constexpr int64_t kStrips = 8;
constexpr double kTiny = 1e-30;

// The half on and below the diagonal, in strips of rows; the rest is its mirror image, also within
// a strip: a processor may add up a row's product with a column in another order than the reverse.
at::Tensor FloatGram(const at::Tensor& rows) {  // [n, d]
  const int64_t count = rows.size(0);
  const int64_t width = (count + kStrips - 1) / kStrips;
  at::Tensor gram = at::empty({count, count}, rows.options());
  for (int64_t first = 0; first < count; first += width) {
    const int64_t strip = std::min(width, count - first);
    at::Tensor left = at::mm(rows.narrow(0, first, strip),  // [w, d] . [d, first + w]
                             rows.narrow(0, 0, first + strip).t());
    at::Tensor own = left.narrow(1, first, strip);
    own.copy_(own.tril() + own.tril(-1).t());
    gram.narrow(0, first, strip).narrow(1, 0, first + strip).copy_(left);
    gram.narrow(1, first, strip).narrow(0, 0, first).copy_(left.narrow(1, 0, first).t());
  }
  return gram;
}

}  // namespace

bool HasByteProducts(at::Device device) {
  static const bool available = at::cpu::is_avx512_vnni_supported() && at::Context::hasMKLDNN();
  return available && device.is_cpu();
}

ByteRows ToByteRows(const at::Tensor& values) {
  if (values.size(1) < kLeastSize || !HasByteProducts(values.device())) return {values, {}, {}};
  const at::Tensor scale = values.abs().amax(1).div_(kLargestByte).clamp_min_(kTiny);  // [n]
  // Rounding is off by a uniform number of variance step^2 / 12.
  const double lost = (scale.square().sum(at::kDouble).item<double>() * values.size(1)) / 12;
  const double norm = values.norm(2, at::kDouble).item<double>();
  if (!(lost <= kByteLoss * kByteLoss * norm * norm)) return {values, {}, {}};
  return {values, (values / scale.unsqueeze(1)).round_().to(at::kChar), scale};
}

at::Tensor ProductOfRows(const ByteRows& a, const ByteRows& b) {
  if (!a.bytes.defined() || !b.bytes.defined()) return at::mm(a.values, b.values.t());
  const at::Tensor product = at::_int_mm(a.bytes, b.bytes.t()).to(at::kFloat);
  return product.mul_(at::outer(a.scale, b.scale));
}

at::Tensor GramOfRows(const ByteRows& rows) {
  return rows.bytes.defined() ? ProductOfRows(rows, rows) : FloatGram(rows.values);
}

}  // namespace llmq
