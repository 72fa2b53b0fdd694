// SentencePiece's compiled character rules ("nmt_nfkc", say): which characters become which.
//
// Read from the precompiled_charsmap of a tokenizer.model, or of a tokenizer.json in Base64. A trie
// as a double array (the layout of the Darts-clone library), then the replacements.
#ifndef LLMQ_TEXT_CHARACTER_RULES_H_
#define LLMQ_TEXT_CHARACTER_RULES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llmq {

class CharacterRules {
 public:
  CharacterRules() = default;  // no rules
  // Throws Error{kGeneral}, beginning with `where`, if the bytes are damaged.
  CharacterRules(std::string_view charsmap, const std::string& where);

  struct Match {
    std::string_view replacement;  // valid UTF-8
    size_t length;                 // bytes of the text; 0: no rule
  };
  // The longest and the shortest rule that `text` begins with. A rule that is not about whole
  // characters, which only a damaged file has, throws Error{kGeneral}.
  Match Longest(std::string_view text) const;
  Match Shortest(std::string_view text) const;

 private:
  Match Find(std::string_view text, bool longest) const;
  uint32_t Unit(size_t index) const;

  std::string where_;
  std::vector<uint32_t> trie_;  // [units]
  std::string replacements_;    // texts, each ended by a zero byte
};

}  // namespace llmq

#endif  // LLMQ_TEXT_CHARACTER_RULES_H_
