// See the header. The sizes of payloads and grouped rows themselves are core's.
#include "formats/section_size.h"

#include <limits>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "formats/littlebit_layout.h"

namespace llmq {
namespace {

// Core's size functions are exact below 2^31 in every dimension.
bool IsMatrix(const SectionPlan& section) {
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  return section.shape.size() == 2 && section.shape[0] > 0 && section.shape[0] <= kMax &&
         section.shape[1] > 0 && section.shape[1] <= kMax;
}

std::optional<uint64_t> DenseBytes(const SectionPlan& section) {
  std::vector<uint64_t> shape;
  for (const int64_t dimension : section.shape) {
    if (dimension < 0) return std::nullopt;
    shape.push_back(static_cast<uint64_t>(dimension));
  }
  const std::optional<uint64_t> elements = CountElements(shape);
  if (!elements) return std::nullopt;
  return *elements * DTypeBytes(section.dtype);
}

std::optional<uint64_t> LittleBitBytes(const SectionPlan& section) {
  if (!IsMatrix(section) || section.paths < 1 || section.paths > kMaxPaths || section.rank < 1 ||
      section.rank > std::numeric_limits<int32_t>::max() ||
      (section.bits != 0 && (section.bits == kHalfScaleBits || !IsScaleBits(section.bits)))) {
    return std::nullopt;
  }
  return static_cast<uint64_t>(LittleBitPayloadBytes(section.littlebit_shape()));
}

}  // namespace

std::optional<uint64_t> TensorDataBytes(const SectionPlan& section) {
  switch (section.kind) {
    case StorageKind::kDense: return DenseBytes(section);
    case StorageKind::kGroupQuant:
      if (!IsMatrix(section) || !IsGroupBits(section.bits)) return std::nullopt;
      return static_cast<uint64_t>(GroupQuantBytes(section.group_quant_shape()));
    case StorageKind::kLittleBit: return LittleBitBytes(section);
    case StorageKind::kFile:
    case StorageKind::kMetadata: break;
  }
  return std::nullopt;
}

uint64_t DirectoryEntryBytes(std::string_view name) {
  return sizeof(littlebit_layout::Entry) + AlignUp(name.size(), littlebit_layout::kNameAlignment);
}

uint64_t PlannedFileBytes(std::span<const SectionPlan> sections) {
  uint64_t bytes = sizeof(littlebit_layout::Header);
  for (const SectionPlan& section : sections) {
    bytes += AlignUp(section.data_bytes, kSectionAlignment) + DirectoryEntryBytes(section.name);
  }
  return bytes + AlignUp(littlebit_layout::kMetadataBytes, kSectionAlignment) +
         DirectoryEntryBytes(littlebit_layout::kMetadataName);
}

}  // namespace llmq
