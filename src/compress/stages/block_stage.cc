#include "compress/stages/block_stage.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "compress/calibrate/block_statistics.h"
#include "compress/calibrate/importance.h"
#include "compress/calibrate/watched_linears.h"
#include "compress/stages/factorize_stage.h"
#include "compress/state_file.h"
#include "compress/stored_table.h"
#include "compress/torch_bridge.h"
#include "compress/train/block_trainer.h"
#include "compress/train/data_loader.h"
#include "compress/train/load_frame.h"
#include "llmq/error.h"

namespace llmq {
namespace {

// What is factorized before the rest of the block adapts again: in the order of computation.
constexpr std::array kGroups = {
    std::pair(Projection::kQ, Projection::kV), std::pair(Projection::kO, Projection::kO),
    std::pair(Projection::kGate, Projection::kUp), std::pair(Projection::kDown, Projection::kDown)};
using Group = std::vector<size_t>;  // places in the block

// Measured on models/stories-19m at 0.55 bits per weight (docs/results.md, "Block by block").
constexpr int64_t kAbsorptionPasses = 1;
constexpr double kAbsorptionRate = 3e-3;  // a step's share of a matrix's size
constexpr int64_t kSignPasses = 2;
constexpr double kSignRate = 2e-3;
constexpr double kScaleRate = 0.3;  // to that of signs

class BlockCompressor {
 public:
  explicit BlockCompressor(RunContext& run)
      : run_(run), linears_(BlockLinears(run.checkpoint.config())) {
    run_.layers.resize(linears_.size());
    Enter(0);
  }

  void Run() {
    const int64_t blocks = run_.checkpoint.config().num_layers;
    std::vector<bool> loaded;
    for (int64_t block = 0; block < blocks; ++block) loaded.push_back(Load(block));
    const auto done = std::count(loaded.begin(), loaded.end(), true);
    run_.observer.BeginStage("Blocks", blocks, done, "blocks");
    int64_t missing = blocks - done;
    if (missing > 0) Embed();
    for (int64_t block = 0; missing > 0; ++block) {
      Enter(block);
      BlockWeights weights = LoadBlockWeights(run_.checkpoint, block, run_.device.device);
      Advance(targets_, weights);
      if (!loaded[static_cast<size_t>(block)]) {
        Compress(weights);
        if (run_.store) Save();
        --missing;
        run_.observer.Advance(blocks - missing, fmt::format("loss {:.4f}", loss_));
      }
      if (missing > 0) Advance(inputs_, Compressed());
    }
    run_.observer.EndStage();
  }

 private:
  void Enter(int64_t block) {
    block_ = block;
    config_ = OneBlockConfig(run_.checkpoint.config(), block);
    model_.emplace(config_, run_.train.sequence_tokens, run_.device.device);
  }

  LinearRange Range() const { return LinearsOfBlock(run_.checkpoint.config(), block_); }
  size_t First() const { return Range().begin; }

  // Those of the block that lie between two projections in the order of computation.
  Group GroupOf(const std::pair<Projection, Projection>& ends) const {
    Group group;
    for (size_t p = 0; p < Range().size(); ++p) {
      const Projection projection = linears_[First() + p].projection;
      if (projection >= ends.first && projection <= ends.second) group.push_back(p);
    }
    return group;
  }

  // ---- Activations ----

  static at::Tensor Kept(const at::Tensor& x) { return x.to(at::kCPU, at::kBFloat16); }

