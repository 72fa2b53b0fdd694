// The options of compress.
#ifndef LLMQ_CLI_COMPRESS_OPTIONS_H_
#define LLMQ_CLI_COMPRESS_OPTIONS_H_

#include <CLI/CLI.hpp>

#include "cli/compress_arguments.h"

namespace llmq {

// Parsing `app` fills `arguments`, which must outlive it; CheckCompressValues() is still to come.
void AddCompressOptions(CLI::App& app, CompressArguments& arguments);

}  // namespace llmq

#endif  // LLMQ_CLI_COMPRESS_OPTIONS_H_
