#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace llmq {
namespace {

Verbosity g_verbosity = Verbosity::kNormal;

std::shared_ptr<spdlog::logger> MakeLogger(const char* name, const char* pattern) {
  auto logger =
      std::make_shared<spdlog::logger>(name, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern(pattern);
  logger->set_level(spdlog::level::trace);
  return logger;
}

void Print(Verbosity needed, const std::string_view message) {
  static const auto logger = MakeLogger("llm-quantize", "[llm-quantize] %v");
  if (g_verbosity >= needed) logger->info("{}", message);
}

}  // namespace

void SetVerbosity(Verbosity verbosity) { g_verbosity = verbosity; }
Verbosity GetVerbosity() { return g_verbosity; }

void LogDebug(std::string_view message) { Print(Verbosity::kDebug, message); }
void LogVerbose(std::string_view message) { Print(Verbosity::kVerbose, message); }
void LogInfo(std::string_view message) { Print(Verbosity::kNormal, message); }
void LogWarning(std::string_view message) {
  Print(Verbosity::kNormal, "Warning: " + std::string(message));
}
void LogError(std::string_view message) {
  static const auto logger = MakeLogger("errors", "%v");
  logger->error("{}", message);
}

}  // namespace llmq
