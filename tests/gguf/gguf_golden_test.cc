// Files of the Python package "gguf": read as the package reads them, written as it writes them.
// scripts/golden/make_gguf_golden.py makes them.
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "llmq/gguf.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::TemporaryDirectory;

std::filesystem::path GoldenPath(const std::string& name) {
  return std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "gguf" / name;
}

// A value as the listing has it. Numbers keep their bits: -0.0 is not 0.0.
struct ToJson {
  Json operator()(const GgufBools& bools) const {
    Json list = Json::array();
    for (const uint8_t value : bools.values) list.push_back(value == 1);
    return list;
  }
  template <typename T>
  Json operator()(const std::vector<T>& array) const {
    Json list = Json::array();
    for (const T& element : array) list.push_back((*this)(element));
    return list;
  }
  Json operator()(float value) const { return double{value}; }
  template <typename T>
  Json operator()(const T& value) const {
    return value;
  }
};

std::string Hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    for (const int shift : {4, 0})
      text += "0123456789abcdef"[std::to_integer<int>(byte) >> shift & 15];
  }
  return text;
}

Json KeysAsJson(const GgufFile& file) {
  Json list = Json::array();
  for (const GgufKey& key : file.keys()) {
    list.push_back({{"name", key.name},
                    {"type", GgufTypeName(key.value)},
                    {"value", std::visit(ToJson{}, key.value)}});
  }
  return list;
}

Json TensorsAsJson(const GgufFile& file) {
  Json list = Json::array();
  for (const GgufTensor& tensor : file.tensors()) {
    list.push_back({{"name", tensor.name},
                    {"type", InfoOf(tensor.type).name},
                    {"shape", tensor.shape},
                    {"data", Hex(tensor.data)}});
  }
  return list;
}

// The listings of a whole model: keys of the first file, tensors of all.
Json Listing(const std::vector<std::string>& names) {
  const Json all = ParseJson(ReadTextFile(GoldenPath("listing.json")), "listing.json");
  Json joined;
  for (const std::string& name : names) {
    for (const Json& listing : all) {
      if (listing["file"] != name) continue;
      if (joined.is_null()) {
        joined = listing;
      } else {
        for (const Json& tensor : listing["tensors"]) joined["tensors"].push_back(tensor);
      }
    }
  }
  return joined;
}

struct Golden {
  std::vector<std::string> files;
  GgufWriteOptions options;
};

std::vector<Golden> Goldens() {
  return {{{"all-types.gguf"}, {}},
          {{"aligned-64.gguf"}, {.alignment = 64}},
          {{"split-00001-of-00003.gguf", "split-00002-of-00003.gguf", "split-00003-of-00003.gguf"},
           {.max_shard_bytes = 128}}};
}

TEST(GgufGoldenTest, FilesListAsThePackageListsThem) {
  for (const Golden& golden : Goldens()) {
    const Json listing = Listing(golden.files);
    const GgufFile file(GoldenPath(golden.files[0]));
    EXPECT_EQ(file.alignment(), listing["alignment"]);
    ASSERT_EQ(file.keys().size(), listing["keys"].size());
    EXPECT_EQ(DumpJson(KeysAsJson(file), 1), DumpJson(listing["keys"], 1));
    EXPECT_EQ(DumpJson(TensorsAsJson(file), 1), DumpJson(listing["tensors"], 1));
  }
}

// What was read is written again: the same bytes, shard by shard.
TEST(GgufGoldenTest, WriterGivesTheBytesOfThePackage) {
  const TemporaryDirectory directory;
  for (const Golden& golden : Goldens()) {
    const GgufFile file(GoldenPath(golden.files[0]));
    std::vector<GgufKey> keys;
    for (const GgufKey& key : file.keys()) {
      const bool own = key.name == "general.alignment" || key.name.starts_with("split.");
      if (!own) keys.push_back(key);
    }
    const std::string whole = golden.files.size() == 1 ? golden.files[0] : "split.gguf";
    GgufWriter writer(directory / whole, keys, {file.tensors().begin(), file.tensors().end()},
                      golden.options);
    for (const GgufTensor& tensor : file.tensors()) writer.Write(tensor.data);
    EXPECT_EQ(writer.Finish(), file.file_bytes());
    for (const std::string& name : golden.files) {
      EXPECT_TRUE(ReadTextFile(directory / name) == ReadTextFile(GoldenPath(name))) << name;
    }
  }
}

}  // namespace
}  // namespace llmq
