// The float kernels in vectors, compiled once per instruction set under the name
// LLMQ_FLOAT_KERNELS.
//
// Before: kernels_scalar.cc, which defines every operation and its order; here 64 lanes are a few
// vectors of the set's width, so the bits are the same. Written with the compiler's vector types;
// intrinsics only where there is no operator. Everything but the table is in an anonymous namespace
// and nothing of the standard library is called, so that no code of this file can run on a machine
// without the set.
#include <immintrin.h>

#include "kernels/versions.h"

namespace llmq {
namespace {

#ifdef __AVX512F__
constexpr int kWidth = 16;  // floats in a vector
#else
constexpr int kWidth = 8;
#endif
constexpr int kVectors = kSumLanes / kWidth;

typedef float Float __attribute__((vector_size(4 * kWidth)));
typedef int32_t Int __attribute__((vector_size(4 * kWidth)));
typedef uint32_t Word __attribute__((vector_size(4 * kWidth)));
typedef uint16_t Short __attribute__((vector_size(2 * kWidth)));
typedef int8_t Byte __attribute__((vector_size(kWidth)));
typedef uint8_t HalfByte __attribute__((vector_size(kWidth / 2)));  // for two codes in each

template <typename V>
V Load(const void* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof(v));
  return v;
}
template <typename V>
void Store(void* to, V v) {
  __builtin_memcpy(to, &v, sizeof(v));
}
// The first n values, zeros after them. One place reads tails, so one place can read too far.
Float LoadFirstFloats(const void* from, int64_t n) {
#ifdef __AVX512F__
  return Float(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), from));
#else
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i wanted = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lanes);
  return Float(_mm256_maskload_ps(static_cast<const float*>(from), wanted));
#endif
}
template <typename V, typename T>
V LoadFirst(const T* from, int64_t n) {
  if constexpr (sizeof(T) == sizeof(float)) return LoadFirstFloats(from, n);
  V v{};
  __builtin_memcpy(&v, from, static_cast<size_t>(n) * sizeof(T));
  return v;
}

Float Broadcast(float value) { return value - Float{}; }

