// How much one Parquet file may make of its bytes: a few of them can stand for any number of
// values.
#ifndef LLMQ_PARQUET_READ_BUDGET_H_
#define LLMQ_PARQUET_READ_BUDGET_H_

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "llmq/error.h"

namespace llmq {

// Bytes of pages, levels, values and rows together, over the whole reading of a file: a bound of
// time as well as of memory.
class ReadBudget {
 public:
  explicit ReadBudget(uint64_t bytes) : total_(bytes), left_(bytes) {}

  // Before memory is taken. Throws Error{kGeneral}.
  void Spend(uint64_t bytes, const std::string& where) {
    if (bytes > left_) {
      throw Error(
          ErrorCode::kGeneral,
          fmt::format("{}: expected columns that take at most {} MB in memory, found larger "
                      "ones",
                      where, total_ >> 20),
          "Write the rows that are needed to a smaller file");
    }
    left_ -= bytes;
  }

 private:
  uint64_t total_;
  uint64_t left_;
};

}  // namespace llmq

#endif  // LLMQ_PARQUET_READ_BUDGET_H_
