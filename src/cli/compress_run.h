// Compressing once, or as often as a quality threshold needs (FR-008).
#ifndef LLMQ_CLI_COMPRESS_RUN_H_
#define LLMQ_CLI_COMPRESS_RUN_H_

#include "cli/compress_observer.h"
#include "cli/compress_report.h"

namespace llmq {

// Where the .littlebit file is while `output` is made of it; `output` itself if that is one.
std::filesystem::path NativePath(const std::filesystem::path& output, OutputFormat format);

// Compresses to options.output and measures unless arguments.skip_validation. The file at
// options.output appears complete or not at all. A failed measurement leaves it: hours of work are
// not thrown away.
CompressOutcome CompressOnce(const CompressArguments& arguments, const CompressOptions& options,
                             const TextDataset& held_out, CommandObserver& observer,
                             Progress& progress);

// Searches the smallest BPW whose perplexity increase stays within arguments.quality_threshold.
// Throws Error{kQualityThresholdExceeded}, and leaves nothing at options.output, if there is none.
CompressOutcome CompressToThreshold(const CompressArguments& arguments,
                                    const CompressEnvironment& environment,
                                    const CompressOptions& options, const TextDataset& held_out,
                                    CommandObserver& observer, Progress& progress);

}  // namespace llmq

#endif  // LLMQ_CLI_COMPRESS_RUN_H_