Float FromHalf(Short halves) {
#ifdef __AVX512F__
  return Float(_mm512_cvtph_ps(__m256i(halves)));
#else
  return Float(_mm256_cvtph_ps(__m128i(halves)));
#endif
}
Short ToHalfVector(Float x) {
#ifdef __AVX512F__
  return Short(_mm512_cvtps_ph(__m512(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#else
  return Short(_mm256_cvtps_ph(__m256(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#endif
}
// The compiler's own conversion of bytes goes one by one.
Float FromBytes(Byte bytes) {
#ifdef __AVX512F__
  return Float(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(__m128i(bytes))));
#else
  return Float(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(int64_t(bytes)))));
#endif
}
// A byte's two codes, the earlier in its low half, as bytes in order.
Byte Nibbles(HalfByte packed) {
#ifdef __AVX512F__
  const __m128i pairs = _mm_cvtepu8_epi16(_mm_cvtsi64_si128(int64_t(packed)));
#else
  int32_t four;
  __builtin_memcpy(&four, &packed, 4);
  const __m128i pairs = _mm_cvtepu8_epi16(_mm_cvtsi32_si128(four));
#endif
  const __m128i codes =
      _mm_and_si128(_mm_or_si128(pairs, _mm_slli_epi16(pairs, 4)), _mm_set1_epi16(0x0f0f));
  Byte bytes;
  __builtin_memcpy(&bytes, &codes, sizeof(bytes));
  return bytes;
}
// A stream of 6-bit codes: 4 codes in 3 bytes, of which a lane takes the two that hold its own.
Int SixBits(const std::byte* codes) {
  const __m128i bytes = _mm_setr_epi8(0, 1, -1, -1, 0, 1, -1, -1, 1, 2, -1, -1, 2, 3, -1, -1);
  const __m128i shifts = _mm_setr_epi32(0, 6, 4, 2);
#ifdef __AVX512F__
  const __m512i group = _mm512_setr_epi32(0, 0, 0, 0, 0x0303, 0x0303, 0x0303, 0x0303, 0x0606,
                                          0x0606, 0x0606, 0x0606, 0x0909, 0x0909, 0x0909, 0x0909);
  const __m512i take = _mm512_add_epi8(_mm512_broadcast_i32x4(bytes), group);
  const __m512i stream = _mm512_broadcast_i32x4(_mm_maskz_loadu_epi8(0x0fff, codes));
  const __m512i pairs = _mm512_shuffle_epi8(stream, take);
  return Int(_mm512_srlv_epi32(pairs, _mm512_broadcast_i32x4(shifts))) & 63;
#else
  const __m256i take = _mm256_setr_m128i(bytes, _mm_add_epi8(bytes, _mm_set1_epi32(0x0303)));
  int64_t six = 0;
  __builtin_memcpy(&six, codes, 4);
  uint16_t last;
  __builtin_memcpy(&last, codes + 4, 2);
  const __m256i stream = _mm256_broadcastsi128_si256(_mm_cvtsi64_si128(six | int64_t{last} << 32));
  const __m256i pairs = _mm256_shuffle_epi8(stream, take);
  return Int(_mm256_srlv_epi32(pairs, _mm256_broadcastsi128_si256(shifts))) & 63;
#endif
}
float HalfAt(const void* half) {
  uint16_t bits;
  __builtin_memcpy(&bits, half, 2);
  return _cvtsh_ss(bits);
}

template <DenseType type>
constexpr int64_t kBytes = type == DenseType::kF32 ? 4 : 2;

template <DenseType type>
Float Dense(const std::byte* w) {
  if constexpr (type == DenseType::kF32) return Load<Float>(w);
  if constexpr (type == DenseType::kF16) return FromHalf(Load<Short>(w));
  return Float(__builtin_convertvector(Load<Short>(w), Word) << 16);
}
template <DenseType type>
Float DenseFirst(const std::byte* w, int64_t n) {
  if constexpr (type == DenseType::kF32) return LoadFirstFloats(w, n);
  std::byte first[kWidth * kBytes<type>] = {};
  __builtin_memcpy(first, w, static_cast<size_t>(n * kBytes<type>));
  return Dense<type>(first);
}

// Weights that are read soon, a small page ahead: the processor's own prefetching ends with a page.
// Past the end nothing happens.
template <int64_t bytes>
void PrefetchAhead(const std::byte* w) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(w + 4096 + i, 0, 2);
}

// --- Sums in lanes. ------------------------------------------------------------------------------

float Reduce(Float* sum) {
  for (int half = kVectors / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) sum[i] += sum[i + half];
  }
#ifdef __AVX512F__
  const __m512 all = __m512(sum[0]);
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
#else
  const __m256 eight = __m256(sum[0]);
#endif
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

template <DenseType type>
float DotRow(const std::byte* row, int64_t cols, const float* x) {
  Float sum[kVectors] = {};
  int64_t j = 0;
  for (; j + kSumLanes <= cols; j += kSumLanes) {
    PrefetchAhead<kSumLanes * kBytes<type>>(row + j * kBytes<type>);
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = j + v * kWidth;
      sum[v] += Dense<type>(row + at * kBytes<type>) * Load<Float>(x + at);
    }
  }
  int v = 0;
  for (; j + kWidth <= cols; j += kWidth, ++v)
    sum[v] += Dense<type>(row + j * kBytes<type>) * Load<Float>(x + j);
  if (j < cols) {  // filled up with zeros, which change no lane
    const int64_t n = cols - j;
    sum[v] += DenseFirst<type>(row + j * kBytes<type>, n) * LoadFirstFloats(x + j, n);
  }
  return Reduce(sum);
}

template <DenseType type>
void DenseDot(const std::byte* w, int64_t cols, const float* x, int64_t begin, int64_t end,
              float* y) noexcept {
  for (int64_t i = begin; i < end; ++i) y[i] = DotRow<type>(w + i * cols * kBytes<type>, cols, x);
}

template <DenseType type>
void ToFloat(const std::byte* w, int64_t n, float* out) noexcept {
  int64_t j = 0;
  for (; j + kWidth <= n; j += kWidth) Store(out + j, Dense<type>(w + j * kBytes<type>));
  if (j == n) return;
  std::byte rest[kWidth * kBytes<type>] = {};
  __builtin_memcpy(rest, w + j * kBytes<type>, static_cast<size_t>((n - j) * kBytes<type>));
  const Float values = Dense<type>(rest);
  __builtin_memcpy(out + j, &values, static_cast<size_t>(n - j) * 4);
}

void ToHalf(const float* x, int64_t n, uint16_t* out) noexcept {
  int64_t j = 0;
  for (; j + kWidth <= n; j += kWidth) Store(out + j, ToHalfVector(Load<Float>(x + j)));
  const Short rest = ToHalfVector(LoadFirst<Float>(x + j, n - j));
  __builtin_memcpy(out + j, &rest, static_cast<size_t>(n - j) * 2);
}

// --- Grouped rows. -------------------------------------------------------------------------------

// Codes [64] of which the first `n` vectors are wanted, as floats.
template <int bits>
Float Codes(const std::byte* codes, int v) {
  if constexpr (bits == 8) {
    return FromBytes(Load<Byte>(codes + v * kWidth));
  } else if constexpr (bits == 4) {
    return FromBytes(Nibbles(Load<HalfByte>(codes + v * (kWidth / 2))) - 8);
  } else {
    return __builtin_convertvector(SixBits(codes + v * (kWidth / 4 * 3)) - 32, Float);
  }
}

template <int bits>
Float GroupValues(const std::byte* codes, const float* scales, int v) {
  return Codes<bits>(codes, v) * Broadcast(scales[v * kWidth / kGroupValues<bits>]);
}

template <int bits>
float GroupDotRow(const std::byte* row, int64_t row_bytes, int64_t cols, const float* x) {
  constexpr int64_t kGroup = kGroupValues<bits>;
  const std::byte* scales = row + row_bytes - 2 * ((cols + kGroup - 1) / kGroup);
  Float sum[kVectors] = {};
  int64_t j = 0;
  for (; j + kSumLanes <= cols; j += kSumLanes, scales += 2 * kSumLanes / kGroup) {
    PrefetchAhead<kSumLanes * bits / 8>(row + j * bits / 8);
    const float d[2] = {HalfAt(scales), HalfAt(scales + 2 * (kSumLanes / kGroup - 1))};
    for (int v = 0; v < kVectors; ++v)
      sum[v] += GroupValues<bits>(row + j * bits / 8, d, v) * Load<Float>(x + j + v * kWidth);
  }
  if (j < cols) {
    const float d[2] = {HalfAt(scales), cols - j > kGroup ? HalfAt(scales + 2) : 0.0f};
    std::byte codes[kSumLanes * bits / 8] = {};
    float rest[kSumLanes] = {};
    __builtin_memcpy(codes, row + j * bits / 8, static_cast<size_t>(((cols - j) * bits + 7) / 8));
    __builtin_memcpy(rest, x + j, static_cast<size_t>(cols - j) * 4);
    for (int v = 0; v < kVectors; ++v)
      if (v * kWidth < cols - j)
        sum[v] += GroupValues<bits>(codes, d, v) * Load<Float>(rest + v * kWidth);
  }
  return Reduce(sum);
}

template <int bits>
void GroupDot(const std::byte* w, int64_t row_bytes, int64_t cols, const float* x, int64_t begin,
              int64_t end, float* y) noexcept {
  for (int64_t i = begin; i < end; ++i)
    y[i] = GroupDotRow<bits>(w + i * row_bytes, row_bytes, cols, x);
}

// --- Sums of rows: Value(i, c) gives columns [c, c + kWidth) of row i. ---------------------------

template <typename Value>
void WeightedRows(const Value& value, const float* weight, int64_t rows, int64_t cols, float* out) {
  constexpr int kAtOnce = 4;
  int64_t c = 0;
  for (; c + kAtOnce * kWidth <= cols; c += kAtOnce * kWidth) {
    Float sum[kAtOnce] = {};
    for (int64_t i = 0; i < rows; ++i) {
      for (int v = 0; v < kAtOnce; ++v)
        sum[v] += Broadcast(weight[i]) * value(i, c + v * kWidth, kWidth);
    }
    for (int v = 0; v < kAtOnce; ++v) Store(out + c + v * kWidth, sum[v]);
  }
  for (; c < cols; c += kWidth) {
    const int64_t n = cols - c < kWidth ? cols - c : kWidth;
    Float sum{};
    for (int64_t i = 0; i < rows; ++i) sum += Broadcast(weight[i]) * value(i, c, n);
    __builtin_memcpy(out + c, &sum, static_cast<size_t>(n) * 4);
  }
}

void WeightedSum(const float* m, const float* weight, int64_t rows, int64_t cols,
                 float* out) noexcept {
  const auto value = [=](int64_t i, int64_t c, int64_t n) {
    const float* at = m + i * cols + c;
    return n == kWidth ? Load<Float>(at) : LoadFirst<Float>(at, n);
  };
  WeightedRows(value, weight, rows, cols, out);
}

void WeightedSumHalf(const uint16_t* m, const float* weight, int64_t rows, int64_t cols,
                     float* out) noexcept {
  const auto value = [=](int64_t i, int64_t c, int64_t n) {
    const uint16_t* at = m + i * cols + c;
    return FromHalf(n == kWidth ? Load<Short>(at) : LoadFirst<Short>(at, n));
  };
  WeightedRows(value, weight, rows, cols, out);
}

void WeightedSumGroup8(const std::byte* m, int64_t row_bytes, const float* weight, int64_t rows,
                       int64_t cols, float* out) noexcept {
  const int64_t scales = row_bytes - 2 * ((cols + kGroupValues<8> - 1) / kGroupValues<8>);
  const auto value = [=](int64_t i, int64_t c, int64_t n) {
    const std::byte* row = m + i * row_bytes;
    const float d = HalfAt(row + scales + 2 * (c / kGroupValues<8>));
    const Byte codes = n == kWidth ? Load<Byte>(row + c) : LoadFirst<Byte>(row + c, n);
    return FromBytes(codes) * Broadcast(d);
  };
  WeightedRows(value, weight, rows, cols, out);
}

// --- Functions of one number: Map(x) of every element, vectors and then a filled-up one. ---------

template <typename Function>
void Map(int64_t n, float* x, const Function& function) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) Store(x + i, function(Load<Float>(x + i), i, kWidth));
  if (i == n) return;
  const Float rest = function(LoadFirst<Float>(x + i, n - i), i, n - i);
  __builtin_memcpy(x + i, &rest, static_cast<size_t>(n - i) * 4);
}

