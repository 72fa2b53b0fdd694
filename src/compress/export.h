// From trained or initial factors to the .littlebit file, section by section.
//
// Before: pipeline has the factors and formats/output_plan the list of sections. After:
// formats/littlebit_writer has the file. Every byte follows from the input, the options and the
// seed.
#ifndef LLMQ_COMPRESS_EXPORT_H_
#define LLMQ_COMPRESS_EXPORT_H_

#include <functional>
#include <string>

#include "compress/torch_headers.h"
#include "llmq/checkpoint.h"
#include "llmq/littlebit.h"
#include "llmq/littlebit_file.h"
#include "llmq/output_plan.h"

namespace llmq {

struct PackedLayer {
  LittleBitLinear linear;
  double relative_error = 0;
};

// Where the exporter finds what training has changed.
struct ExportSource {
  std::function<PackedLayer(const std::string& linear)> layer;  // "model.layers.0.self_attn.q_proj"
  std::function<at::Tensor(const std::string& tensor)> trained;  // undefined: as in the checkpoint
};

// Writes every section of `plan` in order and finishes the file. Returns its bytes. `written` is
// called after each section with their number so far.
uint64_t ExportModel(const std::filesystem::path& output, const OutputPlan& plan,
                     const Checkpoint& checkpoint, const ExportSource& source,
                     const LittleBitMetadata& metadata,
                     const std::function<void(int64_t)>& written);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_EXPORT_H_
