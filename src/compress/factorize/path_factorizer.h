// The interface of all initializations: a matrix in, one path out.
//
// Before: factorize_layer has the weight, residual what a first path left over. After: residual
// subtracts the path, train/ learns from it. Around joint_itq and lb_admm: the size of the numbers,
// the importance of channels, refine, and the rounding of the scales.
#ifndef LLMQ_COMPRESS_FACTORIZE_PATH_FACTORIZER_H_
#define LLMQ_COMPRESS_FACTORIZE_PATH_FACTORIZER_H_

#include <cstdint>
#include <optional>

#include "compress/factorize/anneal.h"
#include "compress/factorize/lb_admm.h"
#include "compress/factorize/refine.h"
#include "compress/factorize/residual.h"
#include "llmq/compress.h"

namespace llmq {

// How much the squared error of each channel counts; both undefined: all the same. Dual-SVID, which
// is the paper's, ignores them.
struct Importance {
  at::Tensor out;  // [d_out] f32, finite, >= 0
  at::Tensor in;   // [d_in] f32, likewise
};

// How long a method works on a path. Nothing for Dual-SVID.
struct FitEffort {
  int iterations = 0;
  int sweeps = 0;  // of refine's coordinate descent
};
FitEffort DefaultEffort(InitMethod method);

struct PathSettings {
  InitMethod method = InitMethod::kDualSvid;
  std::optional<int> iterations, sweeps;  // instead of the method's own
  uint64_t seed = 0;                      // mixed with the layer's name
  Importance importance;
};

// part [d_out, d_in] f32, finite. `svd` serves Dual-SVID and ITQ.
PathFactors FactorizePath(const at::Tensor& part, int64_t rank, const PathSettings& settings,
                          const SvdFunction& svd);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_PATH_FACTORIZER_H_
