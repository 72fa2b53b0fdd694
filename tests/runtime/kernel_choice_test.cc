// LLM_QUANTIZE_ISA is obeyed or refused, never ignored.
#include "runtime/kernel_choice.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "llmq/error.h"

namespace llmq {
namespace {

TEST(KernelChoice, ObeysTheVariable) {
  for (const Isa isa : kAllIsas) {
    setenv("LLM_QUANTIZE_ISA", IsaName(isa), 1);
    if (IsaAvailable(isa)) {
      EXPECT_STREQ(ChooseKernels().name, IsaName(isa));
    } else {
      EXPECT_THROW(ChooseKernels(), Error) << IsaName(isa);
    }
  }
  for (const char* wrong : {"abacus", "AVX2", "scalar "}) {
    setenv("LLM_QUANTIZE_ISA", wrong, 1);
    EXPECT_THROW(ChooseKernels(), Error) << wrong;
  }
  unsetenv("LLM_QUANTIZE_ISA");
}

TEST(KernelChoice, TakesTheBestByDefault) {
  unsetenv("LLM_QUANTIZE_ISA");
  std::string best;
  for (const Isa isa : kAllIsas) {
    if (IsaAvailable(isa)) best = IsaName(isa);
  }
  EXPECT_EQ(ChooseKernels().name, best);
  setenv("LLM_QUANTIZE_ISA", "", 1);  // empty is unset
  EXPECT_EQ(ChooseKernels().name, best);
  unsetenv("LLM_QUANTIZE_ISA");
}

}  // namespace
}  // namespace llmq
