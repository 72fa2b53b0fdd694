// A compression small enough for a test: a random model of two layers and a few training steps.
#ifndef LLMQ_TESTS_COMPRESS_TINY_RUN_H_
#define LLMQ_TESTS_COMPRESS_TINY_RUN_H_

#include <filesystem>
#include <string>

#include "llmq/compress.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq::testing {

// Wide enough for rank 8 and more; has the tokenizer of stories260k (512 tokens).
TinyCheckpointOptions TinyModelOptions();

// Options for the checkpoint in `directory`/model, output `directory`/out.littlebit, no
// checkpoints. Without training; TrainSteps turns it on.
CompressOptions TinyRunOptions(const std::filesystem::path& directory);

// 4 sequences of 16 tokens per step, from a made-up text of more than one epoch.
void TrainSteps(CompressOptions& options, int64_t steps);

std::string FileBytes(const std::filesystem::path& path);

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_COMPRESS_TINY_RUN_H_
