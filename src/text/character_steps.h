// Normalizers that rewrite a text character by character; src/text/normalizer chooses among them.
//
// `text` is valid UTF-8, and so are the results.
#ifndef LLMQ_TEXT_CHARACTER_STEPS_H_
#define LLMQ_TEXT_CHARACTER_STEPS_H_

#include <string>
#include <string_view>

#include "text/character_rules.h"

namespace llmq {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string ToNormalForm(std::string text, NormalForm form);

std::string Lowercase(const std::string& text);
std::string StripMarks(const std::string& text);  // "StripAccents": all combining marks go

// "Nmt": control characters go, every kind of white space becomes a space.
std::string CleanForTranslation(const std::string& text);

std::string WriteBytes(const std::string& text);  // "ByteLevel": in the byte alphabet

struct BertOptions {
  bool clean_text = true;        // no control characters, every white space a space
  bool space_around_han = true;  // Chinese characters become words
  bool strip_accents = true;
  bool lowercase = true;
};
std::string NormalizeForBert(std::string text, const BertOptions& options);

// "Precompiled": SentencePiece's rules as "tokenizers" applies them, which is not what
// SentencePiece does. A grapheme below six bytes is replaced as a whole by the shortest rule that
// it begins with; in others, each character is.
std::string ApplyRules(std::string_view text, const CharacterRules& rules);

}  // namespace llmq

#endif  // LLMQ_TEXT_CHARACTER_STEPS_H_
