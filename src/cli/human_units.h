// Numbers as people read them: sizes, counts, durations, times.
#ifndef LLMQ_CLI_HUMAN_UNITS_H_
#define LLMQ_CLI_HUMAN_UNITS_H_

#include <cstdint>
#include <string>

namespace llmq {

// "478 MB", "13.5 GB", "812 B": powers of 1024, as the contract's examples count.
std::string FormatBytes(uint64_t bytes);
// "6.7B", "19.3M", "260K", "512".
std::string FormatCount(int64_t count);
// "6,738,415,616".
std::string FormatThousands(int64_t count);
// "02:15", "1:02:15".
std::string FormatDuration(double seconds);
// "0.1", "2.0", "0.4875": the shortest text, with at least one decimal.
std::string FormatBpw(double bpw);
// "2026-11-22T16:40:31Z": now.
std::string UtcTime();
// "+61.6%", "-0.4%".
std::string FormatDelta(double percent);

}  // namespace llmq

#endif  // LLMQ_CLI_HUMAN_UNITS_H_
