// Dependencies point down: every #include of the program obeys tests/layers/modules.txt.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace {

namespace fs = std::filesystem;
using Rules = std::map<std::string, std::set<std::string>>;

const fs::path kRoot = LLMQ_TEST_SOURCE_DIR;

Rules ReadRules() {
  Rules rules;
  std::ifstream file(kRoot / "tests/layers/modules.txt");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (line.empty() || line[0] == '#' || colon == std::string::npos) continue;
    std::istringstream words(line.substr(colon + 1));
    std::set<std::string>& allowed = rules[line.substr(0, colon)];
    for (std::string word; words >> word;) allowed.insert(word);
  }
  return rules;
}

// Libraries whose headers are in no folder.
const std::map<std::string, std::string>& SingleHeaders() {
  static const std::map<std::string, std::string> kSingleHeaders = {
      {"pcre2.h", "pcre2"},   {"snappy.h", "snappy"}, {"utf8proc.h", "utf8proc"},
      {"xxhash.h", "xxhash"}, {"zlib.h", "zlib"},     {"zstd.h", "zstd"}};
  return kSingleHeaders;
}

// Libraries are named by the first part of the path or, for headers without a folder, by the file.
std::string LibraryOf(const std::string& include) {
  if (const auto single = SingleHeaders().find(include); single != SingleHeaders().end()) {
    return single->second;
  }
  static const std::set<std::string> kTorchFolders = {"ATen", "c10", "torch"};
  const std::string folder = include.substr(0, include.find('/'));
  return kTorchFolders.contains(folder) ? "torch" : folder;
}

bool IsStandardOrPosix(const std::string& include) {
  static const std::set<std::string> kPosixFolders = {"sys", "linux"};
  if (include.find('/') == std::string::npos) return !SingleHeaders().contains(include);
  return kPosixFolders.contains(include.substr(0, include.find('/')));
}

void CheckFile(const fs::path& path, const std::string& module, const Rules& rules) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
  std::ifstream file(path);
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    std::smatch match;
    if (!std::regex_search(line, match, kInclude)) continue;
    const std::string include = match[2];
    if (match[1] == "<" && IsStandardOrPosix(include)) continue;
    const std::string library = LibraryOf(include);
    const std::set<std::string>& allowed = rules.at(module);
    EXPECT_TRUE(library == module || allowed.contains(library) || allowed.contains(include))
        << path << ":" << number << ": module " << module << " may not include " << include;
  }
}

bool IsSource(const fs::path& path) {
  return path.extension() == ".h" || path.extension() == ".cc" || path.extension() == ".cu";
}

TEST(Layers, EveryIncludeObeysTheModuleTable) {
  const Rules rules = ReadRules();
  ASSERT_GE(rules.size(), 9u);
  int files = 0;
  for (const auto& [module, allowed] : rules) {
    const fs::path folder = module == "llmq" ? kRoot / "include/llmq" : kRoot / "src" / module;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!IsSource(entry.path())) continue;
      CheckFile(entry.path(), module, rules);
      ++files;
    }
  }
  EXPECT_GT(files, 30);
}

TEST(Layers, EveryFolderOfSrcIsInTheTable) {
  const Rules rules = ReadRules();
  for (const auto& entry : fs::directory_iterator(kRoot / "src")) {
    if (entry.is_directory()) {
      EXPECT_TRUE(rules.contains(entry.path().filename().string())) << entry.path();
    }
  }
}

TEST(Layers, FileNamesAreUnique) {
  std::set<std::string> seen;
  for (const char* folder : {"src", "include"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (IsSource(entry.path())) {
        EXPECT_TRUE(seen.insert(entry.path().filename().string()).second) << entry.path();
      }
    }
  }
}

}  // namespace
