// Making a compressed model: the door to the workshop wing (LibTorch), without naming LibTorch.
//
// Compress() is reached in one of three ways, chosen by LLMQ_COMPRESSOR when the program is built:
// a module opened on demand, a direct call, or an error "built without the compressor". See
// docs/architecture.md.
#ifndef LLMQ_COMPRESS_H_
#define LLMQ_COMPRESS_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "llmq/arriving_weights.h"
#include "llmq/bit_budget.h"
#include "llmq/group_quant.h"
#include "llmq/text_dataset.h"

namespace llmq {

enum class SvdPrecision { kFloat32, kFloat64 };
// What training starts from: the paper's decomposition; the same after a rotation (LittleBit-2); a
// fit of signs and scales (NanoQuant); signs annealed (docs/decisions/0005); for comparison, random
// signs with the best scales for them. All but the first and the last are refined.
enum class InitMethod { kDualSvid, kItq, kAdmm, kAnneal, kRandom };
// Whether the fit before training weighs channels by what they carry: by mean squares of inputs and
// of the loss's derivatives, or of inputs alone (one pass forward, little memory).
enum class ImportanceMode { kOff, kForward, kFull };
enum class Allocation { kUniform, kAuto };  // the same bits per weight everywhere, or as measured
enum class Surrogate { kSmoothSign, kStraightThrough };  // gradient of sign(x) in training

constexpr const char* InitMethodName(InitMethod method) {
  switch (method) {
    case InitMethod::kItq: return "itq";
    case InitMethod::kAdmm: return "admm";
    case InitMethod::kAnneal: return "anneal";
    case InitMethod::kRandom: return "random";
    case InitMethod::kDualSvid: break;
  }
  return "dual-svid";
}

constexpr const char* ImportanceModeName(ImportanceMode mode) {
  switch (mode) {
    case ImportanceMode::kForward: return "forward";
    case ImportanceMode::kFull: return "full";
    case ImportanceMode::kOff: break;
  }
  return "off";
}

// What training moves: everything but embedding and head, or not the signs either.
enum class TrainedPart { kAll, kScales };

// Of matrix products in training. kAuto: bf16 on CUDA devices from compute capability 8 on, float32
// on others and on the CPU.
enum class TrainPrecision { kAuto, kFloat32, kBf16 };
// Whether training keeps what each block computed, or computes it again on the way back: the same
// result, with less memory and a third more work. kAuto: on if it would not fit otherwise.
enum class GradientCheckpointing { kAuto, kOn, kOff };

struct TrainOptions {
  int64_t tokens = 200000;      // 0: initialization only
  double learning_rate = 3e-4;  // peak of the cosine; 0: LearningRateFor(body BPW) of recipe.h
  int64_t batch_sequences = 2;
  int64_t sequence_tokens = 0;  // 0: min(256, the model's context)
  // Weight of the hidden-state MSE beside the KL term. The paper's 10 is for plain MSE; here each
  // layer's is divided by the teacher's mean square, which is several times larger.
  double hidden_weight = 1.0;
  double warmup_share = 0.02;
  // Share (0 to 1) of the sequences of training that the original model writes itself.
  double own_text = 0;
  Surrogate surrogate = Surrogate::kSmoothSign;
  // Of scales, norms and biases to that of latents; scales move by this share of their size.
  double scale_rate = 1;
  bool latent_scale =
      true;  // off, for comparison: the same number in a matrix's whole latent scale
  TrainedPart part = TrainedPart::kAll;
  TrainPrecision precision = TrainPrecision::kAuto;
  GradientCheckpointing gradient_checkpointing = GradientCheckpointing::kAuto;
  // Tokens that one pass over a block sees: blocks are compressed one after the other, each trained
  // to answer as the original does on what those before it hand on. 0: matrices by themselves.
  int64_t block_tokens = 0;
  bool absorption = true;  // a block's weights adapt to the error before them, then are factorized
  int64_t kd_tokens = 0;   // of a last training, of scales and norms only
  // Block by block, with the two above, if training the whole model does not fit into memory.
  bool may_go_by_blocks = false;
};

struct CompressOptions {
  std::filesystem::path model;  // checkpoint directory
  // Its weight files that are still to come; nullptr: all are there. They are waited for when they
  // are needed.
  ArrivingWeights* arriving = nullptr;
  // Names the content of all weight files for checkpoints; empty: it is read.
  std::string weights_digest;
  std::string source_name;       // the model as the user named it, for the file's metadata
  std::filesystem::path output;  // the .littlebit file to make
  RankOptions rank;
  InitMethod init = InitMethod::kDualSvid;
  ImportanceMode importance = ImportanceMode::kOff;
  Allocation allocation = Allocation::kUniform;
  int64_t calibration_sequences = 64;  // for the two above
  int factorize_iterations = 0;        // 0: the method's own
  SvdPrecision svd_precision = SvdPrecision::kFloat64;
  BudgetScope budget_scope = BudgetScope::kBody;  // of rank.target_bpw
  TableBits table_bits;                           // or kAutoBits, see file_budget.h
  TrainOptions train;
  TextDataset training_text;       // ignored if there is neither training nor calibration
  double time_budget_seconds = 0;  // 0: none; otherwise train.tokens is what fits
  std::string device = "auto";     // auto, cpu, cuda or cuda:N
  int threads = 0;                 // 0: one per core; the result does not depend on it
  uint64_t seed = 0;
  // Progress lives in a subdirectory named after the output and the fingerprint. Empty: no
  // checkpoints.
  std::filesystem::path checkpoint_dir;
  bool resume = false;  // continue the run with the same fingerprint found in checkpoint_dir
  std::string recipe;   // in words, for the file's metadata: "auto", "littlebit, init admm"

