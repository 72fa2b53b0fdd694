// llm-quantize littlebit convert: the contract's options, and an honest refusal until there is a
// GGUF writer.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "cli/command.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"

namespace llmq {
namespace {

struct ConvertOptions {
  std::string input;
  std::string output_format;
  std::string output_dir = ".";
  std::string output_name;
  std::string gguf_quant = "Q4_K_M";
  bool force = false;
};

void RunConvert(const ConvertOptions& options, Output&) {
  const LittleBitFile input{std::filesystem::path(options.input)};
  if (options.output_format == "littlebit") {
    throw Error(ErrorCode::kUnsupportedConversion,
                fmt::format("{}: expected another format than littlebit to convert to: the file "
                            "already has it",
                            options.input),
                "Copy the file");
  }
  throw Error(ErrorCode::kUnsupportedConversion,
              fmt::format("{}: conversion to {} is not built in yet; it comes with the GGUF writer",
                          options.input, options.output_format),
              "Use the .littlebit file with 'llm-quantize littlebit run'");
}

}  // namespace

CommandRun SetupConvert(CLI::App& app) {
  auto options = std::make_shared<ConvertOptions>();
  app.add_option("INPUT", options->input, "Path to a .littlebit file")->required();
  app.add_option("OUTPUT_FORMAT", options->output_format, "littlebit, gguf-ext or gguf-lossy")
      ->required()
      ->check(CLI::IsMember({"littlebit", "gguf-ext", "gguf-lossy"}).description(""));
  app.add_option("-o,--output-dir", options->output_dir, "Output directory")
      ->type_name("PATH")
      ->capture_default_str();
  app.add_option("-n,--output-name", options->output_name, "Output filename")->type_name("TEXT");
  app.add_option("--gguf-quant", options->gguf_quant, "GGUF quantization for lossy conversion")
      ->type_name("TEXT")
      ->capture_default_str();
  app.add_flag("--force", options->force, "Skip the quality warning of lossy conversion");
  app.footer(
      "GGUF output is not built in yet: the command checks its input and exits with code 8.");
  return [options](Output& output) { RunConvert(*options, output); };
}

}  // namespace llmq
