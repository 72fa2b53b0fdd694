// make_littlebit MODEL OUTPUT BPW: a valid .littlebit file of a model with random signs and
// plausible scales, for tests of what reads such files. The real thing needs the compressor. With
// BPW 0 every tensor stays as it was: the model itself, for tests of what is written from such
// files.
#include <fmt/core.h>

#include <cstdlib>
#include <exception>
#include <vector>

#include "llmq/bit_budget.h"
#include "llmq/checkpoint.h"
#include "llmq/group_quant.h"
#include "llmq/littlebit_file.h"
#include "llmq/output_plan.h"

namespace llmq {
namespace {

// A fixed sequence of values in [-0.5, 0.5).
class Noise {
 public:
  std::vector<float> Values(int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      value = static_cast<float>(state_ >> 40) / static_cast<float>(1 << 24) - 0.5f;
    }
    return values;
  }

 private:
  uint64_t state_ = 1;
};

void AddLinear(const LittleBitShape& shape, const std::string& name, LittleBitWriter& writer) {
  Noise noise;
  const std::vector<float> v = noise.Values(shape.rank * shape.d_in);
  const std::vector<float> u = noise.Values(shape.rank * shape.d_out);
  const std::vector<float> g(static_cast<size_t>(shape.d_in), 0.1f);
  const std::vector<float> h(static_cast<size_t>(shape.d_out), 0.1f);
  const std::vector<float> l(static_cast<size_t>(shape.rank), 1.0f);
  const LittleBitPathValues path = {v, u, g, h, l};
  const std::vector<LittleBitPathValues> paths(static_cast<size_t>(shape.paths), path);
  writer.AddLittleBit(name, shape, PackLittleBit(shape, paths).payload, 0.9);
}

void AddTable(const TensorView& tensor, int bits, LittleBitWriter& writer) {
  const GroupQuantShape shape = {tensor.shape[0], tensor.shape[1], bits};
  std::vector<std::byte> bytes(static_cast<size_t>(GroupQuantBytes(shape)));
  QuantizeGroups(shape, ToFloat(tensor), bytes);
  writer.AddGroupQuant(tensor.name, shape, bytes);
}

void Make(const char* model, const char* output, double bpw) {
  const Checkpoint checkpoint(model);
  const bool dense = bpw == 0;
  const RankPlan ranks = dense ? RankPlan{} : PlanRanks(checkpoint.config(), {.target_bpw = bpw});
  const TableBits tables = dense ? TableBits{16, 16} : TableBits{8, 8};
  const OutputPlan plan =
      PlanOutput(checkpoint.config(), checkpoint.files(), ranks, tables, checkpoint.tensors());
  LittleBitWriter writer(output);
  size_t next_layer = 0;
  for (const SectionPlan& section : plan.sections) {
    if (section.kind == StorageKind::kFile) {
      writer.AddFile(section.name, checkpoint.files().at(section.name));
    } else if (section.kind == StorageKind::kDense) {
      writer.AddDense(checkpoint.Get(section.name));
    } else if (section.kind == StorageKind::kGroupQuant) {
      AddTable(checkpoint.Get(section.name), 8, writer);
    } else {
      AddLinear(ranks.layers[next_layer++].shape, section.name, writer);
    }
  }
  writer.Finish({.source_model = ModelName(model),
                 .producer = "make_littlebit",
                 .recipe = "littlebit",
                 .target_bpw = bpw,
                 .original_parameters = checkpoint.parameter_count(),
                 .original_fp16_bytes = checkpoint.fp16_bytes()});
}

}  // namespace
}  // namespace llmq

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    llmq::Make(argv[1], argv[2], std::atof(argv[3]));
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