void Scale(const uint16_t* h, const float* s, int64_t n, float* y) noexcept {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth)
    Store(y + i, FromHalf(Load<Short>(h + i)) * Load<Float>(s + i));
  const Float rest = FromHalf(LoadFirst<Short>(h + i, n - i)) * LoadFirst<Float>(s + i, n - i);
  __builtin_memcpy(y + i, &rest, static_cast<size_t>(n - i) * 4);
}
void AddScaled(const uint16_t* h, const float* s, int64_t n, float* y) noexcept {
  Map(n, y, [=](Float value, int64_t i, int64_t count) {
    const Short half = count == kWidth ? Load<Short>(h + i) : LoadFirst<Short>(h + i, count);
    const Float sum = count == kWidth ? Load<Float>(s + i) : LoadFirst<Float>(s + i, count);
    return value + FromHalf(half) * sum;
  });
}

Float Exp(Float x) {
  x = x < -87.0f ? Broadcast(-87.0f) : x;
  x = x > 88.0f ? Broadcast(88.0f) : x;
  const Float shifted = x * 0x1.715476p+0f + 0x1.8p23f;
  const Float n = shifted - 0x1.8p23f;
  const Float r = (x - n * 0x1.63p-1f) - n * -0x1.bd0106p-13f;
  Float p = Broadcast(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * (r * r) + r) + 1.0f;
  return p * Float((Word(shifted) + 127u) << 23);
}

