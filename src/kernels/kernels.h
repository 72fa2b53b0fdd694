// The contract between the runtime and the arithmetic: raw pointers in, numbers out, nothing else.
//
// Station before: src/runtime, which splits outputs over threads and owns all memory. Station
// after: one table of functions per instruction set. kernels_scalar.cc defines what every function
// computes; every other version gives THE SAME BITS (but for `matrix_product`), and the tests
// compare them at every length. Every output is computed on its own, so that splitting a range
// [begin, end) anywhere gives the same bits too. Nothing is read past what is stated, and nothing
// else may be assumed of alignment. docs/decisions/0008-kernels.md says why the arithmetic is as
// it is.
#ifndef LLMQ_KERNELS_KERNELS_H_
#define LLMQ_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>

namespace llmq {

// Signs of a matrix in the order in which the kernels read them: blocks of 16 rows, in a block
// chunks of 32 columns, in a chunk one 32-bit word per row. Bit c % 32 of a word is column c; 1
// means -1. Rows and columns are padded with zero bits.
struct SignTiles {
  const uint32_t* words;  // [ceil(rows / 16), ceil(cols / 32), 16]
  int64_t rows;           // outputs
  int64_t cols;           // inputs
};
inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kTileCols = 32;

constexpr int64_t TileChunks(int64_t cols) { return (cols + kTileCols - 1) / kTileCols; }
constexpr int64_t TileBlocks(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }
constexpr int64_t SignTileWords(int64_t rows, int64_t cols) {
  return TileBlocks(rows) * TileChunks(cols) * kTileRows;
}

// Inputs that are rounded to 8 bits share a scale in blocks of this many.
inline constexpr int64_t kInputBlock = 256;

// out[i] = sum_j s(i, j) scale[j] x[j] in two steps: an input is prepared once (scaled, rounded,
// turned into tables of partial sums), then read by all rows. A prepared input is understood only
// by the version that made it.
struct SignProduct {
  // Bytes of a prepared input of `cols` values; a multiple of 64.
  int64_t (*prepared_bytes)(int64_t cols) noexcept;
  // scale [cols] fp16 or null (1), x [cols] f32. `prepared` is aligned to 64 bytes.
  void (*prepare)(const uint16_t* scale, const float* x, int64_t cols,
                  std::byte* prepared) noexcept;
  // out[i - begin] for rows [begin, end), begin a multiple of 16. out [end - begin] f32.
  void (*sums)(const SignTiles& signs, const std::byte* prepared, int64_t begin, int64_t end,
               float* out) noexcept;
};

// Rows of 8-, 6- or 4-bit codes as llmq/group_quant.h lays them out: codes, then fp16 scales.
struct GroupRows {
  const std::byte* bytes;  // [rows, row_bytes]
  int64_t row_bytes;
  int64_t cols;
};

// y[i] = sum_j (code(i, j) d(i, j)) x[j] for i in [begin, end) with inputs that were rounded to 8
// bits as those of a SignProduct are. Products of codes and rounded inputs are added as integers in
// runs of 4 columns (4-bit codes: 8); a run's sum times (d times the input's scale) goes to lane
// run % 16; then lane i takes lane i + 8, i + 4, i + 2, i + 1. y [rows] f32.
struct GroupKernels {
  using Dots = void (*)(const GroupRows& w, const std::byte* input, int64_t begin, int64_t end,
                        float* y) noexcept;
  Dots dots8;
  Dots dots6;
  Dots dots4;
};
// The input of all versions, for codes of so many bits (group_input.h). Bytes: a multiple of 64. x
// [cols] f32; `input` is aligned to 64 bytes.
int64_t GroupInputBytes(int bits, int64_t cols) noexcept;
void PrepareGroupInput(int bits, const float* x, int64_t cols, std::byte* input) noexcept;

// Elements of a dense matrix, little endian.
enum class DenseType { kF32, kF16, kBF16 };
inline constexpr int kNumDenseTypes = 3;

// Values that share a scale in grouped rows of 8-, 6- and 4-bit codes: llmq/group_quant.h, which
// this module may not include; runtime/linear.cc, which sees both, checks that they agree.
template <int bits>
inline constexpr int64_t kGroupValues = bits == 4 ? 32 : 64;

// Every dot product of floats is summed in this many lanes, element j in lane j % 64, products
// rounded before they are added; then lane i takes lane i + 32, i + 16, ... i + 1.
inline constexpr int64_t kSumLanes = 64;

struct FloatKernels {
  // y[i] = sum_j w[i, j] x[j] for i in [begin, end). w [rows, cols] of one DenseType, x [cols] f32,
  // y [rows] f32.
  void (*dense_dot[kNumDenseTypes])(const std::byte* w, int64_t cols, const float* x, int64_t begin,
                                    int64_t end, float* y) noexcept;
  // out[j] = float(w[j]) for j in [0, n). Exact. w [n] of one DenseType, out [n] f32.
  void (*to_float[kNumDenseTypes])(const std::byte* w, int64_t n, float* out) noexcept;
  // Round to nearest even. x [n] f32, out [n] fp16.
  void (*to_half)(const float* x, int64_t n, uint16_t* out) noexcept;

