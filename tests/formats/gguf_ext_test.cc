// gguf-ext: the way there and back gives the same bytes, and whatever else a file may say is
// refused.
#include <gtest/gtest.h>

#include <functional>

#include "base/file.h"
#include "llmq/error.h"
#include "llmq/gguf.h"
#include "llmq/littlebit_file.h"
#include "tests/formats/golden_models.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::GoldenModel;
using testing::GoldenModels;
using testing::GoldenPath;
using testing::TemporaryDirectory;

const std::vector<GgufKey> kModelKeys = {{"llama.block_count", uint32_t{1}}};

class GgufExtTest : public ::testing::TestWithParam<GoldenModel> {
 protected:
  void SetUp() override {
    WriteGgufExt(LittleBitFile(GoldenPath(GetParam().name)), directory_ / "m.gguf", kModelKeys);
  }
  const TemporaryDirectory directory_;
};

TEST_P(GgufExtTest, ThereAndBackGivesTheSameBytes) {
  const LittleBitFile file(directory_ / "m.gguf");
  EXPECT_EQ(file.container(), LittleBitContainer::kGguf);
  const uint64_t bytes = WriteLittleBit(file, directory_ / "back.littlebit");
  EXPECT_EQ(bytes, std::filesystem::file_size(GoldenPath(GetParam().name)));
  EXPECT_TRUE(ReadTextFile(directory_ / "back.littlebit") ==
              ReadTextFile(GoldenPath(GetParam().name)));
}

TEST_P(GgufExtTest, HoldsTheSameModel) {
  const LittleBitFile golden(GoldenPath(GetParam().name));
  const LittleBitFile file(directory_ / "m.gguf");
  file.Verify();
  EXPECT_EQ(file.files(), golden.files());
  EXPECT_EQ(file.body_weights(), golden.body_weights());
  EXPECT_LE(file.body_bytes(), golden.body_bytes());
  EXPECT_EQ(file.file_bytes(), std::filesystem::file_size(directory_ / "m.gguf"));
  for (const LittleBitSection& section : golden.sections()) {
    if (section.kind == StorageKind::kMetadata) continue;
    const LittleBitSection* found = file.Find(section.name);
    ASSERT_NE(found, nullptr) << section.name;
    EXPECT_EQ(found->kind, section.kind);
    EXPECT_EQ(found->shape, section.shape);
    EXPECT_EQ(found->relative_error, section.relative_error);
    if (section.kind != StorageKind::kLittleBit) continue;
    std::vector<float> expected(static_cast<size_t>(section.shape[0] * section.shape[1]));
    std::vector<float> values(expected.size());
    ReconstructDense(section.littlebit_shape(), section.data, expected);
    ReconstructDense(found->littlebit_shape(), found->data, values);
    EXPECT_EQ(values, expected) << section.name;
  }
}

