#include "compress/export.h"

#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "base/half.h"
#include "compress/stored_table.h"
#include "compress/torch_bridge.h"

namespace llmq {
namespace {

constexpr std::string_view kWeightSuffix = ".weight";

// values f32 -> bytes in a float dtype of the checkpoint.
std::vector<std::byte> Encode(std::span<const float> values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * DTypeBytes(dtype));
  std::byte* out = bytes.data();
  for (const float value : values) {
    const double wide = value;
    const uint16_t narrow = dtype == DType::kF16 ? FloatToHalf(value) : FloatToBf16(value);
    switch (dtype) {
      case DType::kF32: std::memcpy(out, &value, sizeof(value)); break;
      case DType::kF64: std::memcpy(out, &wide, sizeof(wide)); break;
      default: std::memcpy(out, &narrow, sizeof(narrow)); break;
    }
    out += DTypeBytes(dtype);
  }
  return bytes;
}

class Exporter {
 public:
  Exporter(LittleBitWriter& writer, const Checkpoint& checkpoint, const ExportSource& source)
      : writer_(writer), checkpoint_(checkpoint), source_(source) {}

  void Add(const SectionPlan& section) {
    switch (section.kind) {
      case StorageKind::kFile:
        writer_.AddFile(section.name, checkpoint_.files().at(section.name));
        break;
      case StorageKind::kGroupQuant: AddTable(section); break;
      case StorageKind::kLittleBit: AddLayer(section); break;
      case StorageKind::kDense: AddDense(section); break;
      case StorageKind::kMetadata: break;  // written by Finish()
    }
  }

 private:
  void AddTable(const SectionPlan& section) {
    const TensorView& table = checkpoint_.Get(section.name);
    writer_.AddGroupQuant(section.name, section.group_quant_shape(),
                          QuantizeTable(table, section.group_quant_shape()));
    checkpoint_.Release(table);
  }

  void AddLayer(const SectionPlan& section) {
    const std::string linear = section.name.substr(0, section.name.size() - kWeightSuffix.size());
    const PackedLayer packed = source_.layer(linear);
    writer_.AddLittleBit(section.name, packed.linear.shape, packed.linear.payload,
                         packed.relative_error);
  }

  void AddDense(const SectionPlan& section) {
    const TensorView& original = checkpoint_.Get(section.name);
    ExpectFinite(original);
    const at::Tensor trained = source_.trained(section.name);
    if (trained.defined()) {
      // In the original's type: --dry-run promised the size, and bf16's half step of 0.2 % is
      // within noise.
      const std::vector<std::byte> bytes = Encode(AsSpan(trained), original.dtype);
      writer_.AddDense({original.name, original.dtype, original.shape, bytes});
    } else {
      writer_.AddDense(original);
    }
    checkpoint_.Release(original);
  }

  LittleBitWriter& writer_;
  const Checkpoint& checkpoint_;
  const ExportSource& source_;
};

}  // namespace

uint64_t ExportModel(const std::filesystem::path& output, const OutputPlan& plan,
                     const Checkpoint& checkpoint, const ExportSource& source,
                     const LittleBitMetadata& metadata,
                     const std::function<void(int64_t)>& written) {
  LittleBitWriter writer(output);
  Exporter exporter(writer, checkpoint, source);
  int64_t done = 0;
  for (const SectionPlan& section : plan.sections) {
    exporter.Add(section);
    written(++done);
  }
  return writer.Finish(metadata);
}

}  // namespace llmq
