// A .littlebit file in a GGUF container, bit by bit: "gguf-ext".
//
// The sections of the .littlebit file become tensors of standard types, and what the directory says
// of them becomes arrays of keys, so the way back gives the same bytes. Reference:
// docs/format/gguf.md, "Extension for LittleBit factors".
#ifndef LLMQ_FORMATS_GGUF_EXT_H_
#define LLMQ_FORMATS_GGUF_EXT_H_

#include <string>
#include <vector>

#include "llmq/gguf.h"
#include "llmq/littlebit_file.h"

namespace llmq {

inline constexpr const char* kGgufExtVersionKey = "littlebit.version";
inline constexpr const char* kGgufExtArchitecturePrefix = "littlebit-";
// Arrays of a layer follow one another at multiples of 8 as in a .littlebit payload, so a mapped
// layer is used in place.
inline constexpr uint64_t kGgufExtAlignment = kArrayAlignment;

// The tensors that hold a section, in order; `base` names them. Their data is that of the section.
std::vector<GgufTensor> GgufExtTensors(const LittleBitSection& section, const std::string& base);

// Sections, the metadata as its last, with data borrowed from `file`; nothing about the model is
// checked. A LittleBit section's data lacks the zeros that end its payload in a .littlebit file.
struct GgufExtContent {
  uint32_t version = 0;
  std::vector<LittleBitSection> sections;  // without the metadata section
  std::string metadata;                    // JSON
};
// Throws Error{kGeneral} "path: part: expected .., found ..".
GgufExtContent ReadGgufExt(const GgufFile& file);

}  // namespace llmq

#endif  // LLMQ_FORMATS_GGUF_EXT_H_
