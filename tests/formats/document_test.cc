// docs/format/littlebit.md is true: its hex dump is the golden file, and a reader written from it
// alone (tests/formats/read_littlebit.py) sees the numbers that the C++ reader sees.
#include <gtest/gtest.h>

#include <cstdio>
#include <sstream>

#include "base/bytes.h"
#include "base/file.h"
#include "base/json.h"
#include "llmq/littlebit_file.h"
#include "tests/formats/golden_models.h"

namespace llmq {
namespace {

using testing::GoldenModel;
using testing::GoldenModels;
using testing::GoldenPath;

const std::string kSourceDir = LLMQ_TEST_SOURCE_DIR;

// The bytes of all ```hex blocks of a document: lines "offset  byte byte ..", and "*" for "as the
// line before until the next offset".
std::string BytesOfHexBlocks(const std::string& document) {
  std::istringstream lines(document);
  std::string line, bytes;
  bool inside = false, repeat = false;
  while (std::getline(lines, line)) {
    if (line.starts_with("```")) {
      inside = line == "```hex";
      continue;
    }
    if (!inside) continue;
    if (line == "*") {
      repeat = true;
      continue;
    }
    std::istringstream fields(line);
    std::string field;
    fields >> field;
    const size_t offset = std::stoul(field, nullptr, 16);
    while (repeat && bytes.size() < offset) bytes += bytes.substr(bytes.size() - 16);
    repeat = false;
    EXPECT_EQ(bytes.size(), offset) << line;
    while (fields >> field) bytes += static_cast<char>(std::stoul(field, nullptr, 16));
  }
  return bytes;
}

TEST(DocumentTest, HexDumpIsTheGoldenFile) {
  const std::string bytes =
      BytesOfHexBlocks(ReadTextFile(kSourceDir + "/docs/format/littlebit.md"));
  EXPECT_TRUE(bytes == ReadTextFile(GoldenPath("one-path")));
}

// What the Python reader prints about a file, or null if there is no Python.
Json ReadWithPython(const std::filesystem::path& path) {
  const std::string command = std::string("\"") + LLMQ_TEST_PYTHON + "\" \"" + kSourceDir +
                              "/tests/formats/read_littlebit.py\" \"" + path.string() + "\"";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return nullptr;
  std::string output;
  char buffer[4096];
  while (const size_t count = fread(buffer, 1, sizeof(buffer), pipe)) output.append(buffer, count);
  EXPECT_EQ(pclose(pipe), 0) << command;
  return ParseJson(output, "read_littlebit.py");
}

// The numbers of a tensor, as the rest of the program gets them.
std::vector<float> Values(const LittleBitSection& section) {
  if (section.kind == StorageKind::kDense) {
    return ToFloat({section.name, section.dtype, section.shape, section.data});
  }
  std::vector<float> values(static_cast<size_t>(section.shape[0] * section.shape[1]));
  if (section.kind == StorageKind::kLittleBit) {
    ReconstructDense(section.littlebit_shape(), section.data, values);
  } else {
    for (int64_t row = 0; row < section.shape[0]; ++row) {
      DequantizeGroupRow(section.group_quant_shape(), section.data, row,
                         std::span(values).subspan(static_cast<size_t>(row * section.shape[1]),
                                                   static_cast<size_t>(section.shape[1])));
    }
  }
  return values;
}

void ExpectSameSection(const LittleBitSection& section, const Json& python) {
  SCOPED_TRACE(section.name);
  EXPECT_EQ(python["name"], section.name);
  EXPECT_EQ(python["kind"], static_cast<uint32_t>(section.kind));
  EXPECT_EQ(python["shape"].get<std::vector<int64_t>>(), section.shape);
  if (section.kind == StorageKind::kFile) {
    EXPECT_EQ(python["text"], std::string(AsText(section.data)));
    return;
  }
  if (section.kind == StorageKind::kMetadata ||
      !(section.kind != StorageKind::kDense || IsFloat(section.dtype))) {
    return;
  }
  const std::vector<float> values = Values(section);
  ASSERT_EQ(python["values"].size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    // Python sums a layer's products in double, C++ in float: a dozen terms of at most a few units.
    EXPECT_NEAR(python["values"][i].get<double>(), values[i], 1e-5) << i;
  }
}

TEST(DocumentTest, SecondReaderSeesTheSameNumbers) {
  if (std::string(LLMQ_TEST_PYTHON).empty()) GTEST_SKIP() << "no Python interpreter was found";
  for (const GoldenModel& model : GoldenModels()) {
    SCOPED_TRACE(model.name);
    const LittleBitFile file(GoldenPath(model.name));
    const Json python = ReadWithPython(GoldenPath(model.name));
    EXPECT_EQ(python["metadata"]["seed"].get<uint64_t>(), file.metadata().seed);
    EXPECT_EQ(python["metadata"]["target_bpw"].get<double>(), file.metadata().target_bpw);
    ASSERT_EQ(python["sections"].size(), file.sections().size());
    for (size_t i = 0; i < file.sections().size(); ++i) {
      ExpectSameSection(file.sections()[i], python["sections"][i]);
    }
  }
}

}  // namespace
}  // namespace llmq
