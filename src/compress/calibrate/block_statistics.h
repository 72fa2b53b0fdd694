// What was watched in a block becomes statistics, and experts that few tokens reached get theirs
// from the others.
//
// Before: watched_linears summed up what went through each linear. After: channel_statistics and
// block_stage keep the means. Below kFewTokens an expert's sums are filled up to that number with
// the mean token of all experts of its layer: channel by channel where channels are those of the
// residual stream, evenly where they are an expert's own.
#ifndef LLMQ_COMPRESS_CALIBRATE_BLOCK_STATISTICS_H_
#define LLMQ_COMPRESS_CALIBRATE_BLOCK_STATISTICS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "compress/calibrate/channel_statistics.h"
#include "compress/calibrate/watched_linears.h"
#include "llmq/model_config.h"

namespace llmq {

inline constexpr int64_t kFewTokens = 32;

// totals: of what went into each linear of the block, of `all_tokens` of text. Sets input, tokens.
void StoreInputs(const ModelConfig& config, int64_t layer, std::vector<SquareSum> totals,
                 int64_t all_tokens, std::span<ChannelStatistics> block);
// totals: of the derivatives by what came out. Sets gradient.
void StoreGradients(const ModelConfig& config, int64_t layer, std::vector<SquareSum> totals,
                    std::span<ChannelStatistics> block);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_CALIBRATE_BLOCK_STATISTICS_H_
