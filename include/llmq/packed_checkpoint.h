// Checkpoints that LittleBit's and NanoQuant's public tools write ("packed layout"): signs of the
// factors in 32-bit words beside an ordinary config.json. docs/format/packed.md describes them.
//
// They are read only to be written again as .littlebit: signs and scales are carried over, nothing
// is factorized or trained.
#ifndef LLMQ_PACKED_CHECKPOINT_H_
#define LLMQ_PACKED_CHECKPOINT_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "llmq/group_quant.h"

namespace llmq {

struct PackedImportOptions {
  TableBits table_bits;
  std::string source_name;  // for the metadata; empty: the directory's name
};

// True if `directory` holds safetensors files, whole or sharded, with a tensor named *.U_packed.
// False for everything that cannot be opened: whoever opens it next will say why.
bool LooksLikePackedCheckpoint(const std::filesystem::path& directory);

// Writes the model in `directory` as a .littlebit file at `output` and returns its bytes.
//
// A packed linear with factors U [d_out, r] and V [r, d_in] becomes a section of the same rank with
// one or two paths; if the paths differ in rank, latent dimensions with scale 0 fill the shorter
// one. Scales become fp16; powers of two move between h, l and g of a path where that keeps them in
// fp16's range. Linears left dense stay as they are. The relative error of a section is stored as
// 0: the original weights, which it would compare with, are not here. Memory is bounded by the
// largest layer or table. `warnings` gets one text per oddity that does not stop the import.
//
// Throws Error, and leaves nothing at `output`: kModelNotFound (no weights or no config.json),
// kInvalidArguments (table_bits), kGeneral ("directory: tensor: expected .., found ..": shapes
// that disagree, wrong element types, missing scales, values that are not finite, padding bits that
// are not zero, a bias that config.json does not name, only pickled weights; an unsupported
// config.json).
uint64_t ImportPackedCheckpoint(const std::filesystem::path& directory,
                                const std::filesystem::path& output,
                                const PackedImportOptions& options,
                                std::vector<std::string>& warnings);

}  // namespace llmq

#endif  // LLMQ_PACKED_CHECKPOINT_H_
