// The contract between the runtime and the arithmetic: raw pointers in, numbers out, nothing else.
//
// Station before: src/runtime, which splits outputs over threads and owns all memory. Station
// after: one table of functions per instruction set. kernels_scalar.cc defines what every function
// computes; the others are tested against it at every length. Every function computes each output
// on its own, so that splitting a range [begin, end) anywhere gives the same bits. Rows may be
// unaligned; nothing is read past what is stated.
//
// A faster kernel (tables of partial sums, integer dot products) is a new version of a function
// here.
#ifndef LLMQ_KERNELS_KERNELS_H_
#define LLMQ_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>

namespace llmq {

// Bit c of a row is bit c%8 of byte c/8; 1 means -1, 0 means +1. Rows are whole bytes and lie one
// after another.
struct SignBits {
  const uint8_t* bytes;  // [rows, (cols + 7) / 8]
  int64_t rows;
  int64_t cols;
};

// Elements of a dense matrix, little endian.
enum class DenseType { kF32, kF16, kBF16 };
inline constexpr int kNumDenseTypes = 3;

// Values that share a scale in grouped rows of 8-, 6- and 4-bit codes: llmq/group_quant.h, which
// this module may not include; runtime/linear.cc, which sees both, checks that they agree.
template <int bits>
inline constexpr int64_t kGroupValues = bits == 4 ? 32 : 64;

// y[t, i] = sum_j x[t, j] w(i, j) for t in [0, tokens), i in [0, outputs).
struct MatrixProduct {
  const float* x;  // [tokens, depth] f32, rows x_stride apart
  const float* w;  // w(i, j) lies at w[i * depth + j], or at w[j * outputs + i] if w_transposed
  float* y;        // [tokens, outputs] f32, rows y_stride apart; overwritten
  int64_t tokens;
  int64_t outputs;
  int64_t depth;
  int64_t x_stride;
  int64_t y_stride;
  bool w_transposed;
};

struct KernelTable {
  const char* name;  // "scalar", "avx2", "avx512"

  // Stage 0 of a compressed layer: out[j] = g[j] * x[j]. Exact: one rounding.
  // g [n] fp16, x [n] f32, out [n] f32.
  void (*scale)(const uint16_t* g, const float* x, int64_t n, float* out) noexcept;

  // Stage 1: t[k] = l[k] * sum_j s(k, j) gx[j] for k in [begin, end).
  // v [r, d_in] bits, gx [d_in] f32, l [r] fp16, t [r] f32.
  void (*latent)(const SignBits& v, const float* gx, const uint16_t* l, int64_t begin, int64_t end,
                 float* t) noexcept;

  // Stage 2: y[j] += h[j] * sum_k s(k, j) t[k] for j in [begin, end), begin a multiple of 8. Every
  // version sums in the order of k and gives the same bits. u [r, d_out] bits, t [r] f32, h [d_out]
  // fp16, y [d_out] f32.
  void (*output)(const SignBits& u, const float* t, const uint16_t* h, int64_t begin, int64_t end,
                 float* y) noexcept;

  // out[k, j - begin] = s(k, j) as +1 or -1, for rows [row_begin, row_end) and columns [begin,
  // end), begin a multiple of 8. out [row_end - row_begin, end - begin] f32. Exact.
  void (*expand_signs)(const SignBits& bits, int64_t row_begin, int64_t row_end, int64_t begin,
                       int64_t end, float* out) noexcept;

  // y[i] = sum_j w[i, j] x[j] for i in [begin, end). w [rows, cols] of one DenseType, x [cols] f32,
  // y [rows] f32.
  void (*dense_dot[kNumDenseTypes])(const std::byte* w, int64_t cols, const float* x, int64_t begin,
                                    int64_t end, float* y) noexcept;

  // out[j] = float(w[j]) for j in [0, n). Exact. w [n] of one DenseType, out [n] f32.
  void (*to_float[kNumDenseTypes])(const std::byte* w, int64_t n, float* out) noexcept;

  // y[i] = sum over the groups of row i of d * (sum_j code_j x_j), for i in [begin, end). Rows as
  // llmq/group_quant.h lays them out: codes, then fp16 scales. 8 and 6 bits: groups of 64; 4 bits:
  // groups of 32. w [rows, row_bytes], x [cols] f32, y [rows] f32.
  void (*group_dot8)(const std::byte* w, int64_t row_bytes, int64_t cols, const float* x,
                     int64_t begin, int64_t end, float* y) noexcept;
  void (*group_dot6)(const std::byte* w, int64_t row_bytes, int64_t cols, const float* x,
                     int64_t begin, int64_t end, float* y) noexcept;
  void (*group_dot4)(const std::byte* w, int64_t row_bytes, int64_t cols, const float* x,
                     int64_t begin, int64_t end, float* y) noexcept;

  // out[c] = sum_i weight[i] m[i, c]. m [rows, cols] f32, weight [rows] f32, out [cols] f32.
  void (*weighted_sum)(const float* m, const float* weight, int64_t rows, int64_t cols,
                       float* out) noexcept;

  // The product for many tokens at once (Eigen). The same call gives the same bits on one machine;
  // another number of tokens or outputs may sum in another order.
  void (*matrix_product)(const MatrixProduct& product);
};

enum class Isa { kScalar, kAvx2, kAvx512 };
inline constexpr Isa kAllIsas[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512};  // from slow to fast
const char* IsaName(Isa isa);  // "scalar", "avx2", "avx512"

// Built in and supported by this machine's processor and operating system.
bool IsaAvailable(Isa isa);

// Precondition: IsaAvailable(isa).
const KernelTable& KernelsFor(Isa isa);

extern const KernelTable kScalarKernels;
extern const KernelTable kAvx2Kernels;    // built for x86-64 only
extern const KernelTable kAvx512Kernels;  // built for x86-64 only

}  // namespace llmq

#endif  // LLMQ_KERNELS_KERNELS_H_
