#include "runtime/kernel_choice.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

#include "llmq/error.h"

namespace llmq {

const KernelTable& ChooseKernels() {
  const char* variable = std::getenv("LLM_QUANTIZE_ISA");
  const std::string_view wanted = variable == nullptr ? "" : variable;
  const KernelTable* best = nullptr;
  for (const Isa isa : kAllIsas) {
    if (!IsaAvailable(isa)) continue;
    if (wanted.empty() || wanted == IsaName(isa)) best = &KernelsFor(isa);
  }
  if (best != nullptr) return *best;
  throw Error(
      ErrorCode::kInvalidArguments,
      fmt::format("LLM_QUANTIZE_ISA: expected scalar, avx2, avx512, avx512vbmi or neon as far as "
                  "this machine has them, found '{}'",
                  wanted),
      "Unset it to let the program choose.");
}

}  // namespace llmq
