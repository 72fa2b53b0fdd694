#include "runtime/linear.h"

#include <algorithm>

#include "base/half.h"
#include "runtime/parallel.h"

namespace llmq {
namespace {

// Up to this many tokens go one by one through the kernels of one token; more are worth turning the
// matrix into floats, a tile at a time, for the matrix product.
constexpr int64_t kFewTokens = 4;
constexpr int64_t kFewTokensCompressed = 8;
constexpr int64_t kTile = 64;  // outputs per tile; a multiple of 8
// Fewer multiplications than this are done before other threads are awake.
constexpr int64_t kWorthThreads = 1 << 16;

static_assert(kGroupValues<8> == GroupSize(8) && kGroupValues<6> == GroupSize(6) &&
              kGroupValues<4> == GroupSize(4));

SignBits Bits(const SignMatrixView& view) { return {view.bytes.data(), view.rows, view.cols}; }

template <typename T>
void Reserve(std::vector<T>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) buffer.resize(static_cast<size_t>(size));
}

void AddBias(const WeightMatrix& w, int64_t tokens, float* y) {
  if (w.bias.empty()) return;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t j = 0; j < w.d_out; ++j) y[t * w.d_out + j] += w.bias[j];
  }
}

}  // namespace

LinearRunner::LinearRunner(const KernelTable& kernels, ThreadPool& pool)
    : kernels_(kernels), pool_(pool) {
  tiles_.resize(static_cast<size_t>(pool.size()));
}

void LinearRunner::Run(const WeightMatrix& w, const float* x, int64_t tokens, float* y) {
  if (w.form == WeightForm::kBlocks) {
    RunMany(w, x, tokens, y);
  } else if (w.form == WeightForm::kLittleBit) {
    tokens <= kFewTokensCompressed ? RunCompressedFew(w, x, tokens, y)
                                   : RunCompressedMany(w, x, tokens, y);
  } else {
    tokens <= kFewTokens ? RunFew(w, x, tokens, y) : RunMany(w, x, tokens, y);
  }
  AddBias(w, tokens, y);
}

void LinearRunner::Row(const WeightMatrix& w, int64_t row, float* out) const {
  const std::span<float> values(out, static_cast<size_t>(w.d_in));
  if (w.form == WeightForm::kGrouped) {
    DequantizeGroupRow(w.group_shape(), w.bytes, row, values);
    return;
  }
  if (w.form == WeightForm::kBlocks) {
    const auto row_bytes = *GgmlBytes(w.block_type, static_cast<uint64_t>(w.d_in));
    DequantizeRow(w.block_type, w.bytes.subspan(static_cast<uint64_t>(row) * row_bytes, row_bytes),
                  values);
    return;
  }
  const int64_t element_bytes = w.dense_type == DenseType::kF32 ? 4 : 2;
  kernels_.to_float[static_cast<int>(w.dense_type)](w.bytes.data() + row * w.d_in * element_bytes,
                                                    w.d_in, out);
}

void LinearRunner::RunFew(const WeightMatrix& w, const float* x, int64_t tokens, float* y) {
  const int64_t row_bytes =
      w.form == WeightForm::kGrouped ? GroupQuantRowBytes(w.group_shape()) : 0;
  const auto body = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;
         i += kTile) {  // the rows of a tile stay in cache for the next token
      const int64_t stop = std::min(end, i + kTile);
      for (int64_t t = 0; t < tokens; ++t) {
        const float* in = x + t * w.d_in;
        float* out = y + t * w.d_out;
        if (w.form == WeightForm::kDense) {
          kernels_.dense_dot[static_cast<int>(w.dense_type)](w.bytes.data(), w.d_in, in, i, stop,
                                                             out);
        } else {
          const auto dot = w.group_bits == 8   ? kernels_.group_dot8
                           : w.group_bits == 6 ? kernels_.group_dot6
                                               : kernels_.group_dot4;
          dot(w.bytes.data(), row_bytes, w.d_in, in, i, stop, out);
        }
      }
    }
  };
  const bool alone = tokens * w.d_in * w.d_out < kWorthThreads;
  alone ? body(0, w.d_out) : pool_.ParallelFor(w.d_out, 8, body);
}

void LinearRunner::RunMany(const WeightMatrix& w, const float* x, int64_t tokens, float* y) {
  const bool in_place = w.form == WeightForm::kDense && w.dense_type == DenseType::kF32 &&
                        reinterpret_cast<uintptr_t>(w.bytes.data()) % alignof(float) == 0;
  if (!in_place) ReserveTiles(kTile * w.d_in);
  ForEachTile(w.d_out, [&](int thread, int64_t begin, int64_t end) {
    const float* rows = nullptr;  // [end - begin, d_in]
    if (in_place) {
      rows = reinterpret_cast<const float*>(w.bytes.data()) + begin * w.d_in;
    } else {
      float* tile = tiles_[thread].data();
      for (int64_t i = begin; i < end; ++i) Row(w, i, tile + (i - begin) * w.d_in);
      rows = tile;
    }
    kernels_.matrix_product({.x = x,
                             .w = rows,
                             .y = y + begin,
                             .tokens = tokens,
                             .outputs = end - begin,
                             .depth = w.d_in,
                             .x_stride = w.d_in,
                             .y_stride = w.d_out,
                             .w_transposed = false});
  });
}

