// Measures what a stored form of the embedding costs: the perplexity of a model in which nothing
// else is changed, with the table in groups of 8, 6 and 4 bits and as LittleBit factors.
//
// Not a test: it takes minutes. A table has few columns, and a path has at most as many latent
// dimensions, so that a path holds little more than a bit per weight: what does not fit is the next
// path's, fitted to what the ones before it left. The numbers belong in docs/results.md.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "compress/factorize/factorize_layer.h"
#include "compress/factorize/residual.h"
#include "compress/torch_bridge.h"
#include "llmq/bit_budget.h"
#include "llmq/error.h"
#include "llmq/evaluate.h"
#include "llmq/group_quant.h"
#include "llmq/littlebit_file.h"
#include "llmq/output_plan.h"

namespace llmq {
namespace {

struct Options {
  std::string model;
  std::string text;
  std::string work = "embedding_table.littlebit";  // written and removed
  std::vector<double> bpw = {4, 3, 2, 1.5, 1};
  uint64_t seed = 0;
  int threads = 0;
};

// A table as it would be read back, and its cost.
struct StoredTable {
  at::Tensor values;  // [rows, cols] f32
  double bpw = 0;
};

StoredTable Grouped(const at::Tensor& table, int bits) {
  const GroupQuantShape shape{table.size(0), table.size(1), bits};
  std::vector<std::byte> bytes(static_cast<size_t>(GroupQuantBytes(shape)));
  QuantizeGroups(shape, AsSpan(table), bytes);
  StoredTable stored{at::empty_like(table),
                     8.0 * static_cast<double>(bytes.size()) / static_cast<double>(table.numel())};
  const std::span<float> values = AsMutableSpan(stored.values);
  const auto cols = static_cast<size_t>(shape.cols);
  for (int64_t row = 0; row < shape.rows; ++row) {
    DequantizeGroupRow(shape, bytes, row, values.subspan(static_cast<size_t>(row) * cols, cols));
  }
  return stored;
}

// As few paths as can hold `bpw`, all of one rank.
StoredTable Factorized(const at::Tensor& table, double bpw, uint64_t seed) {
  LittleBitShape shape{table.size(0), table.size(1), 0, 1};
  int64_t paths = 0;
  do {
    shape.rank = RankForBpw(shape.d_out, shape.d_in, 1, bpw / static_cast<double>(++paths));
  } while (shape.rank > std::min(shape.d_out, shape.d_in));
  StoredTable stored{at::zeros_like(table), LittleBitBpw(shape) * static_cast<double>(paths)};
  for (int64_t path = 0; path < paths; ++path) {
    const at::Tensor rest = (table - stored.values).contiguous();
    const TensorView view{kEmbeddingName, DType::kF32, rest.sizes().vec(),
                          std::as_bytes(AsSpan(rest))};
    const LayerFactors factors =
        FactorizeLayer(view, shape, {.seed = seed, .init = InitMethod::kAdmm});
    stored.values += Reconstruct(factors.paths);
  }
  return stored;
}

class Experiment {
 public:
  explicit Experiment(const Options& options)
      : options_(options),
        checkpoint_(options.model),
        text_(LoadTextDataset(options.text)),
        table_(ToTorch(checkpoint_.Get(kEmbeddingName))) {}

  void Run() const {
    fmt::print("{:<24} {:>8} {:>8} {:>12}\n", "embedding", "BPW", "error", "perplexity");
    Print("as it is",
          {table_, 8.0 * static_cast<double>(DTypeBytes(checkpoint_.Get(kEmbeddingName).dtype))});
    for (const int bits : {8, 6, 4}) {
      Print(fmt::format("groups of {} bits", bits), Grouped(table_, bits));
    }
    for (const double bpw : options_.bpw) {
      Print(fmt::format("LittleBit at {}", bpw), Factorized(table_, bpw, options_.seed));
    }
  }

 private:
  void Print(const std::string& name, const StoredTable& stored) const {
    Write(stored.values);
    const auto model = Model::Open(options_.work, options_.threads);
    const std::vector<int32_t> tokens = TokenizeDocuments(text_, model->tokenizer());
    const double perplexity =
        MeasurePerplexity(*model, tokens, DefaultWindow(model->config()), 0, [](int64_t, int64_t) {
          return true;
        }).perplexity;
    fmt::print("{:<24} {:>8.3f} {:>8.4f} {:>12.4f}\n", name, stored.bpw,
               RelativeError(table_, stored.values), perplexity);
    std::fflush(stdout);
    std::filesystem::remove(options_.work);
  }

  // The model with this table as F32 and everything else as it is.
  void Write(const at::Tensor& table) const {
    const OutputPlan plan = PlanOutput(checkpoint_.config(), checkpoint_.files(), RankPlan{},
                                       {16, 16}, checkpoint_.tensors());
    LittleBitWriter writer(options_.work);
    for (const SectionPlan& section : plan.sections) {
      if (section.kind == StorageKind::kFile) {
        writer.AddFile(section.name, checkpoint_.files().at(section.name));
      } else if (section.name == kEmbeddingName) {
        writer.AddDense({section.name, DType::kF32, section.shape, std::as_bytes(AsSpan(table))});
      } else {
        writer.AddDense(checkpoint_.Get(section.name));
      }
    }
    writer.Finish({.source_model = options_.model, .table_bits = {16, 16}});
  }

  const Options& options_;
  Checkpoint checkpoint_;
  TextDataset text_;
  at::Tensor table_;  // [vocab, hidden] f32
};

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Perplexity of a model with its embedding, and nothing else, stored in fewer bits");
  app.add_option("MODEL", options.model, "model directory")->required();
  app.add_option("TEXT", options.text, "text to measure with")->required();
  app.add_option("--bpw", options.bpw, "of the LittleBit forms")->check(CLI::PositiveNumber);
  app.add_option("--work", options.work, "file to write on the way")->capture_default_str();
  app.add_option("--seed", options.seed)->capture_default_str();
  app.add_option("--threads", options.threads, "0: one per core");
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(ResolveThreadCount(options.threads));
  const at::NoGradGuard no_grad;
  try {
    Experiment(options).Run();
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n{}\n", error.message(), error.suggestion());
    return error.exit_code();
  }
  return 0;
}

}  // namespace
}  // namespace llmq

int main(int argc, char** argv) { return llmq::Main(argc, argv); }
