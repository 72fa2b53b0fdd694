// Which instruction sets this machine can run.
#include "quants/fit_groups.h"

namespace llmq {

bool FitPathAvailable(FitPath path) {
  if (path == FitPath::kScalar) return true;
#ifdef LLMQ_QUANTS_X86
  if (path == FitPath::kAvx2) return __builtin_cpu_supports("avx2");
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

FitPath BestFitPath() {
  if (FitPathAvailable(FitPath::kAvx512)) return FitPath::kAvx512;
  if (FitPathAvailable(FitPath::kAvx2)) return FitPath::kAvx2;
  return FitPath::kScalar;
}

const GroupFits& GroupFitsFor(FitPath path) {
#ifdef LLMQ_QUANTS_X86
  if (path == FitPath::kAvx512) return kAvx512GroupFits;
  if (path == FitPath::kAvx2) return kAvx2GroupFits;
#endif
  static_cast<void>(path);
  return kScalarGroupFits;
}

}  // namespace llmq
