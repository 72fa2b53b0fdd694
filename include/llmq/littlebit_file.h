// A compressed model in one mappable file with everything needed to run it: .littlebit, versions 1
// to 3, or the same in a GGUF container ("gguf-ext").
//
// docs/format/littlebit.md and docs/format/gguf.md describe every byte. This header is what the
// rest of the program sees of them.
#ifndef LLMQ_LITTLEBIT_FILE_H_
#define LLMQ_LITTLEBIT_FILE_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "llmq/bit_budget.h"
#include "llmq/checkpoint.h"
#include "llmq/gguf.h"
#include "llmq/group_quant.h"
#include "llmq/littlebit.h"
#include "llmq/tensor.h"

namespace llmq {

// Version 2 is written only for what version 1 cannot say: grouped tensors of 6 bits, a head in
// other bits than the embedding, a budget that counted the whole file; version 3 for scales of
// fewer than 16 bits.
inline constexpr uint32_t kOldestLittleBitVersion = 1;
inline constexpr uint32_t kNewestLittleBitVersion = 3;

// How the file was made. Nothing in it depends on the clock or the machine: the same input and
// options give the same bytes.
struct LittleBitMetadata {
  // As the user named it. The section has a fixed size: a name of more than some 600 bytes loses
  // its beginning.
  std::string source_model;
  std::string producer;     // "llm-quantize 0.1.0"
  std::string recipe;       // "littlebit"
  double target_bpw = 0;    // 0 with a manual rank
  int64_t manual_rank = 0;  // 0: chosen from target_bpw
  int64_t original_parameters = 0;
  int64_t original_fp16_bytes = 0;
  int64_t train_tokens = 0;
  uint64_t seed = 0;
  TableBits table_bits;
  BudgetScope budget_scope = BudgetScope::kBody;  // of target_bpw
};

enum class LittleBitContainer { kNative, kGguf };

enum class StorageKind : uint32_t {
  kFile = 1,
  kMetadata = 2,
  kDense = 3,
  kGroupQuant = 4,
  kLittleBit = 5
};

// LittleBitSection::bits and SectionPlan::bits of a layer.
constexpr int SectionBits(const LittleBitShape& shape) {
  return shape.scale_bits == kHalfScaleBits ? 0 : shape.scale_bits;
}
constexpr int ScaleBitsOfSection(int bits) { return bits == 0 ? kHalfScaleBits : bits; }

// One section as the directory lists it. `data` borrows from the mapping and excludes the padding.
struct LittleBitSection {
  std::string name;  // tensor name ("model.layers.0.self_attn.q_proj.weight") or file name
  StorageKind kind = StorageKind::kDense;
  DType dtype = DType::kF32;   // kDense only
  std::vector<int64_t> shape;  // of the original tensor; [d_out, d_in] for kLittleBit
  int64_t rank = 0;            // kLittleBit only
  int64_t paths = 0;           // kLittleBit only
  int bits = 0;                // kGroupQuant; kLittleBit: of its scales, 0 for fp16
  double relative_error = 0;   // kLittleBit: ||W - W'|| / ||W|| (Frobenius) of the stored factors
  uint64_t offset = 0;         // in a .littlebit file; 0 in a GGUF file
  uint64_t checksum = 0;       // XXH64 of data
  // In a GGUF file, kLittleBit data lacks the zeros behind the last array of the payload.
  std::span<const std::byte> data;

  LittleBitShape littlebit_shape() const {
    return {shape[0], shape[1], rank, paths, ScaleBitsOfSection(bits)};
  }
  GroupQuantShape group_quant_shape() const { return {shape[0], shape[1], bits}; }
};

class LittleBitFile {
 public:
  // The container is told by the file's first bytes. Checks header, directory and every size before
  // taking memory; section checksums are verified by Verify(). Throws Error{kModelNotFound} or
  // Error{kGeneral} ("path: section: expected ..., found
  // ...").
  explicit LittleBitFile(const std::filesystem::path& path);
  ~LittleBitFile();
  LittleBitFile(LittleBitFile&&) noexcept;
  LittleBitFile& operator=(LittleBitFile&&) noexcept;

