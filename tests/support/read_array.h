// Golden arrays: files of little-endian numbers without a header.
#ifndef LLMQ_TESTS_SUPPORT_READ_ARRAY_H_
#define LLMQ_TESTS_SUPPORT_READ_ARRAY_H_

#include <cstring>
#include <filesystem>
#include <vector>

#include "base/file.h"

namespace llmq::testing {

// Throws Error if there is no such file.
template <typename T>
std::vector<T> ReadArray(const std::filesystem::path& path) {
  const std::string bytes = ReadTextFile(path);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_SUPPORT_READ_ARRAY_H_
