// What the host tells the kernels: plain structs, passed by value, one per kernel.
//
// Before: cuda/device_model or a benchmark fills them in; cuda/launch.h adds how the work is cut.
// After: the kernels of compressed_kernel.h and step_kernels.h. All pointers are the device's.
#ifndef LLMQ_CUDA_KERNEL_PARAMS_H_
#define LLMQ_CUDA_KERNEL_PARAMS_H_

#include <cstdint>

namespace llmq::cuda {

inline constexpr int kWarp = 32;
inline constexpr int kThreads = 256;  // of a block, in every kernel
inline constexpr int kWarps = kThreads / kWarp;

inline constexpr int kMaxTokens = 16;      // of one launch of compressed_kernel.h
inline constexpr int kPromptTokens = 256;  // of one pass over a long prompt
inline constexpr int kMaxMatrices = 3;     // that share an input: q, k, v
inline constexpr int kMaxMatrixPaths = 2;  // as llmq/littlebit.h has it
inline constexpr int kRowBlock = 32;       // rows of signs that lie together: one per lane
inline constexpr int kColBlock = 256;  // inputs that share a scale, as the CPU's kernels have it
inline constexpr int kPreparedWords = 68;  // of such inputs, rounded: rounded_inputs.h
inline constexpr int kLatentAlign = 8;     // latents of a path begin at a multiple

constexpr int CeilDivide(int a, int b) { return (a + b - 1) / b; }
// Spans of the input, kWarps column blocks each: as many partial sums has a latent.
constexpr int SpansOf(int d_in) { return CeilDivide(d_in, kWarps * kColBlock); }

// How an input is made from what lies in memory.
enum class InputForm {
  kPlain,   // x
  kNormed,  // x / rms(x) * norm
  kGated,   // silu(x) * up
};
struct InputParams {
  InputForm form;
  const float* x;     // [T, cols] f32
  const float* norm;  // [cols] f32 (kNormed)
  const float* up;    // [T, cols] f32 (kGated)
  double eps;         // kNormed
};

// One path: y += h * (U (l * (V (g * x)))). Signs as cuda/sign_layout.h lays them out.
struct PathParams {
  const uint32_t* v;  // [rank, d_in]
  const uint32_t* u;  // [d_out, rank]
  const uint16_t* g;  // [d_in] fp16
  const uint16_t* l;  // [rank] fp16
  const uint16_t* h;  // [d_out] fp16
  int rank;
  int latent;  // where its latents begin among those of all paths
};

struct MatrixParams {
  PathParams paths[kMaxMatrixPaths];
  int num_paths;
  int d_out;
  const float* bias;  // [d_out] f32, or null
  float* y;           // [T, d_out] f32
  bool accumulate;    // y += instead of y =
};

// A range of memory that will be read soon: brought into the second-level cache.
struct PrefetchSpan {
  const void* begin;
  int64_t bytes;
};
inline constexpr int kMaxPrefetch = 2 * kMaxMatrices * kMaxMatrixPaths;

// Where the blocks of a grid meet. Zero before the first launch; every launch leaves `arrived`
// zero.
struct GridMeeting {
  unsigned arrived;
  unsigned generation;
};

// One launch does both stages where all blocks can be on the device at once, else two do.
enum class Stages { kBoth, kFirst, kSecond };

struct CompressedParams {
  MatrixParams matrices[kMaxMatrices];
  int num_matrices;
  int d_in;
  int tokens;
  InputParams input;
  float* partials;  // [spans, T, latents] f32: sums of the first stage
  int latents;      // of all paths, each a multiple of kLatentAlign
  GridMeeting* meeting;
  PrefetchSpan prefetch[kMaxPrefetch];
  int num_prefetch;
  Stages stages;
  // Set by cuda/launch.h. A block of threads takes one item after the other: so many row blocks of
  // a path times one span of column blocks, in the second stage times all columns.
  int spans;       // of the input
  int first_rows;  // row blocks per item
  int second_rows;
  int first_items;
  int second_items;
  int passes;  // column blocks per warp, at most
};

// --- Many tokens at once: prompt_kernels.h. ------------------------------------------------------

// out[t] = inputs of token t, scaled and rounded in blocks of columns, for one to three matrices.
struct RoundParams {
  struct Rows {
    InputParams input;
    const uint16_t* scale;  // [cols] fp16
    int cols;
    int32_t* out;  // [T, column blocks, kPreparedWords]
  };
  Rows rows[kMaxMatrices];
  int num_rows;
  int tokens;
};

// out[t, i] = h[i] * sum of signs(i, j) inputs[t, j] + bias[i].
struct SignProductParams {
  struct Matrix {
    const uint32_t* signs;  // [rows, cols], as cuda/sign_layout.h lays them out
    int rows;
    int cols;
    const int32_t* inputs;  // as RoundParams leaves them
    const uint16_t* h;      // [rows] fp16, or null: all 1
    const float* bias;      // [rows] f32, or null
    float* out;             // [T, rows] f32
    bool accumulate;        // out += instead of out =
  };
  Matrix matrices[kMaxMatrices];
  int num_matrices;
  int tokens;
};

// -------------------------------------------------------------------------------------------------

// How the elements of a matrix of numbers are stored.
enum class RowType { kF32, kF16, kBF16, kGroup8 };

// y[t, i] = sum_j w(i, j) x[t, j] + bias[i].
struct RowProductParams {
  const void* w;  // [rows, cols] of `type`, rows row_bytes apart
  RowType type;
  int64_t row_bytes;
  int rows;
  int cols;
  const float* x;     // [T, cols] f32
  const float* bias;  // [rows] f32, or null
  float* y;           // [T, rows] f32
  int tokens;
  bool accumulate;
};

// out[t, j] = the input that `input` describes.
struct PrepareParams {
  InputParams input;
  float* out;  // [T, cols] f32
  int cols;
  int tokens;
};

// What changes from one launch of a captured step to the next: in memory, so that a graph can be
// replayed.
struct StepState {
  int32_t position;  // of the first token
  int32_t tokens[kPromptTokens];
};

// out[t] = row tokens[t] of the table.
struct EmbedParams {
  const StepState* step;
  const void* table;  // [vocab, cols] of `type`
  RowType type;
  int64_t row_bytes;
  int cols;
  float* out;  // [T, cols] f32
  int tokens;
};

// Heads of queries and keys are normalised (if the model does) and turned by their position; keys
// and values go to the cache.
struct RopeStoreParams {
  const StepState* step;
  float* q;             // [T, heads, head_dim] f32, in place
  const float* k;       // [T, kv_heads, head_dim] f32
  const float* v;       // [T, kv_heads, head_dim] f32
  const float* q_norm;  // [head_dim] f32, or null
  const float* k_norm;  // [head_dim] f32, or null
  const float* cos;     // [capacity, turned / 2] f32
  const float* sin;     // [capacity, turned / 2] f32
  void* keys;           // of this layer: [kv_heads, capacity, head_dim] fp16 or f32
  void* values;         // likewise
  double eps;
  int heads, kv_heads, head_dim, turned;
  int64_t capacity;
  bool interleaved;  // pairs (2i, 2i + 1) turn together, not (i, i + turned / 2)
  bool half;         // the cache is fp16
  int tokens;
};

// How many positions a block of threads takes, where a cache holds so many: enough parts to fill a
// device, few enough that blocks without positions cost nothing.
constexpr int kFewestPartPositions = 256;
constexpr int kMostParts = 32;
constexpr int PartPositions(int64_t capacity) {
  const auto most = static_cast<int>((capacity + kMostParts - 1) / kMostParts);
  return most > kFewestPartPositions ? most : kFewestPartPositions;
}
constexpr int kPartExtra = 2;  // floats of a part beside head_dim values: largest score, sum

struct AttentionParams {
  const StepState* step;
  const float* q;    // [T, heads, head_dim] f32
  const void* keys;  // as RopeStoreParams
  const void* values;
  float* out;  // [T, heads, head_dim] f32
  float scale;
  int heads, kv_heads, head_dim;
  int64_t capacity;
  int window;  // 0: a position sees all before it
  bool half;
  int tokens;
  int part_positions;  // part i of a row of scores: positions [i, i + 1) part_positions
  int num_parts;       // that hold the capacity
  float* parts;        // [T, heads, num_parts, head_dim + kPartExtra]
  unsigned* arrived;   // [T, heads]: parts that are done; zero before and after a launch
};

}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_KERNEL_PARAMS_H_
