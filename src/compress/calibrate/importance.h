// From statistics to weights of the squared error, one per row and one per column of a matrix.
//
// Before: channel_statistics. After: factorize/path_factorizer scales the matrix by their roots.
// Shrinking toward the mean keeps a fit from ignoring channels that the calibration text happened
// not to use; dividing by the mean makes the numbers independent of the loss's unit (as NanoQuant
// does).
#ifndef LLMQ_COMPRESS_CALIBRATE_IMPORTANCE_H_
#define LLMQ_COMPRESS_CALIBRATE_IMPORTANCE_H_

#include "compress/calibrate/channel_statistics.h"
#include "compress/factorize/path_factorizer.h"

namespace llmq {

Importance ImportanceOf(const ChannelStatistics& statistics);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_CALIBRATE_IMPORTANCE_H_
