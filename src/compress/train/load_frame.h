// The tensors outside the blocks' matrices, from the checkpoint to LibTorch: for the teacher as
// they are, for the student as they will be stored.
#ifndef LLMQ_COMPRESS_TRAIN_LOAD_FRAME_H_
#define LLMQ_COMPRESS_TRAIN_LOAD_FRAME_H_

#include <string>

#include "compress/train/teacher.h"
#include "compress/train/trainable_model.h"
#include "llmq/checkpoint.h"
#include "llmq/group_quant.h"

namespace llmq {

// A tensor as f32 on `device`.
at::Tensor LoadTensor(const Checkpoint& checkpoint, const std::string& name, at::Device device);
// A norm as it multiplies: with the family's offset.
NormTensors LoadNorm(const Checkpoint& checkpoint, const NormSpec& norm, at::Device device);

// Frame with the original embedding and head, and all dense linears, on `device`. All throw
// Error{kFactorizationFailed} for weights that are not finite.
Teacher LoadTeacher(const Checkpoint& checkpoint, at::Device device);
// Its pieces, for those who hold one at a time; what is not loaded is undefined.
FrameWeights LoadBeforeBlocks(const Checkpoint& checkpoint, at::Device device);  // embedding, ..
Teacher LoadBlock(const Checkpoint& checkpoint, int64_t layer, at::Device device);
FrameWeights LoadAfterBlocks(const Checkpoint& checkpoint, at::Device device);  // last norm, head

// The frame alone.
FrameWeights LoadFrame(const Checkpoint& checkpoint, at::Device device);

// The teacher's frame with embedding and head in `table_bits` (16: shared with the teacher).
FrameWeights StoredFrame(const Checkpoint& checkpoint, const FrameWeights& teacher,
                         const TableBits& table_bits, at::Device device);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_LOAD_FRAME_H_
