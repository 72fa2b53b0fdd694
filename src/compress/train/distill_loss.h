// What training minimises: the student's distance from the teacher (arXiv 2506.13771, section 3.5).
//
// Before: trainable_model ran both. After: trainer differentiates. Means over tokens, so that the
// value does not depend on the batch; the hidden-state term is relative, so that the weight means
// the same in every layer and model (the paper's plain MSE grows with the residual stream).
#ifndef LLMQ_COMPRESS_TRAIN_DISTILL_LOSS_H_
#define LLMQ_COMPRESS_TRAIN_DISTILL_LOSS_H_

#include "compress/train/teacher.h"
#include "compress/train/trainable_model.h"

namespace llmq {

// KL(teacher || student), mean over tokens, of logits [B, T, vocab]. Scalar f32.
at::Tensor LogitLoss(const at::Tensor& teacher, const at::Tensor& student);

// The same with all but the likeliest tokens of the teacher taken as one: at most LogitLoss, and
// equal to it if all are known.
at::Tensor TopLogitLoss(const TopAnswers& teacher, const at::Tensor& student);

// mean((s - t)^2) / mean(t^2) of a block's outputs [B, T, hidden]. Scalar f32.
at::Tensor HiddenLoss(const at::Tensor& teacher, const at::Tensor& student);

// LogitLoss plus hidden_weight times the sum of HiddenLoss over blocks. Scalar f32.
at::Tensor DistillLoss(const ForwardResult& teacher, const ForwardResult& student,
                       double hidden_weight);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_DISTILL_LOSS_H_
