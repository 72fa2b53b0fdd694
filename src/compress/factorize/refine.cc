#include "compress/factorize/refine.h"

#include <algorithm>

namespace llmq {
namespace {

// Columns whose flips are gathered before they are multiplied into the rest.
constexpr int64_t kBlock = 64;
// Beside the mean diagonal: columns that repeat each other make the system for l singular.
constexpr double kMiddleRidge = 1e-6;
// A flipped sign is a close call: its latent gets this share of the mean magnitude.
constexpr double kFlippedShare = 0.25;
constexpr double kLeastLatent = 1e-30;  // zero could not carry a minus

// One side of the product, as seen by the other: signs and scale.
struct Side {
  at::Tensor signs;  // [r, d] f32, +-1
  at::Tensor scale;  // [d], h or g
};

// Statistics of the data for one side, `near`, given the other, `far`: all that the error depends
// on. Without l.
struct Statistics {
  at::Tensor product;  // [r, d_near] = (diag(far scale) far signs)^T applied to W
  at::Tensor gram;     // [r, r] of the far side, scaled
};

// matrix [d_near, d_far]
Statistics Gather(const at::Tensor& matrix, const Side& far) {
  const at::Tensor scaled = far.signs * far.scale;  // [r, d_far]
  return {at::mm(scaled, matrix.t()), at::mm(scaled, scaled.t())};
}

// near.scale = <W_i, A_i> / <A_i, A_i> for every row; a negative one turns its signs.
// product [r, d] and fitted [r, d] = G U with l in both.
void FitScale(const at::Tensor& product, at::Tensor& fitted, Side& near) {
  const at::Tensor along = (product * near.signs).sum(0);  // [d]
  const at::Tensor square = (fitted * near.signs).sum(0);  // [d]
  const at::Tensor scale = at::where(square > 0, along / square, at::zeros_like(along));
  const at::Tensor turn = SignOf(scale);  // [d]
  near.signs.mul_(turn);
  fitted.mul_(turn);
  near.scale = scale.abs();
}

// l by its r x r normal equations, (U^T H^2 U) o (V^T G^2 V) l = diag(U^T H W G V), in float64; the
// small ridge pulls toward the l before. Negative entries turn their column of near.
void FitMiddle(const Statistics& data, Side& near, at::Tensor& l) {
  const at::Tensor scaled = near.signs * near.scale;  // [r, d_near]
  at::Tensor system = (at::mm(scaled, scaled.t()) * data.gram).to(at::kDouble);
  const double ridge = system.diagonal().mean().item<double>() * kMiddleRidge;
  if (ridge <= 0) return;
  const at::Tensor before = l.to(at::kDouble);
  const at::Tensor right = (data.product * scaled).sum(1, false, at::kDouble) + before * ridge;
  system.diagonal().add_(ridge);
  const auto [triangle, failed] = at::linalg_cholesky_ex(system);
  if (failed.item<int>() != 0) return;  // the l before is as good as any
  const at::Tensor solved = at::cholesky_solve(right.unsqueeze(1), triangle).squeeze(1);
  near.signs.mul_(SignOf(solved).to(at::kFloat).unsqueeze(1));
  l = solved.abs().to(at::kFloat);
}

// Coordinate descent: column after column of U, the sign that lowers the error of each row. All
// rows at once; they do not depend on each other. `fitted` [r, d] = gram . signs follows.
void Descend(const at::Tensor& product, const at::Tensor& gram, Side& near, at::Tensor& fitted) {
  const int64_t rank = near.signs.size(0);
  const at::Tensor scale = at::where(near.scale > 0, near.scale, at::ones_like(near.scale));
  const at::Tensor target = product / scale;  // [r, d]
  const at::Tensor diagonal = gram.diagonal();
  for (int64_t first = 0; first < rank; first += kBlock) {
    const int64_t width = std::min(kBlock, rank - first);
    at::Tensor changes = at::zeros({width, near.signs.size(1)}, near.signs.options());
    for (int64_t i = 0; i < width; ++i) {
      const int64_t k = first + i;
      at::Tensor signs = near.signs[k];  // [d]
      at::Tensor wanted = at::addcmul(target[k] - fitted[k], diagonal[k], signs);
      if (i > 0) {
        const at::Tensor weights = gram[k].narrow(0, first, i);
        wanted.sub_(at::mv(changes.narrow(0, 0, i).t(), weights));  // [d, i] . [i]
      }
      const at::Tensor chosen = SignOf(wanted);
      changes[i] = chosen - signs;
      signs.copy_(chosen);
    }
    fitted.addmm_(gram.narrow(1, first, width), changes);  // [r, w] . [w, d]
  }
}

// matrix [d_near, d_far]: the near side's scale, its signs if asked, and l.
void RefineSide(const at::Tensor& matrix, const Side& far, bool descend, Side& near,
                at::Tensor& l) {
  const Statistics data = Gather(matrix, far);
  const at::Tensor product = data.product * l.unsqueeze(1);  // [r, d_near]
  const at::Tensor gram = data.gram * l.unsqueeze(1) * l;    // [r, r]
  at::Tensor fitted = at::mm(gram, near.signs);              // [r, r] . [r, d_near]
  FitScale(product, fitted, near);
  if (descend) {
    Descend(product, gram, near, fitted);
    FitScale(product, fitted, near);
  }
  FitMiddle(data, near, l);
}

// Latents with the signs found: where a sign is another than before, the latent is small.
at::Tensor Resigned(const at::Tensor& latent, const at::Tensor& signs) {
  const at::Tensor magnitude = latent.abs().clamp_min(kLeastLatent);
  const at::Tensor small = magnitude.clamp_max(magnitude.mean() * kFlippedShare);
  return at::where(SignOf(latent) == signs, magnitude, small) * signs;
}

}  // namespace

void Refine(const at::Tensor& weight, int sweeps, PathFactors& path) {
  Side u{SignOf(path.u), path.h};
  Side v{SignOf(path.v), path.g};
  const at::Tensor turned = weight.t();
  for (int pass = 0; pass < std::max(sweeps, 1); ++pass) {
    RefineSide(weight, v, sweeps > 0, u, path.l);
    RefineSide(turned, u, sweeps > 0, v, path.l);
  }
  path = {Resigned(path.v, v.signs), Resigned(path.u, u.signs), v.scale, u.scale, path.l};
}

}  // namespace llmq
