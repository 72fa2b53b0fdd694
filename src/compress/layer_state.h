// One factorized layer, in memory and in a checkpoint file.
//
// Before: factorize_layer. After: train/student takes the latents, or export the packed signs.
// Without training only the packed form is kept: 32 times smaller than the latents.
#ifndef LLMQ_COMPRESS_LAYER_STATE_H_
#define LLMQ_COMPRESS_LAYER_STATE_H_

#include <filesystem>

#include "compress/export.h"
#include "compress/factorize/factorize_layer.h"

namespace llmq {

struct LayerState {
  LayerFactors
      factors;  // paths are empty in the packed form; shape and relative_error are always set
  LittleBitLinear packed;

  bool is_packed() const { return !packed.payload.empty(); }
};

void SaveLayer(const LayerState& layer, const std::filesystem::path& path);

// Throws Error{kGeneral} if the file is damaged or does not fit `shape`.
LayerState LoadLayer(const std::filesystem::path& path, const LittleBitShape& shape, bool packed);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_LAYER_STATE_H_
