#include "runtime/linear.h"

#include <algorithm>

#include "base/half.h"

namespace llmq {
namespace {

// Up to this many tokens go one by one through the kernels of one token; more are worth turning the
// matrix into floats, a tile at a time.
constexpr int64_t kFewTokens = 4;
// Outputs per tile. Tiles have the same borders whatever the number of threads, for a matrix
// product's sums depend on its shape.
constexpr int64_t kTile = 64;

static_assert(kGroupValues<8> == GroupSize(8) && kGroupValues<6> == GroupSize(6) &&
              kGroupValues<4> == GroupSize(4));

void AddBias(const WeightMatrix& w, int64_t tokens, float* y) {
  if (w.bias.empty()) return;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t j = 0; j < w.d_out; ++j) y[t * w.d_out + j] += w.bias[j];
  }
}

// Fewer multiplications than this are done before other threads are awake: one piece.
int64_t Grain(int64_t multiplications, int64_t outputs) {
  return multiplications < 1 << 16 ? outputs : kTile;
}

}  // namespace

LinearRunner::LinearRunner(const KernelTable& kernels, bool exact, ThreadPool& pool)
    : kernels_(kernels),
      exact_(exact),
      pool_(pool),
      compressed_(exact ? *kernels.exact : *kernels.int8, *kernels.floats, pool) {
  tiles_.resize(static_cast<size_t>(pool.size()));
}

void LinearRunner::Run(std::span<const LinearCall> calls, int64_t tokens) {
  compressed_calls_.clear();
  for (const auto& [w, x, y, latents] : calls) {
    if (w->form == WeightForm::kLittleBit) {
      compressed_calls_.push_back({&w->paths, x, y, latents});
    } else if (w->form == WeightForm::kGrouped && !exact_) {
      RunGrouped(*w, x, tokens, y);
    } else if (w->form != WeightForm::kBlocks && tokens <= kFewTokens) {
      RunFew(*w, x, tokens, y);
    } else {
      RunMany(*w, x, tokens, y);
    }
  }
  if (!compressed_calls_.empty()) compressed_.Run(compressed_calls_, tokens);
  for (const auto& [w, x, y, latents] : calls) {
    if (!latents) AddBias(*w, tokens, y);
  }
}

void LinearRunner::Expand(int thread, const WeightMatrix& w, const float* latents, int64_t begin,
                          int64_t end, float* out) {
  compressed_.Expand(thread, w.paths, latents, begin, end, out);
  for (int64_t j = begin; j < end && !w.bias.empty(); ++j) out[j - begin] += w.bias[j];
}

void LinearRunner::Run(const WeightMatrix& w, const float* x, int64_t tokens, float* y) {
  const LinearCall call{&w, x, y};
  Run({&call, 1}, tokens);
}

void LinearRunner::RunEach(const WeightMatrix& w, const float* x, int64_t tokens, float* y) {
  RunFew(w, x, tokens, y);
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
  kernels_.floats->to_float[static_cast<int>(w.dense_type)](
      w.bytes.data() + row * w.d_in * element_bytes, w.d_in, out);
}

void LinearRunner::RunFew(const WeightMatrix& w, const float* x, int64_t tokens, float* y) {
  const FloatKernels& floats = *kernels_.floats;
  const int64_t row_bytes =
      w.form == WeightForm::kGrouped ? GroupQuantRowBytes(w.group_shape()) : 0;
  const auto group_dot = w.group_bits == 8   ? floats.group_dot8
                         : w.group_bits == 6 ? floats.group_dot6
                                             : floats.group_dot4;
  const auto body = [&](int, int64_t begin, int64_t end) {
    for (int64_t t = 0; t < tokens; ++t) {  // the rows of a piece stay in cache for the next token
      const float* in = x + t * w.d_in;
      float* out = y + t * w.d_out;
      if (w.form == WeightForm::kGrouped) {
        group_dot(w.bytes.data(), row_bytes, w.d_in, in, begin, end, out);
      } else {
        floats.dense_dot[static_cast<int>(w.dense_type)](w.bytes.data(), w.d_in, in, begin, end,
                                                         out);
      }
    }
  };
  pool_.ForEach(w.d_out, Grain(tokens * w.d_in * w.d_out, w.d_out), body);
}

// Inputs in 8 bits, which all threads share.
void LinearRunner::RunGrouped(const WeightMatrix& w, const float* x, int64_t tokens, float* y) {
  const int64_t input_bytes = GroupInputBytes(w.group_bits, w.d_in);
  if (static_cast<int64_t>(inputs_.bytes().size()) < tokens * input_bytes)
    inputs_ = LargeMemory(static_cast<uint64_t>(tokens * input_bytes));
  std::byte* inputs = inputs_.bytes().data();
  pool_.ForEach(tokens, kFewTokens, [&](int, int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      PrepareGroupInput(w.group_bits, x + t * w.d_in, w.d_in, inputs + t * input_bytes);
  });
  const GroupRows rows{w.bytes.data(), GroupQuantRowBytes(w.group_shape()), w.d_in};
  const GroupKernels& groups = *kernels_.groups;
  const auto dots = w.group_bits == 8   ? groups.dots8
                    : w.group_bits == 6 ? groups.dots6
                                        : groups.dots4;
  pool_.ForEach(w.d_out, Grain(tokens * w.d_in * w.d_out, w.d_out),
                [&](int, int64_t begin, int64_t end) {
                  for (int64_t t = 0; t < tokens; ++t)  // the rows stay in cache
                    dots(rows, inputs + t * input_bytes, begin, end, y + t * w.d_out);
                });
}

void LinearRunner::RunMany(const WeightMatrix& w, const float* x, int64_t tokens, float* y) {
  const bool in_place = w.form == WeightForm::kDense && w.dense_type == DenseType::kF32 &&
                        reinterpret_cast<uintptr_t>(w.bytes.data()) % alignof(float) == 0;
  for (std::vector<float>& tile : tiles_) {
    const auto size = static_cast<size_t>(in_place ? 0 : kTile * w.d_in);
    if (tile.size() < size) tile.resize(size);
  }
  pool_.ForEach(w.d_out, kTile, [&](int thread, int64_t begin, int64_t end) {
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
                             .y_stride = w.d_out});
  });
}

}  // namespace llmq