  // Sequences from all over the text, as the compressed model and as the original see them.
  void Embed() {
    const at::NoGradGuard no_grad;
    const Checkpoint& checkpoint = run_.checkpoint;
    const TensorView& view = checkpoint.Get(kEmbeddingName);
    ExpectFinite(view);
    const at::Tensor original = ToTorch(view);
    const int bits = run_.table_bits.embedding;
    const at::Tensor stored = bits == 16 ? original : StoredTableValues(view, bits);
    checkpoint.Release(view);
    const auto load_if = [&](bool there, const char* name) {
      return there ? LoadTensor(checkpoint, name, at::kCPU) : at::Tensor();
    };
    const ModelConfig& config = checkpoint.config();
    const at::Tensor positions = load_if(config.learned_positions, kPositionsName);
    const at::Tensor project_in = load_if(config.HasProjectedEmbedding(), kProjectInName);
    const int64_t length = run_.train.sequence_tokens;
    const int64_t wanted = (run_.train.block_tokens + length - 1) / length;
    const int64_t count = std::min(wanted, static_cast<int64_t>(run_.tokens.size()) / length);
    const at::Tensor tokens =
        DataLoader(run_.tokens, length, count, run_.options.seed).Batch(0);  // [N, T]
    for (int64_t i = 0; i < count; ++i) {
      const at::Tensor sequence = tokens.narrow(0, i, 1);
      const auto embed = [&](const at::Tensor& table) {
        return Kept(model_->Embed(
            {.embedding = table, .positions = positions, .project_in = project_in}, sequence));
      };
      inputs_.push_back(embed(stored));
      targets_.push_back(embed(original));
    }
  }

  void Advance(Activations& activations, const BlockWeights& weights) {
    const FrameWeights frame = OneBlockFrame(weights);
    const DenseLinears linears(weights.matrices);
    run_.workers.Run(static_cast<int64_t>(activations.size()), [&](int64_t i) {
      const at::NoGradGuard no_grad;
      at::Tensor& x = activations[static_cast<size_t>(i)];
      x = Kept(model_->Block(0, frame, linears, x.to(run_.device.device, at::kFloat)));
    });
  }

  // [d_out, d_in] f32 on the device.
  at::Tensor Dense(const LayerState& layer) const {
    return Reconstruct(layer.is_packed() ? UnpackFactors(layer.packed) : layer.factors.paths,
                       run_.device.device);
  }

  // What the file will say of the block, as dense matrices: the same after a resume.
  BlockWeights Compressed() const {
    BlockWeights block;
    const auto frame = [&](const std::string& name) {
      return run_.frame.at(name).to(run_.device.device);
    };
    for (size_t i = First(); i < Range().end; ++i) {
      block.matrices.push_back(Dense(run_.layers[i]));
      block.biases.push_back(linears_[i].has_bias ? frame(linears_[i].name + ".bias")
                                                  : at::Tensor());
    }
    block.routers = LoadRouters(run_.checkpoint, block_, run_.device.device);
    block.norms.resize(kNumBlockNorms);
    for (const NormSpec& spec : Norms()) {
      block.norms[static_cast<size_t>(spec.norm)] = {
          frame(spec.name), spec.bias.empty() ? at::Tensor() : frame(spec.bias)};
    }
    return block;
  }

  // ---- One block ----

  void Compress(BlockWeights& weights) {
    const Stopwatch watch;
    const BlockTrainer trainer(*model_, inputs_, targets_, run_.device.device, run_.workers);
    std::vector<bool> fixed(Range().size(), false);
    steps_done_ = 0;
    steps_ = trainer.Steps(SignTraining());
    if (run_.train.absorption) steps_ += std::ssize(kGroups) * trainer.Steps(AbsorptionTraining());
    for (const auto& ends : kGroups) {
      const Group group = GroupOf(ends);
      if (run_.train.absorption) Absorb(trainer, weights, fixed);
      RefreshStatistics(weights);
      Factorize(weights, group);
      for (const size_t p : group) {
        weights.matrices[p] = Dense(run_.layers[First() + p]);
        fixed[p] = true;
      }
    }
    TrainSigns(trainer, weights);
    Report(watch.seconds());
  }

  std::function<bool()> KeepGoing() const {
    return [this] { return !run_.observer.StopRequested(); };
  }
  // Before each step of a block's training.
  std::function<bool()> CountStep() {
    return [this] {
      run_.observer.Underway(static_cast<double>(steps_done_++) / static_cast<double>(steps_));
      return !run_.observer.StopRequested();
    };
  }
  [[noreturn]] void ThrowStopped() const {
    run_.ThrowStopped(fmt::format("{} of {} blocks", block_, run_.checkpoint.config().num_layers));
  }