void LinearRunner::RunCompressedFew(const WeightMatrix& w, const float* x, int64_t tokens,
                                    float* y) {
  const auto num_paths = static_cast<int64_t>(w.paths.size());
  const int64_t rank = w.paths[0].v.rows;
  Reserve(scaled_, tokens * num_paths * w.d_in);
  Reserve(latent_, tokens * num_paths * rank);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t p = 0; p < num_paths; ++p) {
      kernels_.scale(w.paths[p].g.data(), x + t * w.d_in, w.d_in,
                     scaled_.data() + (t * num_paths + p) * w.d_in);
    }
  }
  // [T, paths, d_in] . [paths, d_in, r] -> [T, paths, r]
  const auto latent = [&](int64_t begin, int64_t end) {
    for (int64_t p = 0; p < num_paths; ++p) {
      for (int64_t t = 0; t < tokens; ++t) {
        const int64_t at = t * num_paths + p;
        kernels_.latent(Bits(w.paths[p].v), scaled_.data() + at * w.d_in, w.paths[p].l.data(),
                        begin, end, latent_.data() + at * rank);
      }
    }
  };
  // [T, paths, r] . [paths, r, d_out] -> [T, d_out]
  const auto output = [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < tokens; ++t) {
      std::fill(y + t * w.d_out + begin, y + t * w.d_out + end, 0.0f);
      for (int64_t p = 0; p < num_paths; ++p) {
        kernels_.output(Bits(w.paths[p].u), latent_.data() + (t * num_paths + p) * rank,
                        w.paths[p].h.data(), begin, end, y + t * w.d_out);
      }
    }
  };
  const bool alone = tokens * num_paths * rank * (w.d_in + w.d_out) < kWorthThreads;
  alone ? latent(0, rank) : pool_.ParallelFor(rank, 8, latent);
  alone ? output(0, w.d_out) : pool_.ParallelFor(w.d_out, 128, output);
}

void LinearRunner::RunCompressedMany(const WeightMatrix& w, const float* x, int64_t tokens,
                                     float* y) {
  for (const LittleBitPathView& path : w.paths) {
    LatentMany(path, x, tokens);
    OutputMany(path, tokens, &path == &w.paths.front(), y);
  }
}

// latent_[t, k] = l[k] * sum_j s(k, j) g[j] x[t, j]
void LinearRunner::LatentMany(const LittleBitPathView& path, const float* x, int64_t tokens) {
  const int64_t rank = path.v.rows;
  const int64_t d_in = path.v.cols;
  Reserve(scaled_, tokens * d_in);
  Reserve(latent_, tokens * rank);
  ReserveTiles(kTile * d_in);
  pool_.ParallelFor(tokens, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      kernels_.scale(path.g.data(), x + t * d_in, d_in, scaled_.data() + t * d_in);
    }
  });
  ForEachTile(rank, [&](int thread, int64_t begin, int64_t end) {
    kernels_.expand_signs(Bits(path.v), begin, end, 0, d_in, tiles_[thread].data());
    kernels_.matrix_product({.x = scaled_.data(),
                             .w = tiles_[thread].data(),
                             .y = latent_.data() + begin,
                             .tokens = tokens,
                             .outputs = end - begin,
                             .depth = d_in,
                             .x_stride = d_in,
                             .y_stride = rank,
                             .w_transposed = false});
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t k = begin; k < end; ++k) latent_[t * rank + k] *= HalfToFloat(path.l[k]);
    }
  });
}

// y[t, j] (+)= h[j] * sum_k s(k, j) latent_[t, k]
void LinearRunner::OutputMany(const LittleBitPathView& path, int64_t tokens, bool first, float* y) {
  const int64_t rank = path.u.rows;
  const int64_t d_out = path.u.cols;
  ReserveTiles(kTile * (rank + tokens));
  ForEachTile(d_out, [&](int thread, int64_t begin, int64_t end) {
    const int64_t width = end - begin;
    float* signs = tiles_[thread].data();  // [r, width]
    float* sums = signs + rank * width;    // [T, width]
    kernels_.expand_signs(Bits(path.u), 0, rank, begin, end, signs);
    kernels_.matrix_product({.x = latent_.data(),
                             .w = signs,
                             .y = sums,
                             .tokens = tokens,
                             .outputs = width,
                             .depth = rank,
                             .x_stride = rank,
                             .y_stride = width,
                             .w_transposed = true});
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t j = begin; j < end; ++j) {
        const float value = HalfToFloat(path.h[j]) * sums[t * width + j - begin];
        y[t * d_out + j] = first ? value : y[t * d_out + j] + value;
      }
    }
  });
}

// Tiles have the same borders whatever the number of threads, for a matrix product's sums depend on
// its shape.
void LinearRunner::ForEachTile(int64_t count,
                               const std::function<void(int, int64_t, int64_t)>& body) {
  ForEachShare(pool_, (count + kTile - 1) / kTile, [&](int thread, int64_t first, int64_t last) {
    for (int64_t tile = first; tile < last; ++tile) {
      body(thread, tile * kTile, std::min(count, (tile + 1) * kTile));
    }
  });
}

void LinearRunner::ReserveTiles(int64_t size) {
  for (std::vector<float>& tile : tiles_) Reserve(tile, size);
}

}  // namespace llmq
