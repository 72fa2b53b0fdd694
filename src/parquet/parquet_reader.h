// Parquet files as rows of JSON, the rows that the same data set has as lines of JSONL.
//
// Reads what data sets of texts are made of: texts, truth values, whole and floating-point numbers,
// in structs and lists of any nesting, plain or by dictionary, in pages of both versions,
// compressed by Snappy, gzip, Zstandard or not at all. Everything else is refused by name
// (docs/decisions/0009-parquet.md).
#ifndef LLMQ_PARQUET_PARQUET_READER_H_
#define LLMQ_PARQUET_PARQUET_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "parquet/parquet_metadata.h"
#include "parquet/parquet_schema.h"

namespace llmq {

class ParquetReader {
 public:
  // `file`: the whole file, borrowed; `where`: its path. Throws Error{kGeneral} if it is not a
  // Parquet file, damaged, or encrypted.
  ParquetReader(std::span<const std::byte> file, std::string where);

  const std::vector<std::string>& columns() const { return names_; }  // at the top level
  int64_t rows() const { return metadata_.rows; }

  // Calls `visit` with each row's number, from 0, and the row: an object of those of `columns` that
  // the file has. Throws Error{kGeneral} for damage, for what is not read, and if the columns would
  // take more memory than a file of this size may.
  void ForEachRow(const std::vector<std::string>& columns,
                  const std::function<void(int64_t number, const Json& row)>& visit) const;

 private:
  std::span<const std::byte> file_;
  std::string where_;
  ParquetMetadata metadata_;
  std::vector<ParquetColumn> columns_;
  std::vector<std::string> names_;
};

}  // namespace llmq

#endif  // LLMQ_PARQUET_PARQUET_READER_H_
