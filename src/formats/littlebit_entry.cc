#include "formats/littlebit_entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/limits.h"
#include "formats/section_size.h"
#include "llmq/error.h"

namespace llmq {
namespace {

using littlebit_layout::Entry;

[[noreturn]] void Fail(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what),
              "The file is damaged; copy or make it again");
}

template <typename T>
void ExpectEqual(const std::string& where, const char* field, T expected, T found) {
  if (expected != found)
    Fail(where, fmt::format("{}: expected {}, found {}", field, expected, found));
}

// Fields that the kind does not use must be 0.
void CheckUnusedFields(const Entry& entry, const std::string& where) {
  const auto kind = static_cast<StorageKind>(entry.kind);
  const bool tensor = kind != StorageKind::kFile && kind != StorageKind::kMetadata;
  if (kind != StorageKind::kDense) ExpectEqual(where, "unused dtype", 0u, entry.dtype);
  if (kind != StorageKind::kGroupQuant && kind != StorageKind::kLittleBit)
    ExpectEqual(where, "unused bits", 0u, entry.bits);
  if (!tensor) ExpectEqual(where, "unused dimensions", 0u, entry.dimensions);
  if (kind != StorageKind::kLittleBit) {
    ExpectEqual(where, "unused paths", 0u, entry.paths);
    ExpectEqual(where, "unused rank", uint64_t{0}, entry.rank);
    uint64_t relative_error_bits;  // so that -0.0 is refused too
    std::memcpy(&relative_error_bits, &entry.relative_error, sizeof(relative_error_bits));
    ExpectEqual(where, "unused relative error", uint64_t{0}, relative_error_bits);
  }
  if (entry.dimensions > littlebit_layout::kShapeSlots) {
    Fail(where, fmt::format("dimensions: expected at most {}, found {}",
                            littlebit_layout::kShapeSlots, entry.dimensions));
  }
  for (size_t i = entry.dimensions; i < entry.shape.size(); ++i) {
    ExpectEqual(where, "unused dimension", uint64_t{0}, entry.shape[i]);
  }
}

// What the entry says about its tensor, as numbers that fit our types.
SectionPlan ToPlan(const Entry& entry, const std::string& name, const std::string& where) {
  const auto too_large = [](uint64_t value) { return value > kMaxElements; };
  if (too_large(entry.rank) || std::any_of(entry.shape.begin(), entry.shape.end(), too_large)) {
    Fail(where, fmt::format("shape and rank: expected numbers up to {}, found a larger one",
                            kMaxElements));
  }
  if (entry.dtype > static_cast<uint32_t>(DType::kF8E5M2)) {
    Fail(where, fmt::format("dtype: expected at most {}, found {}",
                            static_cast<int>(DType::kF8E5M2), entry.dtype));
  }
  SectionPlan plan{.name = name,
                   .kind = static_cast<StorageKind>(entry.kind),
                   .data_bytes = entry.data_bytes,
                   .dtype = static_cast<DType>(entry.dtype),
                   .rank = static_cast<int64_t>(entry.rank),
                   .paths = entry.paths,
                   .bits = static_cast<int>(std::min<uint32_t>(entry.bits, 255))};
  plan.shape.assign(entry.shape.begin(), entry.shape.begin() + entry.dimensions);
  return plan;
}

void CheckDataBytes(const SectionPlan& plan, const std::string& where) {
  if (plan.kind == StorageKind::kFile) return;  // any size
  if (plan.kind == StorageKind::kMetadata) {
    ExpectEqual(where, "bytes of metadata", littlebit_layout::kMetadataBytes, plan.data_bytes);
    return;
  }
  const std::optional<uint64_t> expected = TensorDataBytes(plan);
  if (!expected) {
    Fail(where,
         fmt::format(
             "expected a shape that can be stored, found [{}] with rank {}, {} paths, {} bits",
             fmt::join(plan.shape, ", "), plan.rank, plan.paths, plan.bits));
  }
  ExpectEqual(where, "bytes of data", *expected, plan.data_bytes);
}

void CheckEntryName(const SectionPlan& plan, const std::string& where) {
  if (plan.kind == StorageKind::kFile && !IsPlainFileName(plan.name)) {
    Fail(where, "expected a plain file name, found a path");
  }
  if ((plan.kind == StorageKind::kMetadata) != (plan.name == littlebit_layout::kMetadataName)) {
    Fail(where, "expected the name \"metadata\" for the metadata section and for no other");
  }
}

}  // namespace

uint32_t VersionOfSection(StorageKind kind, int bits) {
  if (kind == StorageKind::kLittleBit && bits != 0) return 3;
  return kind == StorageKind::kGroupQuant && bits == 6 ? 2 : 1;
}

LittleBitSection SectionFromEntry(const Entry& entry, const std::string& name,
                                  const std::string& path) {
  if (!IsAllowedName(name)) {
    Fail(path + ": directory", "expected a name without control characters, found another");
  }
  const std::string where = path + ": " + name;
  if (entry.kind < static_cast<uint32_t>(StorageKind::kFile) ||
      entry.kind > static_cast<uint32_t>(StorageKind::kLittleBit)) {
    Fail(where, fmt::format("kind: expected 1 to 5, found {}", entry.kind));
  }
  CheckUnusedFields(entry, where);
  const SectionPlan plan = ToPlan(entry, name, where);
  CheckEntryName(plan, where);
  CheckDataBytes(plan, where);
  if (!std::isfinite(entry.relative_error) || entry.relative_error < 0) {
    Fail(where, fmt::format("relative error: expected a finite number from 0, found {}",
                            entry.relative_error));
  }
  return {.name = name,
          .kind = plan.kind,
          .dtype = plan.dtype,
          .shape = plan.shape,
          .rank = plan.rank,
          .paths = plan.paths,
          .bits = plan.bits,
          .relative_error = entry.relative_error,
          .offset = entry.offset,
          .checksum = entry.checksum,
          .data = {}};
}

}  // namespace llmq
