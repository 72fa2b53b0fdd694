// The content of a section against its checksum and against what a writer can have written.
#ifndef LLMQ_FORMATS_LITTLEBIT_VERIFY_H_
#define LLMQ_FORMATS_LITTLEBIT_VERIFY_H_

#include <string>

#include "llmq/littlebit_file.h"

namespace llmq {

// Reads all of section.data. Throws Error{kGeneral} beginning with `where`.
void VerifySection(const LittleBitSection& section, const std::string& where);

}  // namespace llmq

#endif  // LLMQ_FORMATS_LITTLEBIT_VERIFY_H_
