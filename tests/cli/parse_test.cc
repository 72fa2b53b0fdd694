#include "cli/parse.h"

#include <gtest/gtest.h>

#include <vector>

#include "llmq/error.h"

namespace llmq {
namespace {

using Arguments = std::vector<const char*>;

std::string SuggestionFor(const Arguments& arguments) {
  try {
    ParseCommandLine(arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArguments);
    return error.suggestion();
  }
  return "accepted";
}

TEST(Parse, GlobalOptionsStandBeforeOrAfterTheCommand) {
  for (const Arguments& arguments :
       {Arguments{"llm-quantize", "--format", "json", "--verbosity", "quiet", "info", "m"},
        Arguments{"llm-quantize", "info", "m", "--format=json", "--verbosity", "quiet"},
        Arguments{"llm-quantize", "littlebit", "--format", "json", "info", "m",
                  "--verbosity=quiet"}}) {
    const ParsedCommandLine parsed = ParseCommandLine(arguments);
    EXPECT_TRUE(parsed.json);
    EXPECT_EQ(parsed.verbosity, Verbosity::kQuiet);
    EXPECT_TRUE(parsed.run);
  }
}

TEST(Parse, FormatOfCompressIsTheContainer) {
  const ParsedCommandLine parsed =
      ParseCommandLine(Arguments{"llm-quantize", "--format", "json", "littlebit", "compress", "m",
                                 "--format", "gguf-lossy", "--verbosity", "debug"});
  EXPECT_TRUE(parsed.json);
  EXPECT_EQ(parsed.verbosity, Verbosity::kDebug);
  EXPECT_EQ(SuggestionFor({"llm-quantize", "littlebit", "compress", "m", "--format", "json"}),
            "For JSON output write 'llm-quantize --format json littlebit compress ...'");
}

TEST(Parse, SuggestsTheNearestWord) {
  EXPECT_EQ(SuggestionFor({"llm-quantize", "littlebit", "compres", "m"}),
            "Did you mean 'compress'?");
  EXPECT_EQ(SuggestionFor({"llm-quantize", "littelbit", "info", "m"}), "Did you mean 'littlebit'?");
  EXPECT_EQ(SuggestionFor({"llm-quantize", "littlebit", "compress", "m", "--target-bwp", "0.5"}),
            "Did you mean '--target-bpw'?");
  EXPECT_EQ(SuggestionFor({"llm-quantize", "littlebit", "compress", "m", "--taget-bpw=0.5"}),
            "Did you mean '--target-bpw'?");
  EXPECT_EQ(SuggestionFor({"llm-quantize", "quantify"}), "Run 'llm-quantize --help'");
  EXPECT_EQ(SuggestionFor({"llm-quantize", "info", "a", "b"}), "Run 'llm-quantize info --help'");
}

TEST(Parse, AsksForJsonWhereverItStands) {
  EXPECT_TRUE(AsksForJson(Arguments{"x", "--format", "json", "nonsense"}));
  EXPECT_TRUE(AsksForJson(Arguments{"x", "info", "--format=json"}));
  EXPECT_FALSE(AsksForJson(Arguments{"x", "--format", "human"}));
  EXPECT_FALSE(AsksForJson(Arguments{"x", "--format"}));
  EXPECT_FALSE(AsksForJson(Arguments{"x"}));
}

}  // namespace
}  // namespace llmq