TEST_P(GgufExtTest, FlippedBitsAreFound) {
  std::string bytes = ReadTextFile(directory_ / "m.gguf");
  const GgufFile clean(directory_ / "m.gguf");
  const GgufTensor& tensor = clean.tensors()[clean.tensors().size() / 2];
  const uint64_t data_bytes = [&] {
    uint64_t sum = 0;
    for (const GgufTensor& t : clean.tensors()) sum += (t.num_bytes() + 7) / 8 * 8;
    return sum;
  }();
  uint64_t offset = bytes.size() - data_bytes;
  for (const GgufTensor& t : clean.tensors()) {
    if (t.name == tensor.name) break;
    offset += (t.num_bytes() + 7) / 8 * 8;
  }
  bytes[offset] = static_cast<char>(bytes[offset] ^ 1);
  WriteFileAtomically(directory_ / "flipped.gguf", bytes);
  EXPECT_THROW(LittleBitFile(directory_ / "flipped.gguf").Verify(), Error);
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufExtTest, ::testing::ValuesIn(GoldenModels()),
                         [](const auto& parameter) {
                           std::string name = parameter.param.name;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

// The keys and tensors of a good file, to be changed.
struct Content {
  std::vector<GgufKey> keys;
  std::vector<GgufTensor> tensors;
  uint64_t alignment = 8;

  GgufValue& operator[](const std::string& name) {
    for (GgufKey& key : keys) {
      if (key.name == name) return key.value;
    }
    throw std::runtime_error("no key " + name);
  }
  template <typename T>
  std::vector<T>& column(const std::string& name) {
    return std::get<std::vector<T>>((*this)["littlebit.section." + name]);
  }
  void Erase(const std::string& name) {
    std::erase_if(keys, [&](const GgufKey& key) { return key.name == name; });
  }
};

struct Lie {
  const char* name;
  std::function<void(Content&)> tell;
  const char* message_part;
};

class GgufExtLieTest : public ::testing::TestWithParam<Lie> {};

TEST_P(GgufExtLieTest, IsRefused) {
  const TemporaryDirectory directory;
  WriteGgufExt(LittleBitFile(GoldenPath("one-path")), directory / "m.gguf", kModelKeys);
  const GgufFile good(directory / "m.gguf");
  Content content{{good.keys().begin(), good.keys().end()},
                  {good.tensors().begin(), good.tensors().end()}};
  content.Erase("general.alignment");
  GetParam().tell(content);
  GgufWriter writer(directory / "lie.gguf", content.keys, content.tensors,
                    {.alignment = content.alignment});
  for (const GgufTensor& tensor : content.tensors) writer.Write(tensor.data);
  writer.Finish();
  try {
    const LittleBitFile file(directory / "lie.gguf");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral);
    EXPECT_NE(error.message().find(GetParam().message_part), std::string::npos) << error.message();
  }
}

const Lie kLies[] = {
    {"NoVersion", [](Content& c) { c.Erase("littlebit.version"); }, "littlebit.version"},
    {"LaterVersion", [](Content& c) { c["littlebit.version"] = uint32_t{4}; }, "found 4"},
    {"VersionNotNeeded", [](Content& c) { c["littlebit.version"] = uint32_t{2}; }, "head_bits"},
    {"VersionOfAnotherType", [](Content& c) { c["littlebit.version"] = uint64_t{1}; }, "UINT64"},
    {"OtherAlignment", [](Content& c) { c.alignment = 32; }, "general.alignment"},
    {"NoMetadata", [](Content& c) { c.Erase("littlebit.metadata"); }, "littlebit.metadata"},
    {"BrokenMetadata", [](Content& c) { c["littlebit.metadata"] = std::string("{"); }, "metadata"},
    {"NoNames", [](Content& c) { c.Erase("littlebit.section.name"); }, "littlebit.section.name"},
    {"NoKinds", [](Content& c) { c.Erase("littlebit.section.kind"); }, "littlebit.section.kind"},
    {"ShortColumn", [](Content& c) { c.column<uint32_t>("bits").pop_back(); }, "items"},
    {"ShortShapes", [](Content& c) { c.column<uint64_t>("shape").pop_back(); }, "shape"},
    {"LongShapes", [](Content& c) { c.column<uint64_t>("shape").push_back(1); }, "shape"},
    {"ManyDimensions", [](Content& c) { c.column<uint32_t>("dimensions")[1] = 9; }, "shape"},
    {"UnknownKind", [](Content& c) { c.column<uint32_t>("kind")[1] = 6; }, "kind"},
    {"HugeRank", [](Content& c) { c.column<uint64_t>("rank")[3] = ~uint64_t{0}; }, "rank"},
    {"LargerRank", [](Content& c) { c.column<uint64_t>("rank")[3] = 1000; }, "bytes of data"},
    {"ManyPaths", [](Content& c) { c.column<uint32_t>("paths")[3] = 3; }, "paths"},
    {"OtherBytes", [](Content& c) { c.column<uint64_t>("bytes")[3] += 64; }, "bytes"},
    {"SameNameTwice",
     [](Content& c) { c.column<std::string>("name")[4] = c.column<std::string>("name")[3]; },
     "two"},
    {"OtherTensorName", [](Content& c) { c.column<std::string>("tensor")[3] = "x"; }, "tensor x"},
    {"TwoTensorsSwapped", [](Content& c) { std::swap(c.tensors[3], c.tensors[4]); }, "expected"},
    {"OneTensorMore",
     [](Content& c) {
       c.tensors.push_back(c.tensors.back());
       c.tensors.back().name = "more";
     },
     "more"},
    {"OneTensorLess", [](Content& c) { c.tensors.pop_back(); }, "tensors"},
    {"NoTensors", [](Content& c) { c.tensors.clear(); }, "tensors"},
    {"OtherTensorType", [](Content& c) { c.tensors.back().type = GgmlType::kI16; }, "expected"},
    {"OtherTensorShape", [](Content& c) { c.tensors[3].shape = {c.tensors[3].num_elements()}; },
     "expected"},
};
INSTANTIATE_TEST_SUITE_P(Lies, GgufExtLieTest, ::testing::ValuesIn(kLies),
                         [](const auto& parameter) { return parameter.param.name; });

TEST(GgufExt, TellsItsFilesFromOthers) {
  const TemporaryDirectory directory;
  WriteGgufExt(LittleBitFile(GoldenPath("one-path")), directory / "m.gguf", {});
  EXPECT_TRUE(HoldsLittleBit(directory / "m.gguf"));
  EXPECT_FALSE(LooksLikeLittleBit(directory / "m.gguf"));
  EXPECT_TRUE(HoldsLittleBit(GoldenPath("one-path")));
  GgufWriter(directory / "dense.gguf", {}, {}).Finish();
  EXPECT_FALSE(HoldsLittleBit(directory / "dense.gguf"));
  EXPECT_FALSE(HoldsLittleBit(directory / "none.gguf"));
}

}  // namespace
}  // namespace llmq
