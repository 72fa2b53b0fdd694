// A model of a given shape with random weights, laid out in memory as a loaded file's are.
//
// Before: cli/bench_command with a known shape. After: runtime/speed. Scales are such that
// activations keep their size, for numbers that are not finite or denormal have another speed.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "llmq/bit_budget.h"
#include "llmq/speed.h"
#include "runtime/runtime_model.h"

namespace llmq {
namespace {

// fp16 matrices take turns in this much memory: more than caches hold, less than machines have.
constexpr uint64_t kMostHalfBytes = uint64_t{4} << 30;

uint64_t Rounded(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

void FillRandom(void* to, uint64_t bytes, uint64_t seed) {
  auto* out = static_cast<std::byte*>(to);
  for (uint64_t i = 0; i + 8 <= bytes; i += 8) {
    const uint64_t word = NextRandom(seed);
    std::memcpy(out + i, &word, 8);
  }
}

// Between 3/4 and 5/4 of `size`.
void FillHalves(const uint16_t* from, int64_t n, double size, uint64_t seed) {
  auto* to = const_cast<uint16_t*>(from);
  for (int64_t i = 0; i < n; ++i) {
    const double uniform = static_cast<double>(NextRandom(seed) >> 11) * 0x1p-53;
    to[i] = FloatToHalf(static_cast<float>(size * (0.75 + uniform / 2)));
  }
}

void FillPath(const CompressedPath& path, double latent_scale, uint64_t seed) {
  for (const SignTiles& tiles : {path.v, path.u}) {
    const auto words = static_cast<uint64_t>(SignTileWords(tiles.rows, tiles.cols));
    FillRandom(const_cast<uint32_t*>(tiles.words), 4 * words, seed++);
  }
  FillHalves(path.g, path.v.cols, 1, seed++);
  FillHalves(path.h, path.u.rows, 1, seed++);
  FillHalves(path.l, path.v.rows, latent_scale, seed++);
}

// Makes matrices one after the other and keeps their memory.
class Weights {
 public:
  WeightMatrix Grouped(int64_t d_out, int64_t d_in, int bits) {
    WeightMatrix matrix{.form = WeightForm::kGrouped, .d_out = d_out, .d_in = d_in};
    matrix.group_bits = bits;
    const auto row_bytes = static_cast<uint64_t>(GroupQuantRowBytes(matrix.group_shape()));
    const auto code_bytes = static_cast<uint64_t>(GroupQuantCodeBytes(matrix.group_shape()));
    const auto bytes = memory.emplace_back(row_bytes * static_cast<uint64_t>(d_out)).bytes();
    FillRandom(bytes.data(), bytes.size(), 3);
    const double largest = bits == 8 ? 127 : 1 << (bits - 1);
    const double size = 1 / (largest * std::sqrt(static_cast<double>(d_in)));
    for (uint64_t row = 0; row < static_cast<uint64_t>(d_out); ++row) {
      auto* scales = reinterpret_cast<uint16_t*>(bytes.data() + row * row_bytes + code_bytes);
      FillHalves(scales, static_cast<int64_t>(row_bytes - code_bytes) / 2, size, row);
    }
    matrix.bytes = bytes;
    size_bytes += bytes.size();
    return matrix;
  }

  // The next part of the memory of halves, which starts again when it is used up.
  WeightMatrix Half(int64_t d_out, int64_t d_in) {
    WeightMatrix matrix{.form = WeightForm::kDense, .d_out = d_out, .d_in = d_in};
    matrix.dense_type = DenseType::kF16;
    const uint64_t bytes = 2 * static_cast<uint64_t>(d_out * d_in);
    const std::span<std::byte> all = memory.front().bytes();
    if (half_at_ + bytes > all.size()) half_at_ = 0;
    matrix.bytes = all.subspan(half_at_, bytes);
    half_at_ += Rounded(bytes);
    size_bytes += bytes;
    return matrix;
  }

  // In memory of its own.
  WeightMatrix OwnHalf(int64_t rows, int64_t cols) {
    WeightMatrix matrix{.form = WeightForm::kDense, .d_out = rows, .d_in = cols};
    matrix.dense_type = DenseType::kF16;
    const auto bytes = memory.emplace_back(2 * static_cast<uint64_t>(rows * cols)).bytes();
    FillHalves(reinterpret_cast<uint16_t*>(bytes.data()), rows * cols, 0x1p-6, 5);
    matrix.bytes = bytes;
    size_bytes += bytes.size();
    return matrix;
  }

  WeightMatrix Compressed(const LittleBitShape& shape, LargeMemory& from) {
    WeightMatrix matrix{.form = WeightForm::kLittleBit, .d_out = shape.d_out, .d_in = shape.d_in};
    matrix.paths = Layout(shape, from);
    size_bytes += static_cast<uint64_t>(LittleBitPayloadBytes(shape));
    return matrix;
  }

  std::vector<LargeMemory> memory;  // first: of halves, or of compressed matrices
  uint64_t size_bytes = 0;

 private:
  uint64_t half_at_ = 0;
};

// [rows, hidden] f32, in memory of its own.
WeightMatrix RandomRouter(int64_t rows, int64_t hidden, uint64_t seed) {
  WeightMatrix matrix{.form = WeightForm::kDense, .d_out = rows, .d_in = hidden};
  matrix.converted.resize(static_cast<size_t>(rows * hidden));
  const double size = 2 / std::sqrt(static_cast<double>(hidden));
  for (float& value : matrix.converted) {
    const double uniform = static_cast<double>(NextRandom(seed) >> 11) * 0x1p-53;
    value = static_cast<float>(size * (2 * uniform - 1));
  }
  matrix.bytes = std::as_bytes(std::span(matrix.converted));
  return matrix;
}

// Everything but the matrices that differ with the form of the weights.
std::vector<LayerWeights> SmallParts(const ModelConfig& config) {
  std::vector<LayerWeights> layers = EmptyLayers(config);
  for (const NormSpec& spec : BlockNorms(config)) {
    layers[static_cast<size_t>(spec.layer)].norms[static_cast<int>(spec.norm)] = UnitNorm(spec);
  }
  for (const RouterSpec& spec : BlockRouters(config)) {
    layers[static_cast<size_t>(spec.layer)].routers[static_cast<int>(spec.router)] =
        RandomRouter(spec.rows, config.hidden_size, static_cast<uint64_t>(spec.layer));
  }
  return layers;
}

WeightMatrix& Slot(std::vector<LayerWeights>& layers, const LinearSpec& linear) {
  return layers[linear.layer][linear];
}

int64_t CountParameters(const ModelConfig& config) {
  int64_t count = 0;
  for (const ExpectedTensor& tensor : ExpectedTensors(config)) {
    int64_t elements = 1;
    for (const int64_t size : tensor.shape) elements *= size;
    count += elements;
  }
  return count;
}

ModelWeights HalfWeights(const ModelConfig& config, int threads) {
  Weights made;
  const auto all = static_cast<uint64_t>(2 * CountParameters(config));
  LargeMemory& memory = made.memory.emplace_back(std::min(all, kMostHalfBytes));
  // Both signs, and magnitudes of 2^-6 to 2^-5: about what a row of thousands needs.
  constexpr int64_t kPiece = 1 << 20;
  ThreadPool pool(threads);
  pool.ForEach(static_cast<int64_t>(memory.bytes().size()) / 2, kPiece,
               [&](int, int64_t begin, int64_t end) {
                 auto* halves = reinterpret_cast<uint16_t*>(memory.bytes().data());
                 uint64_t state = static_cast<uint64_t>(begin);
                 for (int64_t i = begin; i < end; ++i)
                   halves[i] = static_cast<uint16_t>(0x2400u | (NextRandom(state) & 0x83ffu));
               });
  std::vector<LayerWeights> layers = SmallParts(config);
  for (const LinearSpec& linear : BlockLinears(config))
    Slot(layers, linear) = made.Half(linear.d_out, linear.d_in);
  TableWeights tables{.embedding = made.Half(config.vocab_size, config.hidden_size)};
  if (!config.tie_word_embeddings) tables.head = made.Half(config.vocab_size, config.hidden_size);
  if (config.learned_positions) {
    tables.positions = made.Half(config.PositionRows(), config.hidden_size);
  }
  const ModelSize size{CountParameters(config), made.size_bytes, 0};
  return {config, std::move(layers), std::move(tables), std::move(made.memory), size};
}

ModelWeights CompressedWeights(const ModelConfig& config, const RandomModelOptions& random,
                               int threads) {
  const RankPlan plan = PlanRanks(config, {.target_bpw = random.bpw});
  uint64_t bytes = 0;
  for (const PlannedLayer& layer : plan.layers) bytes += CompressedBytes(layer.shape);
  Weights made;
  made.memory.reserve(4);
  LargeMemory& memory = made.memory.emplace_back(bytes);
  std::vector<LayerWeights> layers = SmallParts(config);
  for (const PlannedLayer& layer : plan.layers)
    Slot(layers, layer.linear) = made.Compressed(layer.shape, memory);
  ThreadPool pool(threads);
  pool.ForEach(static_cast<int64_t>(plan.layers.size()), 1, [&](int, int64_t i, int64_t) {
    const LittleBitShape& shape = plan.layers[i].shape;
    const double paths = static_cast<double>(shape.rank * shape.d_in * shape.paths);
    for (const CompressedPath& path : Slot(layers, plan.layers[i].linear).paths)
      FillPath(path, 1 / std::sqrt(paths), static_cast<uint64_t>(i) << 8);
  });
  const auto table = [&] {
    return made.Grouped(config.vocab_size, config.hidden_size, random.table_bits);
  };
  TableWeights tables{.embedding = table()};
  if (!config.tie_word_embeddings) tables.head = table();
  if (config.learned_positions) {
    tables.positions = made.OwnHalf(config.PositionRows(), config.hidden_size);
  }
  const ModelSize size{CountParameters(config), made.size_bytes, plan.body_bpw};
  return {config, std::move(layers), std::move(tables), std::move(made.memory), size};
}

}  // namespace

std::unique_ptr<Model> MakeRandomModel(const ModelConfig& config, const RandomModelOptions& random,
                                       const RuntimeOptions& options) {
  const int threads = ResolveThreadCount(options.threads);
  return std::make_unique<RuntimeModel>(
      random.bpw > 0 ? CompressedWeights(config, random, threads) : HalfWeights(config, threads),
      options);
}

}  // namespace llmq