  const std::filesystem::path& path() const;
  const ModelConfig& config() const;
  const LittleBitMetadata& metadata() const;
  ModelFiles files() const;                            // copies of the embedded files
  std::span<const LittleBitSection> sections() const;  // in file order
  const LittleBitSection* Find(std::string_view name) const;

  LittleBitContainer container() const;
  uint32_t format_version() const;
  uint64_t file_bytes() const;
  int64_t body_bytes() const;    // sections of kind kLittleBit
  int64_t body_weights() const;  // weights those sections stand for
  double body_bpw() const;
  // Reads everything once. Throws Error{kGeneral} naming the first section whose checksum is wrong,
  // or that holds what no writer makes: a scale that is not finite, or padding bits that are not
  // zero.
  void Verify() const;
  void Release(const LittleBitSection& section) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// True if the file exists and begins with the .littlebit magic.
bool LooksLikeLittleBit(const std::filesystem::path& path);
// True if LittleBitFile is what opens it: .littlebit, or GGUF with the key littlebit.version. A
// GGUF file that is damaged throws as GgufFile does.
bool HoldsLittleBit(const std::filesystem::path& path);

// Streams sections to a temporary file and renames it when finished. Sections appear in the order
// added.
class LittleBitWriter {
 public:
  explicit LittleBitWriter(const std::filesystem::path& path);
  ~LittleBitWriter();

  // The Add functions throw Error{kGeneral} for a name that is empty, longer than 1024 bytes, has
  // control characters or was used before, and for bytes that do not fit the shape.
  void AddFile(const std::string& name, std::string_view content);
  void AddDense(const TensorView& tensor);  // as it is, same dtype
  void AddGroupQuant(const std::string& name, const GroupQuantShape& shape,
                     std::span<const std::byte> bytes);
  void AddLittleBit(const std::string& name, const LittleBitShape& shape,
                    std::span<const std::byte> payload, double relative_error);
  // Writes metadata, directory and header, and renames. Must be the last call. Returns the file's
  // bytes.
  uint64_t Finish(const LittleBitMetadata& metadata);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Writes the same model as a .littlebit file: the bytes from which a gguf-ext file was made.
uint64_t WriteLittleBit(const LittleBitFile& file, const std::filesystem::path& path);
// Writes it as GGUF: standard tensor types, littlebit.* keys, architecture "littlebit-llama".
// `model_keys` are put behind them: what llama.cpp's tools show of a model. Both return the file's
// bytes and throw Error{kGeneral} if it cannot be written.
uint64_t WriteGgufExt(const LittleBitFile& file, const std::filesystem::path& path,
                      std::span<const GgufKey> model_keys);

// One section that a file is going to have: what the Add function of its kind needs, but for the
// bytes.
struct SectionPlan {
  std::string name;
  StorageKind kind = StorageKind::kDense;
  uint64_t data_bytes = 0;
  DType dtype = DType::kF32;   // kDense: as stored
  std::vector<int64_t> shape;  // of the original tensor; empty for files
  int64_t rank = 0;            // kLittleBit only
  int64_t paths = 0;           // kLittleBit only
  int bits = 0;                // kGroupQuant; kLittleBit: of its scales, 0 for fp16

  LittleBitShape littlebit_shape() const {
    return {shape[0], shape[1], rank, paths, ScaleBitsOfSection(bits)};
  }
  GroupQuantShape group_quant_shape() const { return {shape[0], shape[1], bits}; }
};

// Bytes of a file with these sections and the metadata, which Finish() adds: the writer's own
// arithmetic.
uint64_t PlannedFileBytes(std::span<const SectionPlan> sections);

// Ranks, scales and statistics without the sign bits, as JSON text (FR-010).
std::string ExportFactorizationMetadata(const LittleBitFile& file, bool with_scales);

}  // namespace llmq

#endif  // LLMQ_LITTLEBIT_FILE_H_
