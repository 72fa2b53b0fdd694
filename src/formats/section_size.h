// Sizes in a .littlebit file: the one arithmetic that reader, writer and --dry-run share.
#ifndef LLMQ_FORMATS_SECTION_SIZE_H_
#define LLMQ_FORMATS_SECTION_SIZE_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "llmq/littlebit_file.h"

namespace llmq {

// Bytes of a tensor's data (kDense, kGroupQuant, kLittleBit) from kind, dtype, shape, rank, paths
// and bits, without padding behind it; nullopt if no such section can be. Never overflows.
std::optional<uint64_t> TensorDataBytes(const SectionPlan& section);

// Bytes of a directory entry with its name and padding.
uint64_t DirectoryEntryBytes(std::string_view name);

}  // namespace llmq

#endif  // LLMQ_FORMATS_SECTION_SIZE_H_
