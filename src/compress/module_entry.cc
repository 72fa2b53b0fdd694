// The module's side of the border: runs the pipeline and turns every exception into fields.
//
// Before: open_module.cc calls across the border. After: pipeline.cc. See module_abi.h.
#include "compress/error_border.h"
#include "compress/module_abi.h"
#include "llmq/error.h"

extern "C" __attribute__((visibility("default"))) int llmq_compressor_run_v1(
    llmq::CompressorCall* call) {
  if (call->abi != llmq::kCompressorAbi) return 1;
  llmq::SetVerbosity(call->verbosity);
  try {
    call->report = llmq::CompressConvertingErrors(*call->options, *call->observer);
  } catch (const llmq::Error& error) {
    call->error_code = error.exit_code();
    call->error_message = error.message();
    call->error_suggestion = error.suggestion();
  }
  return 0;
}
