// JSON from strangers: wrong types, bad syntax, deep nesting and bad UTF-8 are errors or survive.
#include "base/json.h"

#include <gtest/gtest.h>

#include "llmq/error.h"

namespace llmq {
namespace {

std::string MessageOf(const std::string& text) {
  try {
    ParseJson(text, "config.json");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kGeneral);
    return e.message();
  }
  return "";
}

TEST(Json, SyntaxErrorsNameTheFile) {
  for (const char* text : {"", "{", "{\"a\":}", "[1,]", "nul", "{\"a\":1}x", "\"\xff\""}) {
    EXPECT_EQ(MessageOf(text).rfind("config.json: expected JSON", 0), 0u) << text;
  }
}

TEST(Json, DeepNestingIsRefused) {
  EXPECT_NE(MessageOf(std::string(100000, '[')).find("nested levels"), std::string::npos);
  EXPECT_EQ(MessageOf(std::string(100, '[') + std::string(100, ']')), "");
}

TEST(Json, LookUpsCheckTypes) {
  const Json object = ParseJson(R"({"n": 3, "x": 1.5, "s": "t", "b": true, "z": null})", "f");
  EXPECT_EQ(GetInt(object, "n", 0, "f"), 3);
  EXPECT_EQ(GetInt(object, "z", 7, "f"), 7);
  EXPECT_EQ(GetInt(object, "missing", 8, "f"), 8);
  EXPECT_EQ(GetNumber(object, "n", 0, "f"), 3.0);
  EXPECT_EQ(GetString(object, "s", "", "f"), "t");
  EXPECT_TRUE(GetBool(object, "b", false, "f"));
  EXPECT_THROW(GetInt(object, "x", 0, "f"), Error);
  EXPECT_THROW(GetInt(object, "s", 0, "f"), Error);
  EXPECT_THROW(GetString(object, "n", "", "f"), Error);
  EXPECT_THROW(GetBool(object, "n", false, "f"), Error);
}

TEST(Json, DumpingReplacesBadUtf8) {
  EXPECT_EQ(DumpJson(Json{{"a", "x\xff"}}), "{\"a\":\"x\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace llmq
