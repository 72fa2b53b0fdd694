// The columns of a Parquet file, and the way from a top-level column down to each of its leaves.
//
// Before: parquet_metadata.h. After: column_reader.h reads the leaves' pages, row_builder.h makes
// rows of them.
#ifndef LLMQ_PARQUET_PARQUET_SCHEMA_H_
#define LLMQ_PARQUET_PARQUET_SCHEMA_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "parquet/parquet_metadata.h"

namespace llmq {

// A node on the way. In rows an optional one may be null and a repeated one is an array; what is
// in it is the member `key` of an object, or the value itself if there is no key (the inner nodes
// of a list have names in the file that nobody means).
struct ParquetStep {
  std::string key;
  ParquetRepetition repetition = ParquetRepetition::kRequired;
  uint32_t definition = 0;  // the level from which on this node is there
  uint32_t repeats = 0;     // the repetition level at which a repeated node begins another element
};

struct ParquetLeaf {
  size_t chunk = 0;  // in the row groups
  ParquetType type = ParquetType::kByteArray;
  bool is_readable = true;
  std::vector<ParquetStep> steps;  // the first is the top-level column
  uint32_t max_definition = 0;
  uint32_t max_repetition = 0;
};

struct ParquetColumn {
  std::string name;
  std::vector<ParquetLeaf> leaves;
};

// Throws Error{kGeneral} for a tree that is none, or deeper than 32.
std::vector<ParquetColumn> MakeParquetColumns(const ParquetMetadata& metadata,
                                              const std::string& where);

}  // namespace llmq

#endif  // LLMQ_PARQUET_PARQUET_SCHEMA_H_
