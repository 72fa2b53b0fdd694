#include "runtime/weights.h"

#include <fmt/format.h>

#include <utility>

#include "base/thread_pool.h"
#include "llmq/error.h"

namespace llmq {
namespace {

std::string ShapeText(const std::vector<int64_t>& shape) {
  TensorView view;
  view.shape = shape;
  return view.ShapeText();
}

// nullopt: the kernels do not read it as it lies.
std::optional<DenseType> DenseTypeOf(const TensorView& tensor) {
  if (tensor.column_stride != 0) return std::nullopt;
  switch (tensor.dtype) {
    case DType::kF32: return DenseType::kF32;
    case DType::kF16: return DenseType::kF16;
    case DType::kBF16: return DenseType::kBF16;
    default: return std::nullopt;
  }
}

WeightMatrix DenseMatrix(const TensorView& tensor) {
  WeightMatrix matrix;
  if (const auto type = DenseTypeOf(tensor)) {
    matrix.bytes = tensor.data;
    matrix.dense_type = *type;
  } else {
    matrix.converted = ToFloat(tensor);
    matrix.bytes = std::as_bytes(std::span(matrix.converted));
  }
  return matrix;
}

// The element type of a GGUF tensor that has no blocks.
std::optional<DType> PlainType(GgmlType type) {
  switch (type) {
    case GgmlType::kF32: return DType::kF32;
    case GgmlType::kF16: return DType::kF16;
    case GgmlType::kBF16: return DType::kBF16;
    default: return std::nullopt;
  }
}

}  // namespace

WeightMatrix& LayerWeights::operator[](const LinearSpec& linear) {
  MlpWeights& mlp = mlps[static_cast<size_t>(linear.mlp)];
  switch (linear.projection) {
    case Projection::kQ: return q;
    case Projection::kK: return k;
    case Projection::kV: return v;
    case Projection::kO: return o;
    case Projection::kGate: return mlp.gate;
    case Projection::kUp: return mlp.up;
    default: return mlp.down;
  }
}

std::vector<LayerWeights> EmptyLayers(const ModelConfig& config) {
  std::vector<LayerWeights> layers(static_cast<size_t>(config.num_layers));
  for (int64_t n = 0; n < config.num_layers; ++n) {
    layers[static_cast<size_t>(n)].mlps.resize(static_cast<size_t>(config.NumMlps(n)));
  }
  return layers;
}

ModelWeights::ModelWeights(const std::filesystem::path& path, int threads) : path_(path) {
  if (!std::filesystem::is_regular_file(path)) {
    config_ = checkpoint_.emplace(path).config();
  } else if (LooksLikeGguf(path) && !HoldsLittleBit(path)) {
    config_ = gguf_.emplace(path).config();
  } else {
    config_ = littlebit_.emplace(path).config();
  }

  const int64_t width = config_.EmbeddingWidth();
  tables_.embedding = Matrix(kEmbeddingName, config_.vocab_size, width);
  if (tables_.embedding.form == WeightForm::kLittleBit) {
    Fail(kEmbeddingName, "a dense or grouped tensor", "a compressed layer");
  }
  if (!config_.tie_word_embeddings) tables_.head = Matrix(kHeadName, config_.vocab_size, width);
  if (config_.HasProjectedEmbedding()) {
    tables_.project_in = Matrix(kProjectInName, config_.hidden_size, width);
    tables_.project_out = Matrix(kProjectOutName, width, config_.hidden_size);
  }
  if (config_.learned_positions) {
    tables_.positions = Matrix(kPositionsName, config_.PositionRows(), config_.hidden_size);
  }
  if (config_.has_final_norm) final_norm_ = Norm(FinalNorm(config_));
  layers_ = EmptyLayers(config_);
  for (const NormSpec& spec : BlockNorms(config_)) {
    layers_[spec.layer].norms[static_cast<int>(spec.norm)] = Norm(spec);
  }
  for (const LinearSpec& spec : BlockLinears(config_)) {
    WeightMatrix matrix = Matrix(spec.name + ".weight", spec.d_out, spec.d_in);
    if (spec.has_bias) matrix.bias = Vector(spec.name + ".bias", spec.d_out);
    layers_[spec.layer][spec] = std::move(matrix);
  }
  for (const RouterSpec& spec : BlockRouters(config_)) {
    layers_[spec.layer].routers[static_cast<int>(spec.router)] =
        Matrix(spec.name, spec.rows, config_.hidden_size);
  }
  if (littlebit_) LayOutCompressed(threads);
}

NormWeights UnitNorm(const NormSpec& spec) {
  NormWeights norm{std::vector<float>(static_cast<size_t>(spec.size), 1.0f), {}};
  if (!spec.bias.empty()) norm.bias.resize(norm.weight.size());
  return norm;
}

ModelWeights::ModelWeights(ModelConfig config, std::vector<LayerWeights> layers,
                           TableWeights tables, std::vector<LargeMemory> memory,
                           const ModelSize& size)
    : config_(std::move(config)),
      layers_(std::move(layers)),
      tables_(std::move(tables)),
      final_norm_(UnitNorm(FinalNorm(config_))),
      memory_(std::move(memory)),
      random_size_(size) {}

// Every matrix on its own, so that no more than one per thread is in memory twice.
void ModelWeights::LayOutCompressed(int threads) {
  struct Job {
    const LittleBitSection* section;
    WeightMatrix* matrix;
  };
  std::vector<Job> jobs;
  uint64_t bytes = 0;
  const auto add = [&](const std::string& name, WeightMatrix& matrix) {
    if (matrix.form != WeightForm::kLittleBit) return;
    jobs.push_back({littlebit_->Find(name), &matrix});
    bytes += CompressedBytes(jobs.back().section->littlebit_shape());
  };
  for (const LinearSpec& spec : BlockLinears(config_)) {
    add(spec.name + ".weight", layers_[spec.layer][spec]);
  }
  add(kHeadName, tables_.head);
  LargeMemory& memory = memory_.emplace_back(bytes);
  for (const Job& job : jobs) job.matrix->paths = Layout(job.section->littlebit_shape(), memory);
  ThreadPool pool(threads);
  pool.ForEach(static_cast<int64_t>(jobs.size()), 1, [&](int, int64_t index, int64_t) {
    const auto& [section, matrix] = jobs[index];
    const auto views = ViewLittleBitPaths(section->littlebit_shape(), section->data);
    for (size_t p = 0; p < views.size(); ++p) Fill(views[p], matrix->paths[p]);
    littlebit_->Release(*section);
  });
}

ModelFiles ModelWeights::files() const {
  if (checkpoint_) return checkpoint_->files();
  if (littlebit_) return littlebit_->files();
  return gguf_ ? gguf_->files() : ModelFiles();
}

ModelSize ModelWeights::size() const {
  if (checkpoint_) {
    ModelSize size{.parameters = checkpoint_->parameter_count()};
    for (const TensorView& tensor : checkpoint_->tensors()) {
      size.bytes += static_cast<uint64_t>(tensor.num_elements()) * DTypeBytes(tensor.dtype);
    }
    return size;
  }
  if (littlebit_) {
    return {littlebit_->metadata().original_parameters, littlebit_->file_bytes(),
            littlebit_->body_bpw()};
  }
  if (!gguf_) return random_size_;
  ModelSize size;
  for (const GgufTensor& tensor : gguf_->file().tensors()) {
    int64_t elements = 1;
    for (const int64_t dimension : tensor.shape) elements *= dimension;
    size.parameters += elements;
  }
  size.bytes = gguf_->file().file_bytes();
  return size;
}

// Tensors whose elements stand one by one, whatever file they are in.
std::optional<TensorView> ModelWeights::FindDense(const std::string& name) const {
  if (checkpoint_) {
    const TensorView* tensor = checkpoint_->Find(name);
    return tensor == nullptr ? std::nullopt : std::optional(*tensor);
  }
  if (gguf_) {
    const GgufTensor* tensor = gguf_->Find(name);
    const auto dtype = tensor == nullptr ? std::nullopt : PlainType(tensor->type);
    if (!dtype) return std::nullopt;
    return TensorView{name, *dtype, tensor->shape, tensor->data};
  }
  const LittleBitSection* section = littlebit_->Find(name);
  if (section == nullptr || section->kind != StorageKind::kDense) return std::nullopt;
  return TensorView{name, section->dtype, section->shape, section->data};
}

WeightMatrix ModelWeights::SectionMatrix(const LittleBitSection& section) const {
  WeightMatrix matrix;
  matrix.bytes = section.data;
  if (section.kind == StorageKind::kLittleBit) {
    matrix.form = WeightForm::kLittleBit;
  } else if (section.kind == StorageKind::kGroupQuant) {
    matrix.form = WeightForm::kGrouped;
    matrix.group_bits = section.bits;
  } else {
    Fail(section.name, "a tensor", "a file");
  }
  return matrix;
}

WeightMatrix ModelWeights::Matrix(const std::string& name, int64_t d_out, int64_t d_in) const {
  const std::vector<int64_t> shape = {d_out, d_in};
  WeightMatrix matrix;
  std::vector<int64_t> found_shape;
  if (const auto tensor = FindDense(name)) {
    if (!HasFloatValues(*tensor)) Fail(name, "a floating-point tensor", DTypeName(tensor->dtype));
    found_shape = tensor->shape;
    if (found_shape == shape) matrix = DenseMatrix(*tensor);
  } else if (const GgufTensor* blocks = gguf_ ? gguf_->Find(name) : nullptr) {
    found_shape = blocks->shape;
    matrix.form = WeightForm::kBlocks;
    matrix.bytes = blocks->data;
    matrix.block_type = blocks->type;
  } else {
    const LittleBitSection* section = littlebit_ ? littlebit_->Find(name) : nullptr;
    if (section == nullptr) Fail(name, "a tensor of this name", "none");
    found_shape = section->shape;
    matrix = SectionMatrix(*section);
  }
  if (found_shape != shape) Fail(name, "shape " + ShapeText(shape), ShapeText(found_shape));
  matrix.d_out = d_out;
  matrix.d_in = d_in;
  return matrix;
}

std::vector<float> ModelWeights::Vector(const std::string& name, int64_t size) const {
  const auto tensor = FindDense(name);
  if (!tensor) Fail(name, "a dense tensor of this name", "none");
  if (!IsFloat(tensor->dtype)) Fail(name, "a floating-point tensor", DTypeName(tensor->dtype));
  const std::vector<int64_t> shape = {size};
  if (tensor->shape != shape) Fail(name, "shape " + ShapeText(shape), ShapeText(tensor->shape));
  return ToFloat(*tensor);
}

NormWeights ModelWeights::Norm(const NormSpec& spec) const {
  NormWeights norm{Vector(spec.name, spec.size), {}};
  for (float& weight : norm.weight) weight += static_cast<float>(config_.norm_offset);
  if (!spec.bias.empty()) norm.bias = Vector(spec.bias, spec.size);
  return norm;
}

void ModelWeights::Fail(const std::string& name, const std::string& expected,
                        const std::string& found) const {
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: {}: expected {}, found {}", path_.string(), name, expected, found),
              "The file does not hold a complete model; get or make it again.");
}

}  // namespace llmq
