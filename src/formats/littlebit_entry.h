// One entry of a .littlebit directory, checked: the facts of a section without its data.
//
// Before this: formats/littlebit_reader or formats/gguf_ext has read the numbers. After this: they
// attach the data. Reference: docs/format/littlebit.md, "Directory".
#ifndef LLMQ_FORMATS_LITTLEBIT_ENTRY_H_
#define LLMQ_FORMATS_LITTLEBIT_ENTRY_H_

#include <string>

#include "formats/littlebit_layout.h"
#include "llmq/littlebit_file.h"

namespace llmq {

// The section without its data. Throws Error{kGeneral} "path: name: expected .., found .." for a
// name, a kind, a shape or a size that no section can have. entry.name_bytes and entry.offset are
// not checked.
LittleBitSection SectionFromEntry(const littlebit_layout::Entry& entry, const std::string& name,
                                  const std::string& path);

// The lowest version of a file that has such a section.
uint32_t VersionOfSection(StorageKind kind, int bits);

}  // namespace llmq

#endif  // LLMQ_FORMATS_LITTLEBIT_ENTRY_H_
