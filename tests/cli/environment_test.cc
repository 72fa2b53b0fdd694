#include "cli/environment.h"

#include <gtest/gtest.h>

#include <map>

#include "llmq/error.h"

namespace llmq {
namespace {

EnvironmentLookup Lookup(std::map<std::string, std::string> variables) {
  return [variables](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

TEST(Environment, DefaultsAreTheContract) {
  const CompressEnvironment environment = ReadCompressEnvironment(Lookup({}));
  EXPECT_EQ(environment.rank_search, 10);
  EXPECT_EQ(environment.min_bpw, 0.1);
  EXPECT_EQ(environment.max_bpw, 2.0);
  EXPECT_EQ(environment.precision, SvdPrecision::kFloat64);
  EXPECT_EQ(environment.checkpoint_dir, "./.checkpoint");
}

TEST(Environment, ReadsEveryVariable) {
  const CompressEnvironment environment =
      ReadCompressEnvironment(Lookup({{"LLM_QUANTIZE_LITTLEBIT_RANK_SEARCH", "3"},
                                      {"LLM_QUANTIZE_LITTLEBIT_MIN_BPW", "0.05"},
                                      {"LLM_QUANTIZE_LITTLEBIT_MAX_BPW", "4"},
                                      {"LLM_QUANTIZE_SVD_PRECISION", "float32"},
                                      {"LLM_QUANTIZE_CHECKPOINT_DIR", "/scratch"}}));
  EXPECT_EQ(environment.rank_search, 3);
  EXPECT_EQ(environment.min_bpw, 0.05);
  EXPECT_EQ(environment.max_bpw, 4);
  EXPECT_EQ(environment.precision, SvdPrecision::kFloat32);
  EXPECT_EQ(environment.checkpoint_dir, "/scratch");
}

TEST(Environment, EmptyIsNotSet) {
  EXPECT_EQ(ReadCompressEnvironment(Lookup({{"LLM_QUANTIZE_LITTLEBIT_MIN_BPW", ""}})).min_bpw, 0.1);
  EXPECT_TRUE(ReadTerminalEnvironment(Lookup({{"NO_COLOR", ""}, {"TERM", "xterm"}})).color);
}

TEST(Environment, MalformedValuesNameTheVariable) {
  const std::map<std::string, std::vector<std::string>> malformed = {
      {"LLM_QUANTIZE_LITTLEBIT_RANK_SEARCH", {"0", "-1", "ten", "1.5", "1e3", "99999999999"}},
      {"LLM_QUANTIZE_LITTLEBIT_MIN_BPW", {"nan", "inf", "0", "-0.1", "0.1x", " 0.1", "3"}},
      {"LLM_QUANTIZE_LITTLEBIT_MAX_BPW", {"nan", "-inf", "1e99", "two", "17"}},
      {"LLM_QUANTIZE_SVD_PRECISION", {"float16", "FLOAT64", "64"}}};
  for (const auto& [name, values] : malformed) {
    for (const std::string& value : values) {
      try {
        ReadCompressEnvironment(Lookup({{name, value}}));
        ADD_FAILURE() << name << "='" << value << "' was accepted";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kInvalidArguments);
        EXPECT_NE(error.message().find(name), std::string::npos) << error.message();
      }
    }
  }
}

TEST(Environment, NoColorAndDumbTerminals) {
  EXPECT_FALSE(ReadTerminalEnvironment(Lookup({{"NO_COLOR", "1"}})).color);
  EXPECT_FALSE(ReadTerminalEnvironment(Lookup({{"TERM", "dumb"}})).animation);
  EXPECT_FALSE(ReadTerminalEnvironment(Lookup({})).animation);
  EXPECT_TRUE(ReadTerminalEnvironment(Lookup({{"TERM", "xterm"}})).animation);
}

}  // namespace
}  // namespace llmq
