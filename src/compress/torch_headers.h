// The only door to LibTorch's headers, precompiled: tensors, their operators and the derivative
// engine. torch/torch.h (modules, optimizers, data loaders) costs four times the compile time and
// is not needed.
#ifndef LLMQ_COMPRESS_TORCH_HEADERS_H_
#define LLMQ_COMPRESS_TORCH_HEADERS_H_

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/cpu/Utils.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/variable.h>

#endif  // LLMQ_COMPRESS_TORCH_HEADERS_H_
