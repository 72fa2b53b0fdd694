// Models that the runtime's tests make for themselves.
#ifndef LLMQ_TESTS_RUNTIME_TEST_MODELS_H_
#define LLMQ_TESTS_RUNTIME_TEST_MODELS_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "llmq/littlebit.h"

namespace llmq::testing {

// Writes `source` (a checkpoint directory) to `directory` with every tensor's elements permuted by
// the seed.
void WriteShuffled(const std::filesystem::path& source, const std::filesystem::path& directory,
                   uint64_t seed);

// A layer of random signs and of scales such that outputs have about the size of inputs.
LittleBitLinear RandomLittleBit(const LittleBitShape& shape, uint64_t seed);

struct CompressedPair {
  std::filesystem::path littlebit;  // the file
  std::filesystem::path dense;      // a checkpoint with the matrices that the file stands for, F32
};
// Replaces every linear of the checkpoint `source` by a random compressed layer, and embedding and
// head by grouped tensors of `embedding_bits`; writes the result in both forms.
CompressedPair WriteCompressedPair(const std::filesystem::path& source,
                                   const std::filesystem::path& directory, int64_t rank,
                                   int64_t paths, int embedding_bits);

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_RUNTIME_TEST_MODELS_H_
