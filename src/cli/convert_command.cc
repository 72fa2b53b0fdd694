// llm-quantize littlebit convert: the same compressed model in another container, or multiplied out
// for llama.cpp.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>

#include "base/file.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/compress_arguments.h"
#include "cli/compress_report.h"
#include "cli/gguf_options.h"
#include "cli/human_units.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"
#include "llmq/packed_checkpoint.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

struct ConvertOptions {
  std::string input;
  std::string output_format;
  std::string output_dir = ".";
  std::string output_name;
  GgufArguments gguf;
  bool force = false;
  int embedding_bits = 8;
  int threads = 0;
};

const char* FormatName(LittleBitContainer container) {
  return container == LittleBitContainer::kNative ? "littlebit" : "gguf-ext";
}

[[noreturn]] void ThrowUnsupported(const std::string& message, const std::string& suggestion) {
  throw Error(ErrorCode::kUnsupportedConversion, message, suggestion);
}

// What exists but is no compressed model cannot be converted at all. A directory may hold a packed
// checkpoint of another tool, which only becomes .littlebit.
void CheckDirectory(const ConvertOptions& options, OutputFormat format) {
  if (!LooksLikePackedCheckpoint(options.input)) {
    ThrowUnsupported(
        fmt::format("{}: expected a .littlebit or gguf-ext file or a checkpoint with packed "
                    "factors, found a directory without",
                    options.input),
        "Compress the model first: llm-quantize littlebit compress");
  }
  if (format != OutputFormat::kLittleBit) {
    ThrowUnsupported(
        fmt::format("{}: a packed checkpoint converts to littlebit only", options.input),
        "Convert to littlebit first, then convert that file");
  }
}

void CheckInput(const ConvertOptions& options) {
  if (LooksLikeGguf(options.input) && !HoldsLittleBit(options.input)) {
    ThrowUnsupported(fmt::format("{}: expected a .littlebit or gguf-ext file, found a GGUF file "
                                 "without LittleBit factors",
                                 options.input),
                     "Compress the original model first: llm-quantize littlebit compress");
  }
}

fs::path OutputPathOf(const ConvertOptions& options, OutputFormat format) {
  std::error_code failure;
  const std::string stem = fs::is_directory(options.input, failure)
                               ? ModelName(options.input)
                               : fs::path(options.input).stem().string();
  const fs::path output = fs::path(options.output_dir) /
                          OutputFileName(stem, options.output_name, format, options.gguf);
  if (options.output_name.find('/') != std::string::npos) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("--output-name: expected a file name without '/', found '{}'",
                            options.output_name),
                "Name the directory with --output-dir");
  }
  CheckCanHoldOutput(output);
  if (fs::equivalent(output, options.input, failure)) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("{}: writing it would overwrite the input", output.string()),
                "Choose another --output-dir or --output-name");
  }
  return output;
}

// The contract's warning: a yes on a terminal, or --force.
void ConfirmLoss(const ConvertOptions& options) {
  if (options.force) return;
  const std::string warning =
      "gguf-lossy multiplies the factors out and quantizes again: the file is larger and a little "
      "worse than its input";
  if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0) {
    throw Error(ErrorCode::kUserCancelled, options.input + ": " + warning, "Add --force to go on");
  }
  std::cerr << warning << ". Go on? [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  if (answer != "y" && answer != "Y" && answer != "yes") {
    throw Error(ErrorCode::kUserCancelled, options.input + ": conversion was not confirmed",
                "Add --force to skip the question");
  }
}

Json ConversionJson(const ConvertOptions& options, const LittleBitFile& input,
                    const Conversion& conversion, double seconds) {
  Json files = Json::array();
  for (const fs::path& file : conversion.files) files.push_back(file.string());
  const bool lossy = options.output_format == "gguf-lossy";
  const auto original = input.metadata().original_fp16_bytes;
  return {
      {"status", "success"},
      {"input_path", options.input},
      {"input_format", FormatName(input.container())},
      {"output_path", conversion.files.front().string()},
      {"output_files", files},
      {"format", options.output_format},
      {"gguf_quant", lossy ? Json(CanonicalFileType(options.gguf.quant)) : Json()},
      {"source_model", input.metadata().source_model},
      {"input_size_bytes", input.file_bytes()},
      {"original_size_bytes", original},
      {"compressed_size_bytes", conversion.bytes},
      {"compression_ratio", static_cast<double>(original) / static_cast<double>(conversion.bytes)},
      {"file_bpw", FileBpw(conversion.bytes, input.metadata().original_parameters)},
      {"tensor_types", lossy ? Json(conversion.types) : Json()},
      {"warnings", conversion.warnings},
      {"duration_seconds", seconds},
      {"peak_memory_bytes", PeakMemoryBytes()}};
}