// Zeros from the n-th on.
Float First(Float x, int64_t n) {
  Float kept{};
  __builtin_memcpy(&kept, &x, static_cast<size_t>(n) * 4);
  return kept;
}

void Softmax(float factor, int64_t n, float* x) noexcept {
  Float top = Broadcast(-__builtin_inff());
  Map(n, x, [&](Float value, int64_t, int64_t count) {
    value = value * factor;
    Float seen = value;
    for (int64_t i = count; i < kWidth; ++i) seen[i] = -__builtin_inff();
    top = seen > top ? seen : top;
    return value;
  });
  float largest = top[0];
  for (int i = 1; i < kWidth; ++i) largest = top[i] > largest ? top[i] : largest;
  Float sum[kVectors] = {};
  Map(n, x, [&](Float value, int64_t i, int64_t count) {
    const Float e = Exp(value - largest);
    sum[i / kWidth % kVectors] += count == kWidth ? e : First(e, count);
    return e;
  });
  const float scale = 1.0f / Reduce(sum);
  Map(n, x, [&](Float value, int64_t, int64_t) { return value * scale; });
}

void SwiGlu(const float* up, int64_t n, float* gate) noexcept {
  Map(n, gate, [=](Float value, int64_t i, int64_t count) {
    const Float factor = count == kWidth ? Load<Float>(up + i) : LoadFirst<Float>(up + i, count);
    return value / (1.0f + Exp(-value)) * factor;
  });
}

