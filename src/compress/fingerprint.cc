#include "compress/fingerprint.h"

#include <fmt/core.h>
#include <torch/version.h>

#include "base/bytes.h"
#include "compress/factorize/byte_rows.h"
#include "compress/train/precision.h"

namespace llmq {
namespace {

const char* ResidualName(Residual residual) {
  switch (residual) {
    case Residual::kSpare: return "spare";
    case Residual::kOn: return "on";
    case Residual::kOff: return "off";
    case Residual::kAuto: break;
  }
  return "auto";
}

uint64_t TextChecksum(const TextDataset& text) {
  StreamingChecksum64 checksum;
  for (const std::string& document : text.documents) {
    const uint64_t bytes = document.size();  // between documents, so that their borders count
    checksum.Update(std::as_bytes(std::span(&bytes, 1)));
    checksum.Update(AsBytes(document));
  }
  return checksum.Digest();
}

// A digest stands for weights that need not be there yet.
uint64_t ModelChecksum(const CompressOptions& options, const Checkpoint& checkpoint) {
  if (options.weights_digest.empty()) return checkpoint.Fingerprint();
  return Checksum64(AsBytes(checkpoint.files().at("config.json") + options.weights_digest));
}

// Everything that may change the last bit of a sum.
std::string Arithmetic(const DeviceChoice& device) {
  return fmt::format("LibTorch {}.{}.{}, {}, {}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR,
                     TORCH_VERSION_PATCH, at::get_cpu_capability(),
                     HasByteProducts(device.device) ? "byte products" : device.name);
}

}  // namespace

uint64_t Fingerprint::Hash() const {
  std::string text;
  for (const auto& [name, value] : parts) text += name + "=" + value + "\n";
  return Checksum64(AsBytes(text));
}

std::string Fingerprint::HashText() const { return fmt::format("{:016x}", Hash()); }

Fingerprint MakeFingerprint(const CompressOptions& options, const TrainOptions& train,
                            const Checkpoint& checkpoint, const RankPlan& plan,
                            const DeviceChoice& device) {
  Fingerprint fingerprint;
  const auto add = [&](const char* name, std::string value) {
    fingerprint.parts.emplace_back(name, std::move(value));
  };
  add("program", LLMQ_VERSION);
  add("model", fmt::format("{:016x}", ModelChecksum(options, checkpoint)));
  add("source name", options.source_name);
  if (options.rank.manual_rank > 0) {
    add("rank", fmt::format("{}", options.rank.manual_rank));
  } else {
    add("target bits per weight", fmt::format("{}", options.rank.target_bpw));
  }
  add("recipe", options.recipe);
  add("residual", fmt::format("{} ({} path{})", ResidualName(options.rank.residual), plan.paths,
                              plan.paths == 1 ? "" : "s"));
  add("scale bits", fmt::format("{}", options.rank.scale_bits));
  add("kv rank factor", fmt::format("{}", options.rank.kv_rank_factor));
  add("budget scope", BudgetScopeName(options.budget_scope));
  add("embedding and head bits",
      fmt::format("{} {}", options.table_bits.embedding, options.table_bits.head));
  add("init", InitMethodName(options.init));
  add("iterations", fmt::format("{}", options.factorize_iterations));
  add("importance", ImportanceModeName(options.importance));
  add("allocation", options.allocation == Allocation::kAuto ? "auto" : "uniform");
  add("svd precision", options.svd_precision == SvdPrecision::kFloat64 ? "float64" : "float32");
  add("seed", fmt::format("{}", options.seed));
  add("arithmetic", Arithmetic(device));
  if (options.time_budget_seconds > 0) {
    add("time budget", fmt::format("{} s", options.time_budget_seconds));
  } else {
    add("train tokens", fmt::format("{}", train.tokens));
  }
  if (options.calibrates()) {
    add("calibration sequences", fmt::format("{}", options.calibration_sequences));
  }
  if (options.reads_text()) {
    add("sequence tokens", fmt::format("{}", train.sequence_tokens));
    add("training text", fmt::format("{} ({:016x})", options.training_text.name,
                                     TextChecksum(options.training_text)));
  }
  add("latent scale", train.latent_scale ? "on" : "off");
  add(fingerprint_part::kBlockTokens, fmt::format("{}", train.block_tokens));
  add("absorption", train.absorption ? "on" : "off");
  add(fingerprint_part::kKdTokens, fmt::format("{}", train.kd_tokens));
  const bool trains = train.tokens > 0 || train.kd_tokens > 0 || options.time_budget_seconds > 0;
  if (!trains && train.block_tokens == 0) return fingerprint;
  add("learning rate", fmt::format("{}", train.learning_rate));
  add("batch sequences", fmt::format("{}", train.batch_sequences));
  add("hidden weight", fmt::format("{}", train.hidden_weight));
  add("own text", fmt::format("{}", train.own_text));
  add("scale rate", fmt::format("{}", train.scale_rate));
  add("warm-up share", fmt::format("{}", train.warmup_share));
  add("surrogate", train.surrogate == Surrogate::kSmoothSign ? "smooth sign" : "straight-through");
  add("training precision", train.precision == TrainPrecision::kBf16 ? "bf16" : "float32");
  add("trained part", train.part == TrainedPart::kAll ? "all" : "scales");
  return fingerprint;
}

}  // namespace llmq
