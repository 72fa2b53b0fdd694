#include "cuda/prompt_products.h"

#include <algorithm>

namespace llmq::cuda {

PromptProducts::PromptProducts(Gpu& gpu, std::span<const CompressedParams> calls, int tokens)
    : gpu_(&gpu), scratch_(kMaxMatrices) {
  for (int m = 0; m < kMaxMatrices; ++m) {
    int widest = 0;
    int rank = 0;
    for (const CompressedParams& call : calls) {
      if (m >= call.num_matrices) continue;
      const MatrixParams& matrix = call.matrices[m];
      for (int i = 0; i < matrix.num_paths; ++i) rank = std::max(rank, matrix.paths[i].rank);
      widest = std::max({widest, call.d_in, rank});
    }
    if (rank == 0) continue;
    const int64_t words = int64_t{tokens} * CeilDivide(widest, kColBlock) * kPreparedWords;
    scratch_[static_cast<size_t>(m)] = {DeviceMemory(gpu, 4 * words),
                                        DeviceMemory(gpu, int64_t{4} * tokens * rank)};
  }
}

void PromptProducts::Run(const CompressedParams& call) {
  int paths = 0;
  for (int m = 0; m < call.num_matrices; ++m) paths = std::max(paths, call.matrices[m].num_paths);
  for (int i = 0; i < paths; ++i) RunPath(call, i);
}

void PromptProducts::RunPath(const CompressedParams& call, int index) {
  RoundParams inputs = {.tokens = call.tokens};
  RoundParams latents = inputs;
  SignProductParams first = {.tokens = call.tokens};
  SignProductParams second = first;
  for (int m = 0; m < call.num_matrices; ++m) {
    const MatrixParams& matrix = call.matrices[m];
    if (index >= matrix.num_paths) continue;
    const PathParams& path = matrix.paths[index];
    const Scratch& scratch = scratch_[static_cast<size_t>(m)];
    auto* rounded = scratch.rounded.as<int32_t>();
    auto* latent = scratch.latents.as<float>();
    inputs.rows[inputs.num_rows++] = {call.input, path.g, call.d_in, rounded};
    first.matrices[first.num_matrices++] = {
        .signs = path.v, .rows = path.rank, .cols = call.d_in, .inputs = rounded, .out = latent};
    latents.rows[latents.num_rows++] = {
        {.form = InputForm::kPlain, .x = latent}, path.l, path.rank, rounded};
    second.matrices[second.num_matrices++] = {.signs = path.u,
                                              .rows = matrix.d_out,
                                              .cols = path.rank,
                                              .inputs = rounded,
                                              .h = path.h,
                                              .bias = index == 0 ? matrix.bias : nullptr,
                                              .out = matrix.y,
                                              .accumulate = index > 0 || matrix.accumulate};
  }
  gpu_->Run(inputs);
  gpu_->Run(first);
  gpu_->Run(latents);
  gpu_->Run(second);
}

}  // namespace llmq::cuda