  // The model as a whole, everything in it or its scales.
  bool trains() const { return train.tokens > 0 || time_budget_seconds > 0 || train.kd_tokens > 0; }
  bool calibrates() const {
    return importance != ImportanceMode::kOff || allocation == Allocation::kAuto;
  }
  bool reads_text() const { return calibrates() || trains() || train.block_tokens > 0; }
};

struct LayerReport {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  LittleBitShape shape;
  double bpw = 0;
  double relative_error = 0;  // ||W - W'|| / ||W||, Frobenius, of what was stored
  int64_t dense_macs = 0;     // multiply-adds per token of the original layer
  int64_t sign_adds = 0;      // sign-additions per token of the compressed one
  double milliseconds = 0;    // factorization; 0 when taken from a checkpoint
  bool from_checkpoint = false;
};

// An expert that calibration saw too few tokens of to know what counts in it.
struct RareExpert {
  int64_t layer = 0;
  int64_t expert = 0;
  int64_t tokens = 0;  // of the calibration text
};

struct CompressReport {
  RankPlan plan;
  TableBits table_bits;                           // as stored
  TrainOptions training;                          // as it was done
  std::vector<LayerReport> layers;                // after training, if there was any
  std::vector<RareExpert> rarely_routed_experts;  // none without calibration
  std::string device;                             // "cpu" or "cuda:0 (NVIDIA ...)"
  double body_bpw = 0;                            // from the file's bytes
  uint64_t file_bytes = 0;
  uint64_t original_fp16_bytes = 0;
  int64_t original_parameters = 0;
  int64_t trained_tokens = 0;
  double first_loss = 0;  // training loss at the start and at the end (means over 10 steps)
  double last_loss = 0;
  double calibrate_seconds = 0;  // with the measuring of matrices
  double factorize_seconds = 0;
  double train_seconds = 0;
  uint64_t peak_memory_bytes = 0;
};

// Watches a run. Called from the thread that called Compress().
class CompressObserver {
 public:
  virtual ~CompressObserver() = default;
  // total: number of units ("layers", "steps") the stage will do, of which `done` came from a
  // checkpoint.
  virtual void BeginStage(const std::string& stage, int64_t total, int64_t done,
                          const std::string& unit) = 0;
  virtual void Advance(int64_t done, const std::string& detail) = 0;  // detail may be empty
  virtual void Underway(double share) = 0;   // of the next unit, where units take minutes; below 1
  virtual void SetTotal(int64_t total) = 0;  // the stage's work has become more or less
  virtual void EndStage() = 0;
  virtual void LayerDone(const LayerReport& layer) = 0;  // after factorization
  virtual void Info(const std::string& message) = 0;
  virtual void Warning(const std::string& message) = 0;
  // True after the first Ctrl-C: the run saves, says how to resume and throws
  // Error{kUserCancelled}.
  virtual bool StopRequested() = 0;
};

// Reads options.model, writes options.output (by rename, complete or not at all) and keeps
// checkpoints on the way; they are removed after success. Throws Error: kRankSelectionFailed,
// kFactorizationFailed (naming the tensor), kCheckpointError (a resume whose fingerprint differs:
// naming the difference), kOutOfMemory, kUserCancelled, kGeneral.
CompressReport Compress(const CompressOptions& options, CompressObserver& observer);

// True if this build can reach the compressor at all (LLMQ_COMPRESSOR is not OFF).
bool CompressorBuiltIn();

}  // namespace llmq

#endif  // LLMQ_COMPRESS_H_
