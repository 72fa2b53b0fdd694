#include "llmq/text_dataset.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "llmq/error.h"
#include "tests/support/temporary_directory.h"
#include "tests/text/text_test_support.h"
#include "text/utf8.h"

namespace llmq {
namespace {

using Documents = std::vector<std::string>;

class LoadTextDatasetTest : public ::testing::Test {
 protected:
  std::filesystem::path Write(const std::string& name, const std::string& content) const {
    std::ofstream(directory_ / name, std::ios::binary) << content;
    return directory_ / name;
  }
  Documents Load(const std::string& name, const std::string& content) const {
    return LoadTextDataset(Write(name, content)).documents;
  }
  // The message, which must begin with the path, of an error with `code`.
  std::string LoadError(const std::filesystem::path& path,
                        ErrorCode code = ErrorCode::kInvalidArguments) const {
    try {
      LoadTextDataset(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_TRUE(error.message().starts_with(path.string())) << error.message();
      return error.message() + " / " + error.suggestion();
    }
    return "";
  }
  testing::TemporaryDirectory directory_;
};

TEST_F(LoadTextDatasetTest, TextIsOneDocument) {
  EXPECT_EQ(Load("a.txt", "one\n\ntwo\n"), Documents{"one\n\ntwo\n"});
  EXPECT_EQ(Load("bom.txt", "\xEF\xBB\xBFone"), Documents{"one"});
  EXPECT_EQ(Load("bad.txt",
                 "a\xFF"
                 "b\xC3"),
            Documents{"a\uFFFDb\uFFFD"});
  EXPECT_EQ(LoadTextDataset(directory_ / "a.txt").name, "a.txt");
}

TEST_F(LoadTextDatasetTest, JsonLines) {
  EXPECT_EQ(Load("a.jsonl", "{\"text\": \"one\"}\n\n  \r\n{\"id\": 1, \"text\": \"t\\u00e9\"}"),
            (Documents{"one", "t\u00e9"}));
  EXPECT_EQ(Load("b.jsonl", "{\"text\": \"\"}\n{\"text\": \"x\xFF\"}\r\n"), Documents{"x\uFFFD"});
}

TEST_F(LoadTextDatasetTest, Json) {
  const Documents both = {"one", "two"};
  EXPECT_EQ(Load("a.json", R"(["one", {"text": "two"}])"), both);
  EXPECT_EQ(Load("b.json", R"({"data": [{"text": "one"}, "two"]})"), both);
  EXPECT_EQ(Load("c.json", R"({"text": ["one", "two"]})"), both);
}

TEST_F(LoadTextDatasetTest, ParquetHasTheColumnText) {
  const std::filesystem::path golden = std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parquet";
  EXPECT_EQ(LoadTextRows(golden / "hub_wikitext.parquet"),
            (Documents{"", " = A day = \n", "",
                       " Once upon a time there was a little girl . She had a dog @-@ and a ball . "
                       "\n",
                       "", "", " = = The end = = \n"}));
  const TextDataset dataset = LoadTextDataset(golden / "hub_wikitext.parquet");
  EXPECT_EQ(dataset.name, "hub_wikitext.parquet");
  EXPECT_EQ(dataset.documents.size(), 3u);
  EXPECT_NE(LoadError(golden / "snappy_v1.parquet").find("row 2: expected a string"),
            std::string::npos);
  EXPECT_NE(LoadError(golden / "nested.parquet").find("found deep, people"), std::string::npos);
  EXPECT_NE(LoadError(golden / "rejected_codec.parquet").find("LZ4"), std::string::npos);
  LoadError(directory_ / "missing.parquet", ErrorCode::kModelNotFound);
}

TEST_F(LoadTextDatasetTest, ErrorsNameThePlace) {
  const auto expect = [&](const std::string& name, const std::string& content,
                          const std::string& part) {
    const std::string message = LoadError(Write(name, content));
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect("a.parquet", "PAR1", "expected a Parquet file");
  expect("a.csv", "x", ".csv");
  expect("noextension", "x", "expected .txt");
  expect("empty.txt", "", "expected text, found none");
  expect("empty.jsonl", "\n \n", "expected text, found none");
  expect("blank.json", R"(["", {"text": ""}])", "expected text, found none");
  expect("bad.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \n", "line 3");
  expect("number.jsonl", "{\"text\": 5}\n", "line 1");
  expect("list.jsonl", "[\"text\"]\n", "line 1");
  expect("bad.json", "[\"a\"", "JSON");
  expect("entry.json", "[\"a\", 5]", "entry 1");
  expect("object.json", R"({"rows": []})", "expected an array");
  expect("text.json", R"({"text": "one"})", "expected an array");
  LoadError(directory_ / "missing.txt", ErrorCode::kModelNotFound);
}

TEST(BuiltInText, IsCleanAndOfTheRightSize) {
  size_t sizes[2] = {};
  const TextDataset sets[2] = {BuiltInTrainingText(), BuiltInHeldOutText()};
  for (int i = 0; i < 2; ++i) {
    for (const std::string& document : sets[i].documents) {
      EXPECT_TRUE(IsValidUtf8(document));
      EXPECT_EQ(document.find('\f'), std::string::npos);
      EXPECT_EQ(document.find("Gutenberg"), std::string::npos);
      sizes[i] += document.size();
    }
  }
  EXPECT_GT(sets[0].documents.size(), 100u);
  EXPECT_GT(sets[1].documents.size(), 20u);
  EXPECT_NEAR(static_cast<double>(sizes[0]), 210e3, 30e3);
  EXPECT_NEAR(static_cast<double>(sizes[1]), 42e3, 10e3);
}

TEST(BuiltInText, PartsDoNotOverlap) {
  const auto paragraphs = [](const TextDataset& dataset) {
    std::set<std::string> long_ones;
    for (const std::string& document : dataset.documents) {
      for (size_t at = 0; at < document.size();) {
        const size_t end = std::min(document.find("\n\n", at), document.size());
        if (end - at >= 80) long_ones.insert(document.substr(at, end - at));
        at = end + 2;
      }
    }
    return long_ones;
  };
  const auto training = paragraphs(BuiltInTrainingText());
  const auto held_out = paragraphs(BuiltInHeldOutText());
  EXPECT_GT(held_out.size(), 50u);
  for (const std::string& paragraph : held_out) EXPECT_FALSE(training.contains(paragraph));
}

TEST(BuiltInText, Words) {
  std::vector<std::string> words;
  const std::string_view all = BuiltInWords();
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\n', at), all.size());
    words.emplace_back(all.substr(at, end - at));
    at = end + 1;
  }
  EXPECT_GT(words.size(), 5000u);
  EXPECT_TRUE(std::is_sorted(words.begin(), words.end()));
  EXPECT_EQ(std::adjacent_find(words.begin(), words.end()), words.end());
  const std::set<std::string> known(words.begin(), words.end());
  for (const char* word : {"a", "the", "dog", "happy", "government", "don't"}) {
    EXPECT_TRUE(known.contains(word)) << word;
  }
  EXPECT_FALSE(known.contains("xqzt"));
  EXPECT_FALSE(known.contains(""));
}

std::unique_ptr<Tokenizer> Stories() {
  return Tokenizer::FromFiles(
      ReadFiles(std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k/hf-f32",
                {"tokenizer.json", "tokenizer_config.json"}),
      "stories260k");
}

TEST(TokenizeJoined, IsOneTextWithOneBos) {
  const auto tokenizer = Stories();
  EXPECT_EQ(TokenizeJoined({"x", {"One.", "Two.", "Three."}}, *tokenizer),
            tokenizer->Encode("One.\n\nTwo.\n\nThree.", true));
  const auto ids = TokenizeJoined(BuiltInTrainingText(), *tokenizer);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *tokenizer->bos_id()), 1);
  EXPECT_EQ(ids.front(), *tokenizer->bos_id());
}

TEST(TokenizeDocuments, BeginsEachDocumentWithBos) {
  const auto tokenizer = Stories();
  std::vector<int32_t> expected = tokenizer->Encode("One.", true);
  const std::vector<int32_t> second = tokenizer->Encode("Two.", true);
  expected.insert(expected.end(), second.begin(), second.end());
  EXPECT_EQ(TokenizeDocuments({"x", {"One.", "Two."}}, *tokenizer), expected);
  EXPECT_EQ(std::count(expected.begin(), expected.end(), *tokenizer->bos_id()), 2);
}

TEST(SplitHeldOut, TakesOneInSixteen) {
  TextDataset dataset{"d", {}};
  for (int i = 0; i < 100; ++i) dataset.documents.push_back(std::to_string(i));
  const DatasetSplit split = SplitHeldOut(dataset);
  EXPECT_EQ(split.held_out.documents.size(), 6u);
  EXPECT_EQ(split.held_out.documents[0], "15");
  EXPECT_EQ(split.training.documents.size(), 94u);
  for (const std::string& document : split.held_out.documents) {
    EXPECT_EQ(
        std::count(split.training.documents.begin(), split.training.documents.end(), document), 0);
  }
}

TEST(SplitHeldOut, FewDocumentsGiveTheLast) {
  const DatasetSplit split = SplitHeldOut({"d", {"a", "b", "c"}});
  EXPECT_EQ(split.training.documents, (Documents{"a", "b"}));
  EXPECT_EQ(split.held_out.documents, Documents{"c"});
}

TEST(SplitHeldOut, OneDocumentIsCutAtAParagraph) {
  std::string text;
  for (int i = 0; i < 64; ++i) text += "A line of words.\n\n";
  const DatasetSplit split = SplitHeldOut({"d", {text}});
  ASSERT_EQ(split.training.documents.size(), 1u);
  ASSERT_EQ(split.held_out.documents.size(), 1u);
  EXPECT_EQ(split.training.documents[0] + split.held_out.documents[0], text);
  EXPECT_TRUE(split.training.documents[0].ends_with("\n\n"));
  EXPECT_NEAR(static_cast<double>(split.held_out.documents[0].size()),
              static_cast<double>(text.size()) / 16, 20);
}

TEST(SplitHeldOut, OneDocumentWithoutBordersIsCutBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 333; ++i) text += "\u20ac";
  const DatasetSplit split = SplitHeldOut({"d", {text}});
  ASSERT_EQ(split.held_out.documents.size(), 1u);
  EXPECT_TRUE(IsValidUtf8(split.training.documents[0]));
  EXPECT_TRUE(IsValidUtf8(split.held_out.documents[0]));
  EXPECT_EQ(split.training.documents[0] + split.held_out.documents[0], text);
}

}  // namespace
}  // namespace llmq
