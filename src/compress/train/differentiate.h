// The loss of one micro-batch and its gradients, block by block.
//
// Before: trainer hands out sequences and the student's leaves. After: it sums the gradients. The
// forward pass leaves one graph per block, which the backward pass takes from the last to the
// first, handing down the gradient by the block's input. With checkpointing the graphs are not kept
// but made again, one at a time: the same operations on the same numbers, so the same bits, for a
// third more work and the memory of one block.
#ifndef LLMQ_COMPRESS_TRAIN_DIFFERENTIATE_H_
#define LLMQ_COMPRESS_TRAIN_DIFFERENTIATE_H_

#include "compress/train/gradient_sum.h"
#include "compress/train/student.h"
#include "compress/train/teacher.h"
#include "compress/train/trainable_model.h"
#include "llmq/compress.h"

namespace llmq {

// `share` times the student's distance from the answers to tokens [B, T]: of logits, or of the
// likeliest alone, and options.hidden_weight times that of hidden states.
// options.gradient_checkpointing and options.precision are not kAuto here. Thread-safe.
LossGradients DifferentiateLoss(const TrainableModel& model, const Answers& answers,
                                const Student& student, const at::Tensor& tokens,
                                const TrainOptions& options, double share);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_DIFFERENTIATE_H_