std::string ConversionText(const LittleBitFile& input, const Conversion& conversion) {
  std::string text;
  for (const fs::path& file : conversion.files) text += fmt::format("Output: {}\n", file.string());
  text += fmt::format("Size: {} (input: {})\n", FormatBytes(conversion.bytes),
                      FormatBytes(input.file_bytes()));
  for (const auto& [type, count] : conversion.types) {
    text += fmt::format("  {}: {} tensors\n", type, count);
  }
  return text;
}

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// A checkpoint of LittleBit's or NanoQuant's tools becomes a .littlebit file.
void RunImport(const ConvertOptions& options, Output& output) {
  const auto begin = std::chrono::steady_clock::now();
  CheckDirectory(options, OutputFormatFromName(options.output_format));
  const fs::path path = OutputPathOf(options, OutputFormat::kLittleBit);
  EnsureWritableDirectory(options.output_dir);
  Conversion conversion{.files = {path}};
  conversion.bytes =
      ImportPackedCheckpoint(options.input, path,
                             {.table_bits = {options.embedding_bits, options.embedding_bits},
                              .source_name = options.input},
                             conversion.warnings);
  for (const std::string& warning : conversion.warnings) LogWarning(warning);
  const LittleBitFile made(path);
  Json json = ConversionJson(options, made, conversion, SecondsSince(begin));
  json["input_format"] = "packed";
  output.Result(json, ConversionText(made, conversion));
}

void RunConvert(const ConvertOptions& options, Output& output) {
  const auto begin = std::chrono::steady_clock::now();
  std::error_code failure;
  if (fs::is_directory(options.input, failure)) return RunImport(options, output);
  const OutputFormat format = OutputFormatFromName(options.output_format);
  CheckInput(options);
  const LittleBitFile input{fs::path(options.input)};
  if (options.output_format == FormatName(input.container())) {
    ThrowUnsupported(fmt::format("{}: expected another format than {}: the file already has it",
                                 options.input, options.output_format),
                     "Copy the file");
  }
  const LossyOptions lossy = MakeLossyOptions(options.gguf, options.threads);
  const fs::path path = OutputPathOf(options, format);
  if (format == OutputFormat::kGgufLossy) ConfirmLoss(options);
  EnsureWritableDirectory(options.output_dir);
  CheckDiskSpace(options.output_dir,
                 format == OutputFormat::kGgufLossy
                     ? PlannedGgufLossyBytes(input.files(), input.config(), lossy, options.input)
                     : input.file_bytes());
  if (fs::exists(path, failure)) LogInfo(fmt::format("Replacing {}", path.string()));
  input.Verify();  // a damaged factor would become a plausible weight
  Progress progress;
  const Conversion conversion = Convert(input, path, format, lossy, progress);
  for (const std::string& warning : conversion.warnings) LogWarning(warning);
  output.Result(ConversionJson(options, input, conversion, SecondsSince(begin)),
                ConversionText(input, conversion));
}

}  // namespace

CommandRun SetupConvert(CLI::App& app) {
  auto options = std::make_shared<ConvertOptions>();
  app.add_option("INPUT", options->input,
                 "Path to a .littlebit or gguf-ext file, or a directory with packed factors")
      ->required();
  app.add_option("OUTPUT_FORMAT", options->output_format, "littlebit, gguf-ext or gguf-lossy")
      ->required()
      ->check(CLI::IsMember({"littlebit", "gguf-ext", "gguf-lossy"}).description(""));
  app.add_option("-o,--output-dir", options->output_dir, "Output directory")
      ->type_name("PATH")
      ->capture_default_str();
  app.add_option("-n,--output-name", options->output_name, "Output filename")->type_name("TEXT");
  AddGgufOptions(app, options->gguf);
  app.add_option("--embedding-bits", options->embedding_bits,
                 "Bits of embedding and head of an imported directory: 16, 8, 6 or 4")
      ->type_name("INT")
      ->capture_default_str()
      ->check(CLI::IsMember({16, 8, 6, 4}).description(""));
  app.add_flag("--force", options->force, "Skip the quality warning of lossy conversion");
  app.add_option("--threads", options->threads, "Threads (0: one per core)")
      ->type_name("INT")
      ->check(CLI::Range(0, 4096).description(""))
      ->capture_default_str();
  app.footer(
      "Examples:\n"
      "  llm-quantize littlebit convert ./model.littlebit gguf-ext\n"
      "  llm-quantize littlebit convert ./model.gguf littlebit\n"
      "  llm-quantize littlebit convert ./model.littlebit gguf-lossy --gguf-quant Q5_K_M --force");
  return [options](Output& output) { RunConvert(*options, output); };
}

}  // namespace llmq