  // y[i] = sum_j (code(i, j) d(i, j)) x[j] for i in [begin, end): the product of the scale and the
  // code is rounded. Rows as llmq/group_quant.h lays them out: codes, then fp16 scales. 8 and 6
  // bits: groups of 64; 4 bits: groups of 32. w [rows, row_bytes], x [cols] f32, y [rows] f32.
  void (*group_dot8)(const std::byte* w, int64_t row_bytes, int64_t cols, const float* x,
                     int64_t begin, int64_t end, float* y) noexcept;
  void (*group_dot6)(const std::byte* w, int64_t row_bytes, int64_t cols, const float* x,
                     int64_t begin, int64_t end, float* y) noexcept;
  void (*group_dot4)(const std::byte* w, int64_t row_bytes, int64_t cols, const float* x,
                     int64_t begin, int64_t end, float* y) noexcept;

  // out[c] = sum_i weight[i] m[i, c], in the order of i. m [rows, cols] f32 or fp16, weight [rows]
  // f32, out [cols] f32.
  void (*weighted_sum)(const float* m, const float* weight, int64_t rows, int64_t cols,
                       float* out) noexcept;
  void (*weighted_sum_half)(const uint16_t* m, const float* weight, int64_t rows, int64_t cols,
                            float* out) noexcept;
  // The same for grouped rows of 8 bits.
  void (*weighted_sum_group8)(const std::byte* m, int64_t row_bytes, const float* weight,
                              int64_t rows, int64_t cols, float* out) noexcept;

  // y[j] = h[j] s[j], or y[j] += h[j] s[j]. h [n] fp16, s, y [n] f32.
  void (*scale)(const uint16_t* h, const float* s, int64_t n, float* y) noexcept;
  void (*add_scaled)(const uint16_t* h, const float* s, int64_t n, float* y) noexcept;

  // x[i] = exp(factor x[i]) / sum_j exp(factor x[j]). x [n] f32.
  void (*softmax)(float factor, int64_t n, float* x) noexcept;
  // gate[i] = silu(gate[i]) up[i]. gate, up [n] f32.
  void (*swiglu)(const float* up, int64_t n, float* gate) noexcept;
  // out = x / sqrt(mean(x^2) + eps) * weight. x, weight, out [n] f32.
  void (*rms_norm)(const float* x, const float* weight, double eps, int64_t n, float* out) noexcept;
  // With c = x - mean(x): out = c / sqrt(mean(c^2) + eps) * weight + bias. x, weight, bias,
  // out [n] f32.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, double eps, int64_t n,
                     float* out) noexcept;
};

// y[t, i] = sum_j x[t, j] w(i, j) for t in [0, tokens), i in [0, outputs).
struct MatrixProduct {
  const float* x;  // [tokens, depth] f32, rows x_stride apart
  const float* w;  // [outputs, depth] f32
  float* y;        // [tokens, outputs] f32, rows y_stride apart; overwritten
  int64_t tokens;
  int64_t outputs;
  int64_t depth;
  int64_t x_stride;
  int64_t y_stride;
};

struct KernelTable {
  const char* name;            // as IsaName gives it
  const SignProduct* exact;    // float32 inputs
  const SignProduct* int8;     // inputs in 8 bits, sums of integers
  const GroupKernels* groups;  // inputs in 8 bits
  const FloatKernels* floats;
  // The product for many tokens at once (Eigen). The same call gives the same bits on one machine;
  // another number of tokens or outputs may sum in another order.
  void (*matrix_product)(const MatrixProduct& product);
};

// On one machine from slow to fast. avx512vbmi is AVX-512 with VBMI and VNNI (Ice Lake, Zen 4 and
// later).
enum class Isa { kScalar, kAvx2, kAvx512, kAvx512Vbmi, kNeon };
inline constexpr Isa kAllIsas[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vbmi,
                                   Isa::kNeon};
const char* IsaName(Isa isa);  // "scalar", "avx2", "avx512", "avx512vbmi", "neon"

// Built in and supported by this machine's processor and operating system.
bool IsaAvailable(Isa isa);

// Precondition: IsaAvailable(isa).
const KernelTable& KernelsFor(Isa isa);

}  // namespace llmq

#endif  // LLMQ_KERNELS_KERNELS_H_
