// Files that pyarrow wrote (scripts/golden/make_parquet_golden.py) against the rows it wrote.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "llmq/error.h"
#include "parquet/parquet_reader.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(LLMQ_TEST_GOLDEN_DIR) / "parquet";

std::vector<SortedJson> Lines(const std::string& name) {
  std::vector<SortedJson> rows;
  std::istringstream text(ReadTextFile(kGolden / name));
  for (std::string line; std::getline(text, line);) rows.push_back(ParseSortedJson(line, name));
  return rows;
}

std::vector<SortedJson> Rows(const fs::path& path, const std::vector<std::string>& columns) {
  std::vector<SortedJson> rows;
  const MappedFile file(path);
  ParquetReader(file.bytes(), path.string())
      .ForEachRow(columns, [&](int64_t number, const Json& row) {
        EXPECT_EQ(number, static_cast<int64_t>(rows.size()));
        rows.push_back(SortedJson(row));
      });
  return rows;
}

class ParquetGoldenTest : public ::testing::TestWithParam<const char*> {};

TEST_P(ParquetGoldenTest, RowsAreThoseThatWereWritten) {
  const fs::path path = kGolden / (std::string(GetParam()) + ".parquet");
  const MappedFile mapped(path);
  const ParquetReader file(mapped.bytes(), path.string());
  const auto expected = Lines("rows.jsonl");
  EXPECT_EQ(file.rows(), 12);
  EXPECT_EQ(file.columns().size(), 10u);
  const auto rows = Rows(path, file.columns());
  ASSERT_EQ(rows.size(), expected.size());
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i], expected[i]) << "row " << i;
}

INSTANTIATE_TEST_SUITE_P(Files, ParquetGoldenTest,
                         ::testing::Values("plain_v1", "plain_v2", "snappy_v1", "gzip_v2",
                                           "zstd_v2", "pages_v1"));

TEST(ParquetGolden, ListsAndStructsOfEveryNesting) {
  const auto expected = Lines("nested.jsonl");
  EXPECT_EQ(Rows(kGolden / "nested.parquet", {"deep", "people"}), expected);
  EXPECT_EQ(Rows(kGolden / "nested_v2.parquet", {"people", "deep"}), expected);
}

TEST(ParquetGolden, OnlyTheWantedColumnsAreRead) {
  const auto rows = Rows(kGolden / "zstd_v2.parquet", {"always", "absent"});
  ASSERT_EQ(rows.size(), 12u);
  EXPECT_EQ(rows[2], (SortedJson{{"always", "row 2"}}));
  EXPECT_TRUE(Rows(kGolden / "zstd_v2.parquet", {"absent"}).empty());
}

TEST(ParquetGolden, WhatIsNotReadIsNamed) {
  const auto expect = [](const std::string& name, const std::string& part) {
    try {
      Rows(kGolden / ("rejected_" + name + ".parquet"), {"text"});
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kGeneral);
      EXPECT_NE(error.message().find("column 'text'"), std::string::npos) << error.message();
      EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
      EXPECT_FALSE(error.suggestion().empty());
    }
  };
  expect("codec", "LZ4");
  expect("encoding", "DELTA_BYTE_ARRAY");
  expect("type", "another type");
}

}  // namespace
}  // namespace llmq
