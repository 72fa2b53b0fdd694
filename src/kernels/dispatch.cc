// Which kernels this machine can run, and of which versions each set is made. src/runtime chooses
// among the sets.
#include <cstring>

#include "kernels/versions.h"

namespace llmq {
namespace {

constexpr KernelTable kTables[] = {
    {"scalar", &kExactScalar, &kInt8Scalar, &kGroupsScalar, &kFloatsScalar, MatrixProductScalar},
#if defined(LLMQ_KERNELS_X86)
    {"avx2", &kExactAvx2, &kInt8Avx2, &kGroupsAvx2, &kFloatsAvx2, MatrixProductAvx2},
    {"avx512", &kExactAvx512, &kInt8Avx2, &kGroupsAvx2, &kFloatsAvx512, MatrixProductAvx512},
    {"avx512vbmi", &kExactAvx512, &kInt8Avx512Vbmi, &kGroupsAvx512Vbmi, &kFloatsAvx512,
     MatrixProductAvx512},
#elif defined(LLMQ_KERNELS_NEON)
    // Its other float kernels and matrix product are those that the compiler makes for the machine.
    {"neon", &kExactNeon, &kInt8Neon, &kGroupsNeon, &kFloatsScalar, MatrixProductScalar},
#endif
};

}  // namespace

const char* IsaName(Isa isa) {
  constexpr const char* kNames[] = {"scalar", "avx2", "avx512", "avx512vbmi", "neon"};
  return kNames[static_cast<int>(isa)];
}

bool IsaAvailable(Isa isa) {
  if (isa == Isa::kScalar) return true;
#if defined(LLMQ_KERNELS_X86)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  if (isa == Isa::kAvx2) return avx2;
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (isa == Isa::kAvx512) return avx512;
  return isa == Isa::kAvx512Vbmi && avx512 && __builtin_cpu_supports("avx512vbmi") &&
         __builtin_cpu_supports("avx512vnni");
#elif defined(LLMQ_KERNELS_NEON)
  return isa == Isa::kNeon;  // every aarch64 processor has it
#else
  return false;
#endif
}

const KernelTable& KernelsFor(Isa isa) {
  const KernelTable* table = kTables;
  while (std::strcmp(table->name, IsaName(isa)) != 0) ++table;
  return *table;
}

}  // namespace llmq
