// The sections of a mapped .littlebit file.
#ifndef LLMQ_FORMATS_LITTLEBIT_READER_H_
#define LLMQ_FORMATS_LITTLEBIT_READER_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "llmq/littlebit_file.h"

namespace llmq {

// Views into `file`, in its order, the metadata section among them. Throws Error{kGeneral} "path:
// part: expected .., found ..".
std::vector<LittleBitSection> ReadLittleBitSections(std::span<const std::byte> file,
                                                    const std::string& path);

}  // namespace llmq

#endif  // LLMQ_FORMATS_LITTLEBIT_READER_H_
