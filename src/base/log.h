// Messages for people, on stderr, with the prefix "[llm-quantize] ". Results never come this way.
#ifndef LLMQ_BASE_LOG_H_
#define LLMQ_BASE_LOG_H_

#include <string_view>

namespace llmq {

enum class Verbosity { kQuiet, kNormal, kVerbose, kDebug };

// Applies to the whole process (and to the compressor module, which is handed the value).
void SetVerbosity(Verbosity verbosity);
Verbosity GetVerbosity();

void LogDebug(std::string_view message);    // shown at debug
void LogVerbose(std::string_view message);  // shown at verbose and above
void LogInfo(std::string_view message);     // shown at normal and above
void LogWarning(std::string_view message);  // "Warning: ...", shown at normal and above
void LogError(std::string_view message);    // always shown, without the prefix

}  // namespace llmq

#endif  // LLMQ_BASE_LOG_H_
