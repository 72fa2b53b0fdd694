// llama.cpp's file types: which block type each tensor of a "Q4_K_M" file gets.
//
// Before this: llamacpp/lossy_writer has the list of tensors. After this: quants. The rules are
// facts about llama-quantize, whose files ours must equal: docs/format/gguf.md, "File types".
#ifndef LLMQ_LLAMACPP_FILE_TYPE_H_
#define LLMQ_LLAMACPP_FILE_TYPE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "llmq/ggml_type.h"
#include "llmq/model_config.h"

namespace llmq {

struct GgufFileType {
  const char* name;    // "Q4_K_M"
  uint32_t id;         // general.file_type
  GgmlType base_type;  // of tensors without a rule of their own
};

// Any case, and llama.cpp's short forms Q3_K, Q4_K and Q5_K. Throws Error{kUnsupportedConversion}
// naming what there is.
const GgufFileType& FindGgufFileType(std::string_view name);
// "F32", "F16", ...: for messages and help.
std::vector<std::string> GgufFileTypeNames();

// The type of the matrix `gguf_name` ("blk.3.attn_v.weight", "output.weight", ...) with rows of
// `cols` values. Vectors are always F32 and have no business here.
GgmlType ChooseTensorType(const GgufFileType& file_type, const ModelConfig& config,
                          std::string_view gguf_name, int64_t cols);

}  // namespace llmq

#endif  // LLMQ_LLAMACPP_FILE_TYPE_H_