  BlockTraining Training(int64_t passes, double rate, double scale_rate) const {
    return {.passes = passes,
            .batch_sequences = run_.train.batch_sequences,
            .learning_rate = rate,
            .scale_rate = scale_rate,
            .surrogate = run_.train.surrogate,
            .seed = run_.options.seed + static_cast<uint64_t>(block_)};
  }

  BlockTraining AbsorptionTraining() const {
    return Training(kAbsorptionPasses, kAbsorptionRate, 1);
  }
  BlockTraining SignTraining() const { return Training(kSignPasses, kSignRate, kScaleRate); }

  void Absorb(const BlockTrainer& trainer, const BlockWeights& weights,
              const std::vector<bool>& fixed) {
    DenseBlock block(weights, fixed);
    if (!trainer.Train(block, AbsorptionTraining(), CountStep())) ThrowStopped();
  }

  // What goes into the matrices now differs from what went into the original's.
  void RefreshStatistics(const BlockWeights& weights) {
    if (run_.options.importance == ImportanceMode::kOff) return;
    const FrameWeights frame = OneBlockFrame(weights);
    const DenseLinears dense(weights.matrices);
    SequenceSums sums(inputs_.size());
    run_.workers.Run(static_cast<int64_t>(inputs_.size()), [&](int64_t i) {
      const at::NoGradGuard no_grad;
      const auto at = static_cast<size_t>(i);
      const WatchedLinears linears(dense, {0, Range().size()});
      (void)model_->Block(0, frame, linears, inputs_[at].to(run_.device.device, at::kFloat));
      for (const at::Tensor& input : linears.inputs()) sums[at].push_back(SumOfSquares(input));
    });
    const int64_t tokens = static_cast<int64_t>(inputs_.size()) * run_.train.sequence_tokens;
    StoreInputs(config_, 0, TotalsOf(sums), tokens,
                std::span(run_.statistics).subspan(First(), Range().size()));
  }

  void Factorize(const BlockWeights& weights, const Group& group) {
    WorkerPool::Watcher watcher;
    watcher.keep_going = KeepGoing();
    const bool complete = run_.workers.Run(
        static_cast<int64_t>(group.size()),
        [&](int64_t task) {
          const size_t p = group[static_cast<size_t>(task)];
          const size_t i = First() + p;
          const LittleBitShape& shape = run_.plan.layers[i].shape;
          const at::Tensor matrix = weights.matrices[p].cpu();
          const TensorView view{linears_[i].name + ".weight",
                                DType::kF32,
                                {shape.d_out, shape.d_in},
                                std::as_bytes(AsSpan(matrix))};
          run_.layers[i].factors = FactorizeLayer(view, shape, FactorizationOf(run_, i));
        },
        watcher);
    if (!complete) ThrowStopped();
  }

  void TrainSigns(const BlockTrainer& trainer, const BlockWeights& weights) {
    std::vector<LayerFactors> factors;
    for (size_t i = First(); i < Range().end; ++i) {
      factors.push_back(std::exchange(run_.layers[i].factors, {}));
    }
    Student student(config_, std::move(factors), OneBlockFrame(weights), run_.device.device);
    if (!run_.train.latent_scale) student.HoldLatentScales();
    SignBlock block(student);
    if (!trainer.Train(block, SignTraining(), CountStep())) ThrowStopped();
    loss_ = trainer.Loss(block);
    for (size_t p = 0; p < Range().size(); ++p) {
      run_.layers[First() + p].factors = student.Factors(p);
    }
    for (const auto& [name, shape] : FrameTensors()) {
      run_.frame[name] = student.Find(NameInOneBlock(name));
    }
  }

  // Of matrices against the original's, which absorption has left.
  void Report(double seconds) {
    for (size_t i = First(); i < Range().end; ++i) {
      LayerState& layer = run_.layers[i];
      const TensorView& weight = run_.checkpoint.Get(linears_[i].name + ".weight");
      if (!run_.trains()) {
        layer.packed = PackFactors(layer.factors, weight.name);
        layer.factors.paths.clear();
      }
      layer.factors.relative_error =
          RelativeError(ToTorch(weight).to(run_.device.device), Dense(layer));
      run_.checkpoint.Release(weight);
      run_.report.layers[i].relative_error = layer.factors.relative_error;
      run_.report.layers[i].milliseconds = seconds * 1e3 / static_cast<double>(Range().size());
      run_.observer.LayerDone(run_.report.layers[i]);
    }
  }

