// One weight matrix of the model to its factors: checks, decomposition, error.
//
// Before: pipeline takes a TensorView from the checkpoint. After: train/ or export. This is the
// failure policy's place: a weight that is not finite is refused with counts.
#ifndef LLMQ_COMPRESS_FACTORIZE_FACTORIZE_LAYER_H_
#define LLMQ_COMPRESS_FACTORIZE_FACTORIZE_LAYER_H_

#include <string>
#include <vector>

#include "compress/factorize/path_factorizer.h"
#include "llmq/compress.h"
#include "llmq/littlebit.h"
#include "llmq/tensor.h"

namespace llmq {

struct LayerFactors {
  LittleBitShape shape;
  std::vector<PathFactors> paths;
  double relative_error = 0;  // of the factors as stored
};

struct FactorizeSettings {
  SvdPrecision precision = SvdPrecision::kFloat64;
  uint64_t seed = 0;
  at::Device device = at::kCPU;
  InitMethod init = InitMethod::kDualSvid;
  int iterations = 0;        // 0: the method's own
  bool latent_scale = true;  // off: l is its mean everywhere
  Importance importance;
};

// Throws Error{kFactorizationFailed} naming weight.name.
LayerFactors FactorizeLayer(const TensorView& weight, const LittleBitShape& shape,
                            const FactorizeSettings& settings);

// Signs to bits and scales to shape.scale_bits. Throws Error{kFactorizationFailed} naming `name` if
// a scale overflows.
LittleBitLinear PackFactors(const LayerFactors& factors, const std::string& name);

// ||W - W'|| / ||W|| (Frobenius), with W' what `linear` stands for. matrix [d_out, d_in] f32.
double StoredError(const at::Tensor& matrix, const LittleBitLinear& linear);

// The way back: +1 and -1 as latents. They stand for the same matrix, bit for bit.
std::vector<PathFactors> UnpackFactors(const LittleBitLinear& linear);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_FACTORIZE_LAYER_H_
