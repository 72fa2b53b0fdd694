// Compressed matrices times activations: both stages, both paths and all matrices whose inputs are
// there at the same time, in two loops over the threads.
//
//   t[T, r] = sum_j s_v(k, j) (g x)_j,   y[T, d_out] = sum_p h_p * (s_u (l_p t_p))
//
// Before: runtime/linear. After: the SignProduct it was given, exact or 8-bit. Scales are applied
// where an input is prepared and where an output is written. A sum is never split, and every output
// is computed on its own, so neither threads nor the number of tokens change a bit of the result.
#ifndef LLMQ_RUNTIME_COMPRESSED_LINEAR_H_
#define LLMQ_RUNTIME_COMPRESSED_LINEAR_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "runtime/compressed_matrix.h"
#include "runtime/large_memory.h"

namespace llmq {

struct CompressedCall {
  const std::vector<CompressedPath>* paths;
  const float* x;  // [T, d_in] f32
  float* y;        // [T, d_out] f32
  // y [T, ranks of all paths] f32 instead: the first stage alone, not yet times l.
  bool latents = false;
};

class CompressedLinear {
 public:
  // Borrows all three.
  CompressedLinear(const SignProduct& product, const FloatKernels& floats, ThreadPool& pool);

  void Run(std::span<const CompressedCall> calls, int64_t tokens);
  // The second stage of one token for outputs [begin, end), begin a multiple of 16, by the thread
  // of the pool that calls. latents [ranks of all paths] f32, out [end - begin] f32.
  void Expand(int thread, const std::vector<CompressedPath>& paths, const float* latents,
              int64_t begin, int64_t end, float* out);

 private:
  // A vector that is prepared for the kernels, and the signs it meets.
  struct Input {
    SignTiles signs;        // [rows, cols]
    const uint16_t* scale;  // [cols] fp16
    const float* from;      // [T, cols] f32, rows `stride` apart
    int64_t stride;
    const uint16_t* h;  // [rows] fp16, what the sums are multiplied by, or null
  };
  // Outputs of one stage that are computed together: the latents of a path, or the outputs of a
  // matrix, which are summed over its paths.
  struct Unit {
    Input inputs[kMaxPaths];
    int64_t num_inputs;
    float* out;  // [T, rows] f32, rows `out_stride` apart
    int64_t out_stride;
    int64_t rows;
    int64_t input_bytes;  // of one prepared input
    int64_t piece_rows;   // a multiple of 16
    int64_t first_piece;  // of this unit among those of the stage
    int64_t prepared;     // where in shared_ the inputs begin, all of a token together
  };
  struct Stage {
    std::vector<Unit> units;
    int64_t pieces = 0;
    int64_t prepared_bytes = 0;  // of all units and tokens
    int64_t signs = 0;           // to be added, per token

    void Clear();  // keeps the memory of `units`
  };
  // Memory aligned to 64 bytes that only grows.
  struct Buffer {
    std::byte* Reserve(int64_t bytes);
    LargeMemory memory{0};
  };
  struct alignas(64) ThreadState {
    Buffer prepared;
    int64_t unit = -1;  // whose inputs `prepared` holds, counted from the beginning of time
    std::vector<float> sums;
  };

  void RunBatch(std::span<const CompressedCall> calls, int64_t first_token, int64_t tokens);
  void AddUnit(Stage& stage, Unit unit, const SignProduct& product, int64_t tokens);
  void RunStage(const Stage& stage, int64_t tokens);
  void Prepare(const Unit& unit, int64_t token, std::byte* prepared) const;
  // Rows [begin, end) of one token; sums [end - begin] f32 is scratch, out [end - begin] f32.
  void RunPiece(const Unit& unit, int64_t begin, int64_t end, const std::byte* prepared,
                float* sums, float* out) const;

  const SignProduct& product_;
  const FloatKernels& floats_;
  ThreadPool& pool_;
  Stage first_, second_;
  int64_t units_before_ = 0;   // units of all stages that have run
  std::vector<float> latent_;  // [T, paths of all calls, r] f32, not yet times l
  Buffer shared_;              // prepared inputs of several tokens
  std::vector<ThreadState> threads_;
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_COMPRESSED_LINEAR_H_
