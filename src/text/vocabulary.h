// The two-way table of a tokenizer: token texts and their ids.
#ifndef LLMQ_TEXT_VOCABULARY_H_
#define LLMQ_TEXT_VOCABULARY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace llmq {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(const Vocabulary&) = delete;  // texts_ points into ids_
  Vocabulary& operator=(const Vocabulary&) = delete;

  // False, and nothing changes, if the text or the id is taken. The caller bounds `id` >= 0: the
  // table takes memory for every id up to the highest.
  bool Add(std::string_view text, int32_t id);

  std::optional<int32_t> Find(std::string_view text) const;
  const std::string* Text(int32_t id) const;  // nullptr if there is no such id
  int64_t size() const { return static_cast<int64_t>(texts_.size()); }  // highest id + 1

  // ids of the 256 tokens "<0x00>".."<0xFF>"; -1 where there is none.
  std::vector<int32_t> ByteTokens() const;

 private:
  std::unordered_map<std::string, int32_t, TextHash, std::equal_to<>> ids_;
  std::vector<const std::string*> texts_;  // [highest id + 1], nullptr in gaps
};

// "<0xE2>" -> 0xE2. Upper and lower case digits.
std::optional<unsigned char> ParseByteToken(std::string_view token);

// True if a character other than U+2581 (the visible space) stands before one in `token`. If no
// token has this, no merge crosses from a word into the space before the next.
bool CrossesWordBorder(std::string_view token);
// The end of the word that begins at `begin`: where the next run of U+2581 begins.
size_t WordEnd(std::string_view text, size_t begin);

inline constexpr std::string_view kVisibleSpace = "\xE2\x96\x81";  // U+2581
// `text` with plain spaces for visible ones.
std::string PlainSpaces(std::string_view text);

// Ids of words seen before in one call of Encode(): text repeats its words. Bounded.
class WordCache {
 public:
  const std::vector<int32_t>* Find(std::string_view word) const {
    const auto it = ids_.find(word);
    return it == ids_.end() ? nullptr : &it->second;
  }
  void Add(std::string_view word, const int32_t* ids, size_t count) {
    if (word.size() <= kMaxWordBytes && ids_.size() < kMaxWords) {
      ids_.try_emplace(std::string(word), ids, ids + count);
    }
  }

 private:
  static constexpr size_t kMaxWordBytes = 64;
  static constexpr size_t kMaxWords = 1 << 16;
  std::unordered_map<std::string, std::vector<int32_t>, TextHash, std::equal_to<>> ids_;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_VOCABULARY_H_
