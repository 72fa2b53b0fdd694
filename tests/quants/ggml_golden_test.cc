// Bytes and values are those of ggml, on every instruction set of this machine
// (scripts/golden/make_quants_golden.py asked ggml).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "quants/quantize_blocks.h"
#include "tests/quants/test_rows.h"

namespace llmq {
namespace {

const Json& Golden() {
  static const Json golden = [] {
    const std::string path = LLMQ_TEST_GOLDEN_DIR "/quants/ggml.json";
    std::ifstream file(path);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    return ParseJson(text, path);
  }();
  return golden;
}

std::string Fnv1a(std::span<const std::byte> bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const std::byte byte : bytes) {
    hash = (hash ^ static_cast<uint64_t>(byte)) * 0x100000001b3u;
  }
  return fmt::format("{:016x}", hash);
}

std::string Hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<int>(byte));
  return text;
}

// Hash of the values that the bytes stand for. Every NaN counts as the same.
std::string HashOfValues(const GgmlTypeInfo& info, std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / static_cast<size_t>(info.block_bytes) *
                            static_cast<size_t>(info.block_values));
  DequantizeRow(info.type, bytes, values);
  for (float& value : values) {
    if (std::isnan(value)) value = std::bit_cast<float>(0x7fc00000u);
  }
  return Fnv1a(std::as_bytes(std::span(values)));
}

std::vector<float> Row(std::string_view kind) {
  const auto place = std::find(std::begin(kRowKinds), std::end(kRowKinds), kind);
  const auto seed = static_cast<uint64_t>(place - std::begin(kRowKinds));
  return RowSource(kind, seed).Take(Golden()["counts"][std::string(kind)].get<int64_t>());
}

class GgmlGolden : public testing::TestWithParam<const char*> {
 protected:
  const GgmlTypeInfo& info_ = *FindGgmlType(std::string_view(GetParam()));
  const Json& golden_ = Golden()["quantized"][GetParam()];
};

TEST_P(GgmlGolden, BytesOfEveryKindOfRow) {
  ASSERT_EQ(golden_["rows"].size(), std::size(kRowKinds));
  for (const auto& [kind, expected] : golden_["rows"].items()) {
    const std::vector<float> row = Row(kind);
    std::vector<std::byte> bytes(*GgmlBytes(info_.type, row.size()));
    for (const FitPath path : {FitPath::kScalar, FitPath::kAvx2, FitPath::kAvx512}) {
      if (!FitPathAvailable(path)) continue;
      QuantizeBlocks(info_.type, GroupFitsFor(path), row.data(),
                     static_cast<int64_t>(row.size()) / info_.block_values, bytes.data());
      const std::string found = Fnv1a(bytes) + " " + HashOfValues(info_, bytes) + " " +
                                (ScalesAreFinite(info_.type, bytes) ? "finite" : "infinite");
      EXPECT_EQ(found, expected.get<std::string>()) << kind << ", path " << static_cast<int>(path);
    }
  }
}

TEST_P(GgmlGolden, FirstBlock) {
  const std::vector<float> row = Row("gaussian");
  std::vector<std::byte> bytes(static_cast<size_t>(info_.block_bytes));
  QuantizeRows(info_.type, 1, info_.block_values,
               std::span(row).first(static_cast<size_t>(info_.block_values)), bytes, 1);
  EXPECT_EQ(Hex(bytes), golden_["first_gaussian_block"].get<std::string>());
}

// Random bytes have every scale, NaN and infinity among them. They lie at an odd address.
TEST_P(GgmlGolden, ValuesOfRandomBytes) {
  uint64_t state = 1000 + static_cast<uint64_t>(info_.type);
  std::vector<std::byte> noise(1 + 8192);
  for (size_t at = 1; at < noise.size(); at += 8) {
    const uint64_t word = NextRandom(state);
    std::memcpy(noise.data() + at, &word, sizeof(word));
  }
  const size_t whole = 8192 / static_cast<size_t>(info_.block_bytes);
  const auto blocks = std::span(noise).subspan(1, whole * static_cast<size_t>(info_.block_bytes));
  EXPECT_EQ(HashOfValues(info_, blocks), golden_["noise"].get<std::string>());
}

INSTANTIATE_TEST_SUITE_P(AllTypes, GgmlGolden,
                         testing::Values("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0",
                                         "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
                         [](const auto& test) { return std::string(test.param); });

TEST(GgmlTypeTable, EveryTypeOfGgmlAndNoOther) {
  size_t known = 0;
  for (uint32_t id = 0; id < 200; ++id) known += FindGgmlType(id) != nullptr;
  EXPECT_EQ(known, Golden()["types"].size());
  for (const Json& line : Golden()["types"]) {
    const std::string expected = line.get<std::string>();
    const GgmlTypeInfo* info =
        FindGgmlType(static_cast<uint32_t>(std::stoul(expected)));  // the number it begins with
    ASSERT_NE(info, nullptr) << expected;
    EXPECT_EQ(fmt::format("{} {} {} {}", static_cast<uint32_t>(info->type), info->name,
                          info->block_values, info->block_bytes),
              expected);
    EXPECT_EQ(FindGgmlType(std::string_view(info->name)), info);
  }
}

}  // namespace
}  // namespace llmq
