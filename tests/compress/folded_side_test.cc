// The one-pass update of latents and scales against autograd and AdamW's formula in double
// precision.
#include "compress/train/folded_side.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "compress/factorize/dual_svid.h"

namespace llmq {
namespace {

at::Tensor Random(at::IntArrayRef shape, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(shape, generator, at::kFloat);
}

Parameter MakeParameter(const at::Tensor& value, double rate) {
  return {"p", value.clone(), false, rate, at::zeros_like(value), at::zeros_like(value)};
}

// A parameter in double precision that moves by the textbook.
struct Reference {
  at::Tensor value, first, second;
  double rate;

  explicit Reference(const Parameter& parameter)
      : value(parameter.value.to(at::kDouble)),
        first(at::zeros_like(value)),
        second(at::zeros_like(value)),
        rate(parameter.rate) {}

  void Move(const at::Tensor& gradient, const UpdateStep& step) {
    const double n = static_cast<double>(step.number);
    first = first * 0.9 + gradient * 0.1;
    second = second * 0.999 + gradient * gradient * 0.001;
    const at::Tensor m = first / (1 - std::pow(0.9, n)), v = second / (1 - std::pow(0.999, n));
    value = value - step.learning_rate * rate * m / (v.sqrt() + 1e-8);
  }
};

at::Tensor Product(const at::Tensor& signs, const at::Tensor& column, const at::Tensor& row) {
  return row.defined() ? signs * column * row.unsqueeze(1) : signs * column;
}

double Difference(const at::Tensor& found, const at::Tensor& expected) {
  return (found - expected).abs().max().item<double>();
}

using Update = void (*)(const FoldedSide&, const at::Tensor&, const UpdateStep&, const at::Tensor&);

void FollowReference(Update update, int64_t rows, int64_t d, bool has_row, Surrogate surrogate) {
  // Latents small, middling and large beside the surrogate's width, and zeros.
  const double size = surrogate == Surrogate::kSmoothSign ? 0.02 : 0.8;
  Parameter latent = MakeParameter(Random({rows, d}, 1) * size, 1);
  latent.value.view(-1)[0] = 0;
  Parameter column = MakeParameter(Random({d}, 2), 0.5);
  Parameter row = MakeParameter(Random({rows}, 3), 2);
  const FoldedSide side{&latent, &column, has_row ? &row : nullptr};
  Reference latent64(latent), column64(column), row64(row);
  const at::Tensor product = at::empty({rows, d});
  Fold(side, product);
  for (int64_t number = 1; number <= 4; ++number) {
    const at::Tensor gradient = Random({rows, d}, 10 + static_cast<uint64_t>(number));
    const at::Tensor signs = SignOf(latent.value).to(at::kDouble).requires_grad_(true);
    const at::Tensor c = column64.value.clone().requires_grad_(true);
    const at::Tensor r = has_row ? row64.value.clone().requires_grad_(true) : at::Tensor();
    const at::Tensor loss = (Product(signs, c, r) * gradient).sum();
    std::vector<at::Tensor> inputs = {signs, c};
    if (has_row) inputs.push_back(r);
    const std::vector<at::Tensor> gradients = torch::autograd::grad({loss}, inputs);
    const at::Tensor x = latent64.value;
    const at::Tensor slope = surrogate == Surrogate::kSmoothSign
                                 ? 100 * (1 - (x * 100).tanh().square())
                                 : (x.abs() < 1).to(at::kDouble);
    const UpdateStep step{0.003, number, surrogate};
    latent64.Move(gradients[0] * slope, step);
    column64.Move(gradients[1], step);
    if (has_row) row64.Move(gradients[2], step);
    update(side, gradient, step, product);
    EXPECT_LT(Difference(latent.value, latent64.value), 2e-5) << number;
    EXPECT_LT(Difference(column.value, column64.value), 2e-5) << number;
    if (has_row) {
      EXPECT_LT(Difference(row.value, row64.value), 5e-5) << number;
    }
    EXPECT_TRUE(product.equal(
        Product(SignOf(latent.value), column.value, has_row ? row.value : at::Tensor())))
        << number;
    latent64.value = latent.value.to(at::kDouble);  // so that a sign near zero is the same for both
  }
}

TEST(UpdateFolded, FollowsTheTextbookOnEveryShape) {
  for (const Update update : {&UpdateFolded, &UpdateFoldedByOperators}) {
    for (const auto& [rows, d] : {std::pair(1, 1), std::pair(5, 16), std::pair(3, 131)}) {
      for (const Surrogate surrogate : {Surrogate::kSmoothSign, Surrogate::kStraightThrough}) {
        FollowReference(update, rows, d, true, surrogate);
        FollowReference(update, rows, d, false, surrogate);
      }
    }
  }
}

TEST(UpdateFolded, FarFromZeroTheSmoothSignHasNoSlopeLeftAndNothingOverflows) {
  Parameter latent = MakeParameter(at::tensor({30.0f, -1e6f, 1e30f, 1.0f}).view({1, 4}), 1);
  Parameter column = MakeParameter(at::ones({4}), 1);
  const at::Tensor before = latent.value.clone(), product = at::empty({1, 4});
  UpdateFolded({&latent, &column, nullptr}, at::ones({1, 4}), {0.1, 1, Surrogate::kSmoothSign},
               product);
  EXPECT_TRUE(latent.value.isfinite().all().item<bool>());
  EXPECT_LT(Difference(latent.value, before), 0.1);
  EXPECT_LT(latent.second_moment.max().item<double>(), 1e-30);
}

TEST(Fold, CountsZeroAsPositive) {
  Parameter latent = MakeParameter(at::tensor({0.0f, -0.0f, -1e-30f}).view({1, 3}), 1);
  Parameter column = MakeParameter(at::tensor({2.0f, 3.0f, 5.0f}), 1);
  const at::Tensor product = at::empty({1, 3});
  Fold({&latent, &column, nullptr}, product);
  EXPECT_TRUE(product.equal(at::tensor({2.0f, 3.0f, -5.0f}).view({1, 3})));
}

}  // namespace
}  // namespace llmq
