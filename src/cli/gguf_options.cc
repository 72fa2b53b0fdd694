#include "cli/gguf_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include "base/file.h"
#include "cli/interrupt.h"
#include "llmq/error.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

// "2G", "500M", "1000000": bytes, in powers of 1000 as llama-gguf-split counts. nullopt if it is no
// size.
std::optional<uint64_t> ParseSize(const std::string& text) {
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || value == 0) return std::nullopt;
  const std::string unit(end, text.data() + text.size());
  uint64_t scale = 1;
  if (unit == "K" || unit == "k") scale = 1000;
  if (unit == "M" || unit == "m") scale = 1'000'000;
  if (unit == "G" || unit == "g") scale = 1'000'000'000;
  if ((scale == 1) != unit.empty() || value > (uint64_t{1} << 60) / scale) return std::nullopt;
  return value * scale;
}

// An extension does not begin with a digit: the ".5bpw" of "model-0.5bpw" is none.
bool HasExtension(const std::string& name) {
  const std::string extension = fs::path(name).extension().string();
  return extension.size() >= 2 && std::isdigit(static_cast<unsigned char>(extension[1])) == 0;
}

}  // namespace

OutputFormat OutputFormatFromName(const std::string& name) {
  if (name == "gguf-ext") return OutputFormat::kGgufExt;
  return name == "gguf-lossy" ? OutputFormat::kGgufLossy : OutputFormat::kLittleBit;
}

void AddGgufOptions(CLI::App& app, GgufArguments& arguments) {
  app.add_option("--gguf-quant", arguments.quant,
                 "Block type of gguf-lossy: F32, F16, BF16, Q8_0 ... Q2_K")
      ->type_name("TEXT")
      ->capture_default_str();
  app.add_option("--pre-tokenizer", arguments.pre_tokenizer,
                 "llama.cpp's name of the pre-tokenizer (found out if not set)")
      ->type_name("TEXT");
  app.add_option("--max-shard-size", arguments.max_shard_size,
                 "Split gguf-lossy into files of at most this size, 2G for example")
      ->type_name("SIZE");
}

LossyOptions MakeLossyOptions(const GgufArguments& arguments, int threads) {
  LossyOptions options{.file_type = CanonicalFileType(arguments.quant),
                       .pre_tokenizer = arguments.pre_tokenizer,
                       .threads = threads};
  if (arguments.max_shard_size.empty()) return options;
  const std::optional<uint64_t> size = ParseSize(arguments.max_shard_size);
  if (!size) {
    throw Error(
        ErrorCode::kInvalidArguments,
        fmt::format("--max-shard-size: expected a number of bytes with K, M or G behind it, "
                    "found '{}'",
                    arguments.max_shard_size),
        "Write 2G or 500M");
  }
  options.max_shard_bytes = *size;
  return options;
}

std::string OutputFileName(const std::string& stem, const std::string& name, OutputFormat format,
                           const GgufArguments& arguments) {
  const std::string extension = format == OutputFormat::kLittleBit ? ".littlebit" : ".gguf";
  if (!name.empty()) return HasExtension(name) ? name : name + extension;
  if (format != OutputFormat::kGgufLossy) return stem + extension;
  return fmt::format("{}-lossy-{}{}", stem, CanonicalFileType(arguments.quant), extension);
}

void CheckCanHoldOutput(const fs::path& output) {
  if (CanHoldFile(output)) return;
  throw Error(ErrorCode::kInvalidArguments,
              fmt::format("{}: expected a file to write, found a directory, pipe or device",
                          output.string()),
              "Choose another --output-dir or --output-name");
}

Conversion Convert(const LittleBitFile& input, const fs::path& output, OutputFormat format,
                   const LossyOptions& lossy, Progress& progress) {
  Conversion conversion;
  if (format == OutputFormat::kLittleBit) {
    conversion.bytes = WriteLittleBit(input, output);
    conversion.files = {output};
    return conversion;
  }
  if (format == OutputFormat::kGgufExt) {
    const std::vector<GgufKey> keys = DescriptiveKeys(input, conversion.warnings);
    conversion.bytes = WriteGgufExt(input, output, keys);
    conversion.files = {output};
    return conversion;
  }
  bool begun = false;
  LossyReport report = WriteGgufLossy(input, output, lossy,
                                      [&](int64_t done, int64_t total, const std::string& name) {
                                        if (!std::exchange(begun, true))
                                          progress.Begin("Quantizing", total, 0, "tensors");
                                        progress.Advance(done, name);
                                        return !InterruptRequested();
                                      });
  progress.End();
  return {std::move(report.files), report.bytes, std::move(report.types),
          std::move(report.warnings)};
}

}  // namespace llmq
