// Added tokens of tokenizer_config.json beside a tokenizer.model are sought in the raw text, as
// Hugging Face's tokenizers do; the model itself knows nothing of them.
#include <gtest/gtest.h>

#include "tests/text/text_test_support.h"
#include "text/sentencepiece_model.h"

namespace llmq {
namespace {

using Ids = std::vector<int32_t>;

ModelFiles Files(const std::string& added) {
  const std::vector<WirePiece> pieces = {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"</s>", 0, 3},
                                         {"\u2581", -1},  {"a", -2},     {"b", -3},
                                         {"ab", -4}};
  return {{"tokenizer.model", WireModel(pieces, WireNumber(3, 2), WireNumber(4, 0))},
          {"tokenizer_config.json",
           R"({"add_bos_token": false, "added_tokens_decoder": )" + added + "}"}};
}

TEST(SentencePieceAddedTokens, AreCutOutOfTheText) {
  const auto tokenizer = Tokenizer::FromFiles(
      Files(R"({"10": {"content": "<end>", "special": true}, "7": {"content": "[x]"},
                "8": {"content": " "}, "9": {"content": "[xx]"}, "6": {"content": "ab"}})"),
      "model");
  EXPECT_EQ(tokenizer->vocab_size(), 11);
  EXPECT_EQ(tokenizer->Encode("a[x]b<end>[xx]", false), (Ids{3, 4, 7, 3, 5, 10, 9}));
  EXPECT_EQ(tokenizer->Encode("b ab", false), (Ids{3, 5, 8, 6}));
  EXPECT_EQ(tokenizer->Decode(Ids{4, 7, 10, 5}, true), "a[x]b");
  EXPECT_EQ(tokenizer->Decode(Ids{4, 7, 10, 5}, false), "a[x]<end>b");
}

// A piece with that text keeps its id; a piece may become special, or be renamed.
TEST(SentencePieceAddedTokens, MeetPieces) {
  const auto tokenizer = Tokenizer::FromFiles(
      Files(R"({"7": {"content": "ab", "special": true}, "5": {"content": "new"}})"), "model");
  EXPECT_EQ(tokenizer->vocab_size(), 7);
  EXPECT_EQ(tokenizer->Encode("aab", false), (Ids{3, 4, 6}));
  EXPECT_EQ(tokenizer->Decode(Ids{4, 6}, true), "a");
  EXPECT_EQ(tokenizer->Encode("new", false), (Ids{5}));
}

TEST(SentencePieceAddedTokens, DamagedLists) {
  for (const char* bad : {R"({"8": {"content": "[x]"}})", R"({"-1": {"content": "[x]"}})",
                          R"({"7": {"content": 5}})", R"({"7": {"content": "y", "special": 1}})"}) {
    EXPECT_NE(LoadError(Files(bad)), "") << bad;
  }
}

TEST(SentencePieceModel, SerializesToWhatItParsed) {
  for (const char* name : {"sp-rules", "sp-suffix", "sp-plain"}) {
    const ModelFiles files = ReadFiles(GoldenPath(name), {"tokenizer.model"});
    const auto model = SentencePieceModel::Parse(files.at("tokenizer.model"), name);
    const auto again = SentencePieceModel::Parse(model.Serialize(), name);
    ASSERT_EQ(again.pieces.size(), model.pieces.size());
    for (size_t i = 0; i < model.pieces.size(); ++i) {
      EXPECT_EQ(again.pieces[i].text, model.pieces[i].text);
      EXPECT_EQ(again.pieces[i].score, model.pieces[i].score);
      EXPECT_EQ(again.pieces[i].type, model.pieces[i].type);
    }
    EXPECT_EQ(again.model_type, model.model_type);
    EXPECT_EQ(again.treat_whitespace_as_suffix, model.treat_whitespace_as_suffix);
    EXPECT_EQ(again.byte_fallback, model.byte_fallback);
    EXPECT_EQ(again.unk_surface, model.unk_surface);
    EXPECT_EQ(again.bos_piece, model.bos_piece);
    EXPECT_EQ(again.eos_piece, model.eos_piece);
    EXPECT_EQ(again.precompiled_charsmap, model.precompiled_charsmap);
    EXPECT_EQ(again.add_dummy_prefix, model.add_dummy_prefix);
    EXPECT_EQ(again.remove_extra_whitespaces, model.remove_extra_whitespaces);
    EXPECT_EQ(again.escape_whitespaces, model.escape_whitespaces);
  }
}

}  // namespace
}  // namespace llmq