  // ---- Checkpoints ----

  std::vector<NormSpec> Norms() const {
    std::vector<NormSpec> norms = BlockNorms(run_.checkpoint.config());
    std::erase_if(norms, [&](const NormSpec& spec) { return spec.layer != block_; });
    return norms;
  }

  // Norms and biases of the block, with their sizes.
  std::vector<std::pair<std::string, int64_t>> FrameTensors() const {
    std::vector<std::pair<std::string, int64_t>> tensors;
    for (const NormSpec& spec : Norms()) {
      tensors.emplace_back(spec.name, spec.size);
      if (!spec.bias.empty()) tensors.emplace_back(spec.bias, spec.size);
    }
    for (size_t i = First(); i < Range().end; ++i) {
      if (linears_[i].has_bias) tensors.emplace_back(linears_[i].name + ".bias", linears_[i].d_out);
    }
    return tensors;
  }

  std::string NameInOneBlock(const std::string& name) const {
    const std::string prefix = fmt::format("model.layers.{}.", block_);
    return "model.layers.0." + name.substr(prefix.size());
  }

  void Save() const {
    for (size_t i = First(); i < Range().end; ++i) {
      SaveLayer(run_.layers[i], run_.store->LayerPath(static_cast<int64_t>(i)));
    }
    const auto tensors = FrameTensors();  // last: the block is complete when this is there
    StateWriter writer(run_.store->BlockPath(block_), static_cast<uint32_t>(tensors.size()));
    for (const auto& [name, size] : tensors) {
      writer.Add(name, std::as_bytes(AsSpan(run_.frame.at(name))));
    }
    writer.Commit();
  }

  // False if the block is not complete in the store, or damaged: then it is compressed again.
  bool Load(int64_t block) {
    block_ = block;
    if (!run_.store || !std::filesystem::exists(run_.store->BlockPath(block))) return false;
    try {
      const StateReader reader(run_.store->BlockPath(block));
      for (const auto& [name, size] : FrameTensors()) {
        at::Tensor tensor = at::empty({size}, at::kFloat);
        std::memcpy(tensor.mutable_data_ptr(), reader.Get(name, tensor.nbytes()).data(),
                    tensor.nbytes());
        run_.frame[name] = tensor;
      }
      for (size_t i = First(); i < Range().end; ++i) {
        run_.layers[i] = LoadLayer(run_.store->LayerPath(static_cast<int64_t>(i)),
                                   run_.plan.layers[i].shape, !run_.trains());
        run_.report.layers[i].from_checkpoint = true;
        run_.report.layers[i].relative_error = run_.layers[i].factors.relative_error;
      }
      return true;
    } catch (const Error& error) {
      run_.observer.Warning(fmt::format("{}; compressing this block again", error.message()));
      for (size_t i = First(); i < Range().end; ++i) {
        run_.layers[i] = {};
        run_.report.layers[i].from_checkpoint = false;
      }
      return false;
    }
  }

  RunContext& run_;
  ModelConfig config_;                   // of one block
  std::vector<LinearSpec> linears_;      // of the whole model
  std::optional<TrainableModel> model_;  // of one block
  Activations inputs_;                   // of block_: what the compressed blocks before it hand on
  Activations targets_;                  // what the original's block makes of what it gets
  int64_t block_ = 0;
  int64_t steps_ = 0;       // of the block's training
  int64_t steps_done_ = 0;  // of these
  double loss_ = 0;         // of the last block compressed
};

}  // namespace

void CompressBlocks(RunContext& run) {
  const Stopwatch watch;
  BlockCompressor(run).Run();
  run.report.factorize_seconds = watch.seconds();
}

}  // namespace llmq
