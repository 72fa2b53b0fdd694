// A SentencePiece tokenizer.model as data, read from its protobuf wire form by hand and written so.
//
// Before this: the file's bytes. After this: src/text/sentencepiece_tokenizer. (The library itself
// is not used: together with LibTorch in one process it crashes.)
// Reference: sentencepiece_model.proto; field numbers are noted where they are read.
#ifndef LLMQ_TEXT_SENTENCEPIECE_MODEL_H_
#define LLMQ_TEXT_SENTENCEPIECE_MODEL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llmq {

enum class PieceType : uint64_t {  // values are the file's
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct SentencePiece {
  std::string text;  // valid UTF-8, not empty
  float score = 0;   // finite
  PieceType type = PieceType::kNormal;
};

inline constexpr uint64_t kUnigramModelType = 1;
inline constexpr uint64_t kBpeModelType = 2;

struct SentencePieceModel {
  std::vector<SentencePiece> pieces;  // [vocabulary]; the index is the id

  // From the trainer's specification.
  uint64_t model_type = kUnigramModelType;
  bool treat_whitespace_as_suffix = false;
  bool byte_fallback = false;
  std::string unk_surface = " \xE2\x81\x87 ";  // what an unknown piece is decoded to
  std::string bos_piece = "<s>";
  std::string eos_piece = "</s>";

  // From the normalizer's.
  std::string precompiled_charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;

  // Throws Error{kGeneral}, beginning with `where`, for anything damaged or of another model type.
  static SentencePieceModel Parse(std::string_view bytes, const std::string& where);
  // A file that Parse() reads as this model.
  std::string Serialize() const;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_SENTENCEPIECE_MODEL_H_