// Of term(x[i]), in lanes.
template <typename Term>
float SumOf(const float* x, int64_t n, const Term& term) {
  Float sum[kVectors] = {};
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) sum[i / kWidth % kVectors] += term(Load<Float>(x + i));
  if (i < n) sum[i / kWidth % kVectors] += First(term(LoadFirstFloats(x + i, n - i)), n - i);
  return Reduce(sum);
}

void LayerNorm(const float* x, const float* weight, const float* bias, double eps, int64_t n,
               float* out) noexcept {
  const float sum = SumOf(x, n, [](Float value) { return value; });
  const auto mean = static_cast<float>(static_cast<double>(sum) / static_cast<double>(n));
  const float squares = SumOf(x, n, [=](Float value) {
    const Float centred = value - mean;
    return centred * centred;
  });
  const double variance = static_cast<double>(squares) / static_cast<double>(n);
  const auto scale = static_cast<float>(1.0 / __builtin_sqrt(variance + eps));
  for (int64_t i = 0; i < n; ++i) out[i] = weight[i] * ((x[i] - mean) * scale) + bias[i];
}

void RmsNorm(const float* x, const float* weight, double eps, int64_t n, float* out) noexcept {
  const float squares = DotRow<DenseType::kF32>(reinterpret_cast<const std::byte*>(x), n, x);
  const double mean = static_cast<double>(squares) / static_cast<double>(n);
  const auto scale = static_cast<float>(1.0 / __builtin_sqrt(mean + eps));
  for (int64_t i = 0; i < n; ++i) out[i] = weight[i] * (x[i] * scale);
}

}  // namespace

const FloatKernels LLMQ_FLOAT_KERNELS = {
    .dense_dot = {DenseDot<DenseType::kF32>, DenseDot<DenseType::kF16>, DenseDot<DenseType::kBF16>},
    .to_float = {ToFloat<DenseType::kF32>, ToFloat<DenseType::kF16>, ToFloat<DenseType::kBF16>},
    .to_half = ToHalf,
    .group_dot8 = GroupDot<8>,
    .group_dot6 = GroupDot<6>,
    .group_dot4 = GroupDot<4>,
    .weighted_sum = WeightedSum,
    .weighted_sum_half = WeightedSumHalf,
    .weighted_sum_group8 = WeightedSumGroup8,
    .scale = Scale,
    .add_scaled = AddScaled,
    .softmax = Softmax,
    .swiglu = SwiGlu,
    .rms_norm = RmsNorm,
    .layer_norm = LayerNorm,
};

}  // namespace llmq
