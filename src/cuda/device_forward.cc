#include "cuda/device_forward.h"

#include <algorithm>

namespace llmq::cuda {
namespace {

constexpr int kProductsOfBlock = 4;

int Int(int64_t value) { return static_cast<int>(value); }

}  // namespace

DeviceForward::DeviceForward(Gpu& gpu, const DeviceWeights& weights, const ForwardOptions& options)
    : gpu_(gpu),
      weights_(weights),
      config_(weights.config),
      options_(options),
      meeting_(gpu, sizeof(GridMeeting)),
      step_(gpu, sizeof(StepState)),
      cos_(gpu, options.cos),
      sin_(gpu, options.sin) {
  gpu.Zero(meeting_.as<void>(), sizeof(GridMeeting));
  most_tokens_ = Int(std::clamp<int64_t>(options.capacity, kMaxTokens, kPromptTokens));
  const int64_t row_bytes = config_.head_dim * (options.half_cache ? 2 : 4);
  const int64_t bytes = config_.num_layers * config_.num_kv_heads * options.capacity * row_bytes;
  keys_ = DeviceMemory(gpu, bytes);
  values_ = DeviceMemory(gpu, bytes);
  const int64_t q_size = config_.num_heads * config_.head_dim;
  const int64_t kv_size = config_.num_kv_heads * config_.head_dim;
  hidden_ = Floats(config_.hidden_size);
  q_ = Floats(q_size);
  k_ = Floats(kv_size);
  v_ = Floats(kv_size);
  attended_ = Floats(q_size);
  gate_ = Floats(config_.intermediate_size);
  up_ = Floats(config_.intermediate_size);
  prepared_ = Floats(std::max({config_.hidden_size, config_.intermediate_size, q_size}));
  logits_ = memory_.emplace_back(gpu, 4 * kMaxTokens * config_.vocab_size).as<float>();
  part_positions_ = PartPositions(options.capacity);
  num_parts_ = CeilDivide(Int(options.capacity), part_positions_);
  parts_ = DeviceMemory(
      gpu, 4 * kMaxTokens * config_.num_heads * num_parts_ * (config_.head_dim + kPartExtra));
  const int64_t arrived_bytes = sizeof(unsigned) * kMaxTokens * config_.num_heads;
  arrived_ = DeviceMemory(gpu, arrived_bytes);
  gpu.Zero(arrived_.as<void>(), arrived_bytes);
  MakeProducts();
  PlanPrefetches();
}

float* DeviceForward::Floats(int64_t n) {
  return memory_.emplace_back(gpu_, 4 * most_tokens_ * n).as<float>();
}

char* DeviceForward::Cache(const DeviceMemory& memory, int layer) const {
  const int64_t row_bytes = config_.head_dim * (options_.half_cache ? 2 : 4);
  return memory.as<char>() + layer * config_.num_kv_heads * options_.capacity * row_bytes;
}

void DeviceForward::MakeProducts() {
  const double eps = config_.norm_eps;
  for (const DeviceBlock& block : weights_.blocks) {
    const InputParams to_attention = {
        .form = InputForm::kNormed, .x = hidden_, .norm = block.input_norm.data(), .eps = eps};
    const InputParams to_mlp = {
        .form = InputForm::kNormed, .x = hidden_, .norm = block.mlp_norm.data(), .eps = eps};
    const InputParams attended = {.form = InputForm::kPlain, .x = attended_};
    const InputParams gated = {.form = InputForm::kGated, .x = gate_, .up = up_};
    const Output qkv[] = {{&block.q, q_}, {&block.k, k_}, {&block.v, v_}};
    const Output o[] = {{&block.o, hidden_}};
    const Output gate_up[] = {{&block.gate, gate_}, {&block.up, up_}};
    const Output down[] = {{&block.down, hidden_}};
    products_.push_back(MakeProduct(qkv, to_attention, false));
    products_.push_back(MakeProduct(o, attended, true));
    products_.push_back(MakeProduct(gate_up, to_mlp, false));
    products_.push_back(MakeProduct(down, gated, true));
  }
  int64_t floats = 0;
  for (const Product& product : products_)
    floats = std::max(floats, PartialFloats(product.compressed, kMaxTokens));
  if (floats > 0) partials_ = DeviceMemory(gpu_, 4 * floats);
  std::vector<CompressedParams> calls;
  for (Product& product : products_) {
    product.compressed.partials = partials_.as<float>();
    calls.push_back(product.compressed);
  }
  if (most_tokens_ > kMaxTokens) prompt_products_ = PromptProducts(gpu_, calls, most_tokens_);
}

DeviceForward::Product DeviceForward::MakeProduct(std::span<const Output> outputs,
                                                  const InputParams& input, bool accumulate) {
  Product product;
  product.input = input;
  product.accumulate = accumulate;
  std::vector<const DeviceMatrix*> matrices;
  std::vector<Output> compressed;
  for (const Output& output : outputs) {
    const DeviceLinear& linear = *output.linear;
    product.cols = linear.compressed() ? linear.matrix.d_in() : linear.rows.cols();
    if (!linear.compressed()) {
      product.rows.push_back(output);
      continue;
    }
    matrices.push_back(&linear.matrix);
    compressed.push_back(output);
  }
  if (matrices.empty()) return product;
  product.compressed = CallOf(matrices);
  for (size_t m = 0; m < compressed.size(); ++m) {
    MatrixParams& matrix = product.compressed.matrices[m];
    matrix.bias = compressed[m].linear->bias.data();
    matrix.y = compressed[m].y;
    matrix.accumulate = accumulate;
  }
  product.compressed.input = input;
  product.compressed.meeting = meeting_.as<GridMeeting>();
  return product;
}

// While a launch works on its first stage, its own second stage's signs and the next launch's first
// stage's come into the second-level cache.
void DeviceForward::PlanPrefetches() {
  for (size_t i = 0; i < products_.size(); ++i) {
    CompressedParams& params = products_[i].compressed;
    if (params.num_matrices == 0) continue;
    AddPrefetch(gpu_, SecondStageSpans(params), params);
    if (i + 1 < products_.size())
      AddPrefetch(gpu_, FirstStageSpans(products_[i + 1].compressed), params);
  }
}

void DeviceForward::Forward(std::span<const int32_t> tokens, int64_t position) {
  tokens_ = Int(static_cast<int64_t>(tokens.size()));
  state_.position = static_cast<int32_t>(position);
  std::copy(tokens.begin(), tokens.end(), state_.tokens);
  gpu_.Upload(step_.as<void>(), &state_, sizeof(state_));
  if (tokens_ == 1 && one_token_) return one_token_->Replay();
  // The first time loads the kernels, which a recording may not.
  RunPass(tokens_);
  if (tokens_ == 1) one_token_ = gpu_.Record([&] { RunPass(1); });
}

void DeviceForward::RunPass(int tokens) {
  gpu_.Run(EmbedParams{.step = step_.as<StepState>(),
                       .table = weights_.embedding.data(),
                       .type = weights_.embedding.type(),
                       .row_bytes = weights_.embedding.row_bytes(),
                       .cols = weights_.embedding.cols(),
                       .out = hidden_,
                       .tokens = tokens});
  for (int layer = 0; layer < Int(config_.num_layers); ++layer) RunBlock(layer, tokens);
}

void DeviceForward::RunBlock(int layer, int tokens) {
  const DeviceBlock& block = weights_.blocks[static_cast<size_t>(layer)];
  const Product* products = &products_[static_cast<size_t>(layer) * kProductsOfBlock];
  Run(products[0], tokens);
  gpu_.Run(RopeStoreParams{.step = step_.as<StepState>(),
                           .q = q_,
                           .k = k_,
                           .v = v_,
                           .q_norm = block.query_norm.data(),
                           .k_norm = block.key_norm.data(),
                           .cos = cos_.data(),
                           .sin = sin_.data(),
                           .keys = Cache(keys_, layer),
                           .values = Cache(values_, layer),
                           .eps = config_.norm_eps,
                           .heads = Int(config_.num_heads),
                           .kv_heads = Int(config_.num_kv_heads),
                           .head_dim = Int(config_.head_dim),
                           .turned = Int(config_.rope.dim),
                           .capacity = options_.capacity,
                           .interleaved = config_.rope.interleaved,
                           .half = options_.half_cache,
                           .tokens = tokens});
  const bool many = tokens > kMaxTokens;  // heads of many tokens fill the device without parts
  gpu_.Run(AttentionParams{.step = step_.as<StepState>(),
                           .q = q_,
                           .keys = Cache(keys_, layer),
                           .values = Cache(values_, layer),
                           .out = attended_,
                           .scale = static_cast<float>(config_.AttentionScale()),
                           .heads = Int(config_.num_heads),
                           .kv_heads = Int(config_.num_kv_heads),
                           .head_dim = Int(config_.head_dim),
                           .capacity = options_.capacity,
                           .window = Int(config_.WindowOf(layer)),
                           .half = options_.half_cache,
                           .tokens = tokens,
                           .part_positions = many ? Int(options_.capacity) : part_positions_,
                           .num_parts = many ? 1 : num_parts_,
                           .parts = parts_.as<float>(),
                           .arrived = arrived_.as<unsigned>()});
  Run(products[1], tokens);
  Run(products[2], tokens);
  Run(products[3], tokens);
}

void DeviceForward::Run(const Product& product, int tokens) {
  if (!product.rows.empty()) {
    const float* x = product.input.x;
    if (product.input.form != InputForm::kPlain) {
      gpu_.Run(PrepareParams{
          .input = product.input, .out = prepared_, .cols = product.cols, .tokens = tokens});
      x = prepared_;
    }
    for (const auto& [linear, y] : product.rows)
      RunRows(linear->rows, linear->bias.data(), x, y, tokens, product.accumulate);
  }
  if (product.compressed.num_matrices == 0) return;
  CompressedParams params = product.compressed;
  params.tokens = tokens;
  if (tokens > kMaxTokens) return prompt_products_.Run(params);
  if (gpu_.meets()) return gpu_.Run(params);
  for (const Stages stages : {Stages::kFirst, Stages::kSecond}) {
    params.stages = stages;
    gpu_.Run(params);
  }
}

void DeviceForward::RunRows(const DeviceRows& rows, const float* bias, const float* x, float* y,
                            int tokens, bool accumulate) {
  gpu_.Run(RowProductParams{.w = rows.data(),
                            .type = rows.type(),
                            .row_bytes = rows.row_bytes(),
                            .rows = rows.rows(),
                            .cols = rows.cols(),
                            .x = x,
                            .bias = bias,
                            .y = y,
                            .tokens = tokens,
                            .accumulate = accumulate});
}

void DeviceForward::Logits(int64_t count, float* logits) {
  const int64_t hidden = config_.hidden_size;
  for (int64_t begin = tokens_ - count; begin < tokens_; begin += kMaxTokens) {
    const int rows = Int(std::min<int64_t>(kMaxTokens, tokens_ - begin));
    gpu_.Run(PrepareParams{.input = {.form = InputForm::kNormed,
                                     .x = hidden_ + begin * hidden,
                                     .norm = weights_.final_norm.data(),
                                     .eps = config_.norm_eps},
                           .out = prepared_,
                           .cols = Int(hidden),
                           .tokens = rows});
    RunRows(weights_.head(), nullptr, prepared_, logits_, rows, false);
    gpu_.Download(logits, logits_, 4 * rows * config_.vocab_size);
    logits += rows * config_.vocab_size;
  }
}

}  // namespace llmq::cuda
