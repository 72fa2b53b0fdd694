// LLMQ_COMPRESSOR=MODULE: opens libllmq_compressor.so when the compressor is first needed.
//
// Before: a command calls Compress(). After: module_entry.cc. The module brings LibTorch with it
// (0.6 to 1.2 s and 160 MB), which commands that do not compress never pay for. It stays open:
// LibTorch registers threads and allocators that do not survive being unloaded.
#include <dlfcn.h>
#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "compress/module_abi.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr const char* kModulePathVariable = "LLM_QUANTIZE_COMPRESSOR";

std::vector<std::filesystem::path> Candidates() {
  if (const char* named = std::getenv(kModulePathVariable); named != nullptr && *named != '\0') {
    return {named};
  }
  std::error_code failure;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", failure).parent_path();
  return {folder / kCompressorFileName, folder / "../lib" / kCompressorFileName,
          folder / LLMQ_MODULE_FROM_BIN / kCompressorFileName};
}

[[noreturn]] void ThrowUnopened(const std::string& found) {
  throw Error(
      ErrorCode::kGeneral,
      fmt::format("compressor module {}: expected a module to open, found: {}", kCompressorFileName,
                  found),
      fmt::format("Install it beside llm-quantize or in ../lib, or set {}", kModulePathVariable));
}

void* OpenFirst() {
  std::string tried;
  for (const std::filesystem::path& path : Candidates()) {
    std::error_code failure;
    if (!std::filesystem::exists(path, failure)) {
      tried += (tried.empty() ? "nothing at " : ", ") + path.string();
      continue;
    }
    if (void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return module;
    ThrowUnopened(dlerror());  // names the file and what it lacks
  }
  ThrowUnopened(tried);
}

CompressorEntry FindEntry() {
  static const CompressorEntry entry =
      reinterpret_cast<CompressorEntry>(dlsym(OpenFirst(), kCompressorEntryName));
  if (entry == nullptr) ThrowUnopened("another library of that name");
  return entry;
}

}  // namespace

CompressReport Compress(const CompressOptions& options, CompressObserver& observer) {
  CompressorCall call;
  call.options = &options;
  call.observer = &observer;
  call.verbosity = GetVerbosity();
  if (FindEntry()(&call) != 0) ThrowUnopened("a module of another version of llm-quantize");
  if (call.error_code != 0) {
    throw Error(static_cast<ErrorCode>(call.error_code), call.error_message, call.error_suggestion);
  }
  return std::move(call.report);
}

bool CompressorBuiltIn() { return true; }

}  // namespace llmq
