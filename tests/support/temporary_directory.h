// A directory of one test's own, gone when the test ends.
#ifndef LLMQ_TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_
#define LLMQ_TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_

#include <filesystem>

namespace llmq::testing {

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_
