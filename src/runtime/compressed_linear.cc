#include "runtime/compressed_linear.h"

#include <algorithm>

namespace llmq {
namespace {

// Tokens whose prepared inputs are kept at a time: 16 x 4096 inputs are half a megabyte of tables.
constexpr int64_t kBatchTokens = 16;
// Signs in a piece of work: about a microsecond, long beside taking a piece, short beside a layer.
constexpr int64_t kPieceSigns = 1 << 17;
constexpr int64_t kMinPieceRows = 64;  // kernels read a table once for this many
constexpr int64_t kMaxPieceRows = 1024;
constexpr int64_t kManyPieces = 4;  // for a thread: one more or less hardly counts
// Fewer signs than this are added before another thread is awake.
constexpr int64_t kWorthThreads = 1 << 18;

int64_t RankSum(const std::vector<CompressedPath>& paths) {
  int64_t sum = 0;
  for (const CompressedPath& path : paths) sum += path.v.rows;
  return sum;
}

int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Of few pieces every thread gets as many as the others, if not of as many rows as kernels like.
int64_t PieceRows(int64_t rows, int64_t row_signs, int threads) {
  const int64_t liked = std::clamp(kPieceSigns / row_signs / kMinPieceRows * kMinPieceRows,
                                   kMinPieceRows, kMaxPieceRows);
  const int64_t pieces = CeilDivide(rows, liked);
  if (pieces >= kManyPieces * threads) return liked;
  const int64_t even = CeilDivide(pieces, threads) * threads;
  return CeilDivide(CeilDivide(rows, even), kTileRows) * kTileRows;
}

}  // namespace

CompressedLinear::CompressedLinear(const SignProduct& product, const FloatKernels& floats,
                                   ThreadPool& pool)
    : product_(product), floats_(floats), pool_(pool), threads_(static_cast<size_t>(pool.size())) {
  for (ThreadState& thread : threads_) thread.sums.resize(kMaxPieceRows);
}

std::byte* CompressedLinear::Buffer::Reserve(int64_t bytes) {
  if (static_cast<int64_t>(memory.bytes().size()) < bytes)
    memory = LargeMemory(static_cast<uint64_t>(bytes));
  return memory.bytes().data();
}

void CompressedLinear::Stage::Clear() {
  units.clear();
  pieces = prepared_bytes = signs = 0;
}

void CompressedLinear::Run(std::span<const CompressedCall> calls, int64_t tokens) {
  for (int64_t t = 0; t < tokens; t += kBatchTokens)
    RunBatch(calls, t, std::min(kBatchTokens, tokens - t));
}

void CompressedLinear::RunBatch(std::span<const CompressedCall> calls, int64_t first_token,
                                int64_t tokens) {
  first_.Clear();
  second_.Clear();
  int64_t latents = 0;  // per token
  for (const CompressedCall& call : calls) {
    if (!call.latents) latents += RankSum(*call.paths);
  }
  if (static_cast<int64_t>(latent_.size()) < tokens * latents)
    latent_.resize(static_cast<size_t>(tokens * latents));
  float* latent = latent_.data();
  for (const CompressedCall& call : calls) {
    const SignTiles& u = call.paths->front().u;
    const int64_t ranks = RankSum(*call.paths);
    float* to = call.latents ? call.y + first_token * ranks : latent;
    const int64_t stride = call.latents ? ranks : latents;
    Unit output{.num_inputs = 0,
                .out = call.y + first_token * u.rows,
                .out_stride = u.rows,
                .rows = u.rows};
    for (const CompressedPath& path : *call.paths) {
      const int64_t d_in = path.v.cols;
      const Input input{path.v, path.g, call.x + first_token * d_in, d_in, nullptr};
      AddUnit(first_,
              {.inputs = {input},
               .num_inputs = 1,
               .out = to,
               .out_stride = stride,
               .rows = path.v.rows},
              product_, tokens);
      output.inputs[output.num_inputs++] = {path.u, path.l, to, stride, path.h};
      to += path.v.rows;
    }
    if (call.latents) continue;
    AddUnit(second_, output, product_, tokens);
    latent = to;
  }
  RunStage(first_, tokens);
  RunStage(second_, tokens);
}

void CompressedLinear::AddUnit(Stage& stage, Unit unit, const SignProduct& product,
                               int64_t tokens) {
  const int64_t row_signs = unit.num_inputs * unit.inputs[0].signs.cols;
  unit.piece_rows = PieceRows(unit.rows, row_signs * tokens, pool_.size());
  unit.input_bytes = product.prepared_bytes(unit.inputs[0].signs.cols);
  unit.first_piece = stage.pieces;
  unit.prepared = stage.prepared_bytes;
  stage.pieces += CeilDivide(unit.rows, unit.piece_rows);
  stage.prepared_bytes += tokens * unit.num_inputs * unit.input_bytes;
  stage.signs += unit.rows * row_signs;
  stage.units.push_back(unit);
}

// One token: every thread prepares the inputs that it needs for itself; this costs less than
// another meeting of the threads. Several: the inputs are prepared first, together.
void CompressedLinear::RunStage(const Stage& stage, int64_t tokens) {
  const auto num_units = static_cast<int64_t>(stage.units.size());
  const bool alone = stage.signs * tokens < kWorthThreads;
  std::byte* shared = nullptr;
  const auto inputs_at = [&](const Unit& unit, int64_t token) {
    return shared + unit.prepared + token * unit.num_inputs * unit.input_bytes;
  };
  if (tokens > 1) {
    shared = shared_.Reserve(stage.prepared_bytes);
    pool_.ForEach(num_units * tokens, alone ? num_units * tokens : 1,
                  [&](int, int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) {
                      const Unit& unit = stage.units[i / tokens];
                      Prepare(unit, i % tokens, inputs_at(unit, i % tokens));
                    }
                  });
  }
  const auto run_piece = [&](int thread, int64_t piece) {
    int64_t index = num_units - 1;
    while (stage.units[index].first_piece > piece) --index;
    const Unit& unit = stage.units[index];
    ThreadState& state = threads_[thread];
    const int64_t begin = (piece - unit.first_piece) * unit.piece_rows;
    const int64_t end = std::min(unit.rows, begin + unit.piece_rows);
    if (tokens == 1) {
      std::byte* own = state.prepared.Reserve(unit.num_inputs * unit.input_bytes);
      if (state.unit != units_before_ + index) Prepare(unit, 0, own);
      state.unit = units_before_ + index;
      RunPiece(unit, begin, end, own, state.sums.data(), unit.out + begin);
    }
    for (int64_t t = 0; tokens > 1 && t < tokens; ++t)
      RunPiece(unit, begin, end, inputs_at(unit, t), state.sums.data(),
               unit.out + t * unit.out_stride + begin);
  };
  pool_.ForEach(stage.pieces, alone ? stage.pieces : 1,
                [&](int thread, int64_t begin, int64_t end) {
                  for (int64_t piece = begin; piece < end; ++piece) run_piece(thread, piece);
                });
  units_before_ += num_units;
}

