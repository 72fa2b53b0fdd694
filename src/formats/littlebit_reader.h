// The sections of a mapped .littlebit file.
#ifndef LLMQ_FORMATS_LITTLEBIT_READER_H_
#define LLMQ_FORMATS_LITTLEBIT_READER_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "llmq/littlebit_file.h"

namespace llmq {

struct LittleBitContent {
  uint32_t version = 0;
  std::vector<LittleBitSection> sections;  // in the order of the file, the metadata among them
};

// Views into `file`. Throws Error{kGeneral} "path: part: expected .., found ..".
LittleBitContent ReadLittleBitContent(std::span<const std::byte> file, const std::string& path);

// Throws Error{kGeneral} beginning with `where` if this program does not know the version.
void CheckLittleBitVersion(uint32_t version, const std::string& where);

}  // namespace llmq

#endif  // LLMQ_FORMATS_LITTLEBIT_READER_H_
