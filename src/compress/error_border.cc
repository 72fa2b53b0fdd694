#include "compress/error_border.h"

#include <new>
#include <string>

#include "compress/pipeline.h"
#include "compress/torch_headers.h"
#include "llmq/error.h"

namespace llmq {
namespace {

Error OutOfMemory(const std::string& what) {
  return Error(ErrorCode::kOutOfMemory, "compress: expected enough memory, found: " + what,
               "Use --train-tokens 0, --device cpu or fewer --threads");
}

// LibTorch reports failed allocations of the CPU and of CUDA's libraries as plain errors.
bool IsOutOfMemory(const std::string& what) {
  for (const char* sign : {"can't allocate memory", "out of memory", "ALLOC_FAILED"}) {
    if (what.find(sign) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

CompressReport CompressConvertingErrors(const CompressOptions& options,
                                        CompressObserver& observer) {
  try {
    return RunPipeline(options, observer);
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw OutOfMemory("an allocation that failed");
  } catch (const c10::OutOfMemoryError& error) {
    throw OutOfMemory(error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    if (IsOutOfMemory(what)) throw OutOfMemory(what);
    throw Error(ErrorCode::kGeneral, "compress: LibTorch: " + what);
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kGeneral, std::string("compress: ") + error.what());
  }
}

}  // namespace llmq
