// How the work of a kernel is cut into blocks: the last step on the host.
//
// Before: an implementation of cuda/gpu.h. After: its Launcher, which starts a kernel:
//   int Capacity(kernel, shared_bytes): blocks that are on the device at once
//   int MostShared(): bytes of shared memory that a block can have
//   void Launch(kernel, LaunchConfig, params)
// Compiled with the kernels, by nvcc or after tests/cuda/emulated_device.h.
#ifndef LLMQ_CUDA_LAUNCH_H_
#define LLMQ_CUDA_LAUNCH_H_

#include <algorithm>

#include "cuda/attention_kernel.h"
#include "cuda/compressed_kernel.h"
#include "cuda/prompt_kernels.h"
#include "cuda/step_kernels.h"

namespace llmq::cuda {
inline namespace LLMQ_COMPILED_FOR {

struct LaunchConfig {
  int blocks = 1;
  int shared_bytes = 0;
  bool cooperative = false;  // blocks wait for each other
};

// Items of both stages with so many row blocks in each.
inline int FirstItems(const CompressedParams& p, int rows) {
  int items = 0;
  for (int m = 0; m < p.num_matrices; ++m) {
    for (int i = 0; i < p.matrices[m].num_paths; ++i)
      items += CeilDivide(CeilDivide(p.matrices[m].paths[i].rank, kRowBlock), rows) * p.spans;
  }
  return items;
}
inline int SecondItems(const CompressedParams& p, int rows) {
  int items = 0;
  for (int m = 0; m < p.num_matrices; ++m)
    items += CeilDivide(CeilDivide(p.matrices[m].d_out, kRowBlock), rows);
  return items;
}

inline int Passes(const CompressedParams& p) {
  int largest = 1;
  for (int m = 0; m < p.num_matrices; ++m) {
    for (int i = 0; i < p.matrices[m].num_paths; ++i)
      largest = std::max(largest, CeilDivide(p.matrices[m].paths[i].rank, kColBlock * kWarps));
  }
  return largest;
}

// A block's rows: enough that the items are on the device at once, and with several tokens enough
// that making the inputs, which every item does for itself, is little beside adding signs.
template <int T, typename Launcher>
void LaunchCompressed(Launcher& launcher, CompressedParams p) {
  constexpr int kMostRows = 16;
  constexpr int kFewestRows = T == 1 ? 1 : T <= 4 ? 2 : 4;
  p.passes = Passes(p);
  p.spans = SpansOf(p.d_in);
  const int shared_bytes = CompressedShared<T>::Bytes(p.passes);
  const int capacity = launcher.Capacity(CompressedKernel<T>, shared_bytes);
  p.first_rows = kFewestRows;
  while (p.first_rows < kMostRows && FirstItems(p, p.first_rows) > capacity) p.first_rows *= 2;
  // As many row blocks as the warps of a block compute side by side are taken together.
  int most_across = 1;
  for (int m = 0; m < p.num_matrices; ++m)
    most_across = std::max(most_across, CeilDivide(p.matrices[m].paths[0].rank, kColBlock));
  p.second_rows = std::max(kWarps / std::min(most_across, kWarps), kFewestRows);
  while (p.second_rows < kMostRows && SecondItems(p, p.second_rows) > capacity) p.second_rows *= 2;
  p.first_items = FirstItems(p, p.first_rows);
  p.second_items = SecondItems(p, p.second_rows);
  const int items = p.stages == Stages::kFirst    ? p.first_items
                    : p.stages == Stages::kSecond ? p.second_items
                                                  : std::max(p.first_items, p.second_items);
  const bool both = p.stages == Stages::kBoth;
  launcher.Launch(CompressedKernel<T>,
                  {both ? std::min(items, capacity) : items, shared_bytes, both}, p);
}

// The tokens [first, first + count) of a call, with partial sums of their own.
inline CompressedParams TokensOf(CompressedParams p, int first, int count) {
  p.tokens = count;
  p.partials += int64_t{SpansOf(p.d_in)} * first * p.latents;
  p.input.x += int64_t{first} * p.d_in;
  if (p.input.form == InputForm::kGated) p.input.up += int64_t{first} * p.d_in;
  for (int m = 0; m < p.num_matrices; ++m) p.matrices[m].y += int64_t{first} * p.matrices[m].d_out;
  return p;
}

template <int T, typename Launcher>
bool FitsBlock(const Launcher& launcher, const CompressedParams& p) {
  return CompressedShared<T>::Bytes(Passes(p)) <= launcher.MostShared();
}
// T tokens after the other.
template <int T, typename Launcher>
void LaunchInPieces(Launcher& launcher, const CompressedParams& p) {
  for (int first = 0; first < p.tokens; first += T)
    LaunchCompressed<T>(launcher, TokensOf(p, first, std::min(T, p.tokens - first)));
}

// As many tokens at once as a block has shared memory for.
template <typename Launcher>
void LaunchKernel(Launcher& launcher, const CompressedParams& p) {
  if (p.tokens > 4 && FitsBlock<kMaxTokens>(launcher, p))
    return LaunchCompressed<kMaxTokens>(launcher, p);
  if (p.tokens > 1 && FitsBlock<4>(launcher, p)) return LaunchInPieces<4>(launcher, p);
  LaunchInPieces<1>(launcher, p);
}

template <typename Launcher>
void LaunchKernel(Launcher& launcher, const RoundParams& p) {
  launcher.Launch(RoundKernel, {p.num_rows * p.tokens, kRoundSharedBytes, false}, p);
}

// Blocks of threads with N row blocks each.
template <int N>
int TilesOf(const SignProductParams& p) {
  int tiles = 0;
  for (int m = 0; m < p.num_matrices; ++m)
    tiles += CeilDivide(CeilDivide(p.matrices[m].rows, kRowBlock), N);
  return tiles * CeilDivide(p.tokens, kTileTokens);
}

// Two row blocks use a warp's bits twice; one gives few rows to more warps.
template <typename Launcher>
void LaunchKernel(Launcher& launcher, const SignProductParams& p) {
  if (TilesOf<2>(p) >= launcher.Capacity(SignProductKernel<2>, 0))
    return launcher.Launch(SignProductKernel<2>, {TilesOf<2>(p), 0, false}, p);
  launcher.Launch(SignProductKernel<1>, {TilesOf<1>(p), 0, false}, p);
}

template <RowType type, int T, typename Launcher>
void LaunchRows(Launcher& launcher, const RowProductParams& p) {
  const int capacity = launcher.Capacity(RowProductKernel<type, T>, 0);
  launcher.Launch(RowProductKernel<type, T>,
                  {std::min(CeilDivide(p.rows, kWarps), capacity), 0, false}, p);
}

template <RowType type, typename Launcher>
void LaunchRowsOf(Launcher& launcher, const RowProductParams& p) {
  if (p.tokens == 1) return LaunchRows<type, 1>(launcher, p);
  LaunchRows<type, 4>(launcher, p);
}

template <typename Launcher>
void LaunchKernel(Launcher& launcher, const RowProductParams& p) {
  switch (p.type) {
    case RowType::kF32: return LaunchRowsOf<RowType::kF32>(launcher, p);
    case RowType::kF16: return LaunchRowsOf<RowType::kF16>(launcher, p);
    case RowType::kBF16: return LaunchRowsOf<RowType::kBF16>(launcher, p);
    case RowType::kGroup8: return LaunchRowsOf<RowType::kGroup8>(launcher, p);
  }
}

template <typename Launcher>
void LaunchKernel(Launcher& launcher, const EmbedParams& p) {
  const LaunchConfig config{p.tokens, 0, false};
  switch (p.type) {
    case RowType::kF32: return launcher.Launch(EmbedKernel<RowType::kF32>, config, p);
    case RowType::kF16: return launcher.Launch(EmbedKernel<RowType::kF16>, config, p);
    case RowType::kBF16: return launcher.Launch(EmbedKernel<RowType::kBF16>, config, p);
    case RowType::kGroup8: return launcher.Launch(EmbedKernel<RowType::kGroup8>, config, p);
  }
}

template <typename Launcher>
void LaunchKernel(Launcher& launcher, const PrepareParams& p) {
  launcher.Launch(PrepareKernel, {p.tokens, kPrepareSharedBytes, false}, p);
}

template <typename Launcher>
void LaunchKernel(Launcher& launcher, const RopeStoreParams& p) {
  const int warps = p.tokens * (p.heads + 2 * p.kv_heads);
  launcher.Launch(RopeStoreKernel, {CeilDivide(warps, kWarps), 0, false}, p);
}

template <typename Launcher>
void LaunchKernel(Launcher& launcher, const AttentionParams& p) {
  launcher.Launch(AttentionKernel, {p.tokens * p.heads * p.num_parts, kAttentionSharedBytes, false},
                  p);
}

}  // namespace LLMQ_COMPILED_FOR
}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_LAUNCH_H_