void CompressedLinear::Prepare(const Unit& unit, int64_t token, std::byte* prepared) const {
  for (int64_t i = 0; i < unit.num_inputs; ++i) {
    const Input& input = unit.inputs[i];
    product_.prepare(input.scale, input.from + token * input.stride, input.signs.cols,
                     prepared + i * unit.input_bytes);
  }
}

void CompressedLinear::RunPiece(const Unit& unit, int64_t begin, int64_t end,
                                const std::byte* prepared, float* sums, float* out) const {
  for (int64_t i = 0; i < unit.num_inputs; ++i) {
    const Input& input = unit.inputs[i];
    const std::byte* values = prepared + i * unit.input_bytes;
    if (input.h == nullptr) {
      product_.sums(input.signs, values, begin, end, out);
      continue;
    }
    product_.sums(input.signs, values, begin, end, sums);
    const auto write = i == 0 ? floats_.scale : floats_.add_scaled;
    write(input.h + begin, sums, end - begin, out);
  }
}

void CompressedLinear::Expand(int thread, const std::vector<CompressedPath>& paths,
                              const float* latents, int64_t begin, int64_t end, float* out) {
  ThreadState& state = threads_[thread];
  Unit unit{.num_inputs = 0};
  for (const CompressedPath& path : paths) {
    unit.inputs[unit.num_inputs++] = {path.u, path.l, latents, 0, path.h};
    latents += path.v.rows;
  }
  unit.input_bytes = product_.prepared_bytes(unit.inputs[0].signs.cols);
  std::byte* own = state.prepared.Reserve(unit.num_inputs * unit.input_bytes);
  state.unit = -1;  // no unit of a stage
  Prepare(unit, 0, own);
  for (int64_t row = begin; row < end; row += kMaxPieceRows)
    RunPiece(unit, row, std::min(end, row + kMaxPieceRows), own, state.sums.data(),
             out + row - begin);
}

}  // namespace llmq
