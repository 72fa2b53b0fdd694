// One linear of a packed checkpoint: its tensors found and checked, its signs and scales read.
//
// Before this: formats/safetensors_shards has the table of tensors. After this:
// formats/packed_checkpoint writes the payload as a section. Reference: docs/format/packed.md,
// "Tensors of a linear".
#ifndef LLMQ_FORMATS_PACKED_LINEAR_H_
#define LLMQ_FORMATS_PACKED_LINEAR_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/safetensors_shards.h"
#include "llmq/littlebit.h"
#include "llmq/model_config.h"
#include "llmq/tensor.h"

namespace llmq {

// Borrows from the shards.
struct PackedPath {
  int64_t rank = 0;
  const TensorView* u = nullptr;  // [d_out, ceil(r/32)] I32, bits along r
  const TensorView* v = nullptr;  // [r, ceil(d_in/32)] I32, bits along d_in
  const TensorView* g = nullptr;  // [d_in] float
  const TensorView* h = nullptr;  // [d_out] float
  // l [r] is the product of these; none: ones.
  std::vector<const TensorView*> latent;  // each [r] float
};

struct PackedLinear {
  LinearSpec linear;
  LittleBitShape shape;                    // the largest rank of its paths
  std::vector<PackedPath> paths;           // 1 or 2
  std::vector<const TensorView*> tensors;  // all that belong to it, shapes too
};

// True if the shards hold `linear` packed.
bool IsPackedLinear(const SafetensorsShards& shards, const std::string& linear);

// True for the last part of a name that belongs to a packed linear: "U_packed", "v1_R",
// "scale_mid".
bool IsPackedTensorName(std::string_view last_part);

// Throws Error{kGeneral} "where: tensor: expected .., found ..".
PackedLinear FindPackedLinear(const SafetensorsShards& shards, const LinearSpec& linear,
                              const std::string& where);

// Throws as FindPackedLinear for padding bits that are not zero and scales that are not finite.
// Scales that fp16 cannot hold to 2^-10 are told to `warnings`.
LittleBitLinear ReadPackedLinear(const PackedLinear& packed, const std::string& where,
                                 std::vector<std::string>& warnings);

}  // namespace llmq

#endif  // LLMQ_FORMATS_PACKED_LINEAR_H_
