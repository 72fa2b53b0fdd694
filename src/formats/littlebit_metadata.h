// How a file was made, as the JSON of the metadata section. Section "Metadata" of
// docs/format/littlebit.md.
#ifndef LLMQ_FORMATS_LITTLEBIT_METADATA_H_
#define LLMQ_FORMATS_LITTLEBIT_METADATA_H_

#include <string>
#include <string_view>

#include "llmq/littlebit_file.h"

namespace llmq {

// The lowest version of a file that can hold this metadata.
uint32_t VersionOfMetadata(const LittleBitMetadata& metadata);

// Exactly kMetadataBytes of JSON and spaces, with the members of `version`. Throws Error{kGeneral}
// for what ParseMetadata would refuse.
std::string DumpMetadata(const LittleBitMetadata& metadata, uint32_t version);

// Throws Error{kGeneral} beginning with `where` if a member is missing, of another type or absurd.
LittleBitMetadata ParseMetadata(std::string_view json, uint32_t version, const std::string& where);

}  // namespace llmq

#endif  // LLMQ_FORMATS_LITTLEBIT_METADATA_H_
