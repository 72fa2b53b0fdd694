#include "tests/text/text_test_support.h"

#include <gtest/gtest.h>

#include <bit>

#include "base/file.h"
#include "llmq/error.h"
#include "text/utf8.h"

namespace llmq {

std::filesystem::path GoldenPath(const std::string& name) {
  return std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "tokenizers" / name;
}

SortedJson ReadGolden(const std::string& name) {
  return ParseSortedJson(ReadTextFile(GoldenPath(name)), name);
}

ModelFiles ReadFiles(const std::filesystem::path& folder, const std::vector<std::string>& names) {
  ModelFiles files;
  for (const std::string& name : names) {
    if (std::filesystem::exists(folder / name)) files[name] = ReadTextFile(folder / name);
  }
  return files;
}

std::string LoadError(const ModelFiles& files) {
  try {
    Tokenizer::FromFiles(files, "model");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral);
    EXPECT_TRUE(error.message().starts_with("model: ")) << error.message();
    return error.message();
  }
  return "";
}

std::string DecodeByStream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                           bool skip_special) {
  const auto decoder = tokenizer.NewDecoder(skip_special);
  std::string text;
  const auto add = [&](const std::string& part) {
    EXPECT_TRUE(IsValidUtf8(part));
    text += part;
  };
  for (const int32_t id : ids) add(decoder->Push(id));
  add(decoder->Flush());
  return text;
}

namespace {

std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}

}  // namespace

std::string WireField(int number, std::string_view bytes) {
  return Varint(static_cast<uint64_t>(number) << 3 | 2) + Varint(bytes.size()) + std::string(bytes);
}

std::string WireNumber(int number, uint64_t value) {
  return Varint(static_cast<uint64_t>(number) << 3) + Varint(value);
}

std::string WireModel(const std::vector<WirePiece>& pieces, const std::string& trainer_spec,
                      const std::string& normalizer_spec) {
  std::string model;
  for (const WirePiece& piece : pieces) {
    const auto bits = std::bit_cast<uint32_t>(piece.score);
    std::string score = Varint(2 << 3 | 5);
    for (int shift = 0; shift < 32; shift += 8) score.push_back(static_cast<char>(bits >> shift));
    model += WireField(
        1, WireField(1, piece.text) + score + WireNumber(3, static_cast<uint64_t>(piece.type)));
  }
  return model + WireField(2, trainer_spec) + WireField(3, normalizer_spec);
}

}  // namespace llmq
