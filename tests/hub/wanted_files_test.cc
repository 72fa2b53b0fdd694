#include "hub/wanted_files.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "llmq/error.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

TEST(WantedFiles, Names) {
  for (const char* name :
       {"config.json", "tokenizer.json", "tokenizer.model", "chat_template.jinja", "vocab.json",
        "merges.txt", "model.safetensors.index.json"}) {
    EXPECT_TRUE(IsSmallWantedFile(name)) << name;
  }
  for (const char* name : {"README.md", "model.safetensors", "pytorch_model.bin", "tf_model.h5",
                           "flax_model.msgpack", "model-00001-of-00002.safetensors"}) {
    EXPECT_FALSE(IsSmallWantedFile(name)) << name;
  }
}

TEST(WantedFiles, IndexesThatAreNone) {
  const testing::TemporaryDirectory directory;
  const auto path = directory / kHubIndex;
  for (const char* text :
       {"", "[]", "{}", R"({"weight_map": {}})", R"({"weight_map": []})",
        R"({"weight_map": {"a": 1}})", R"({"weight_map": {"a": "../x.safetensors"}})",
        R"({"weight_map": {"a": "/x.safetensors"}})", R"({"weight_map": {"a": "x.bin"}})",
        R"({"weight_map": {"a": ".safetensors"}})"}) {
    WriteFileAtomically(path, text);
    EXPECT_THROW(ShardNames(path), Error) << text;
  }
  WriteFileAtomically(path, R"({"weight_map": {"a": "2.safetensors", "b": "1.safetensors",
                                               "c": "2.safetensors"}})");
  EXPECT_EQ(ShardNames(path), (std::vector<std::string>{"1.safetensors", "2.safetensors"}));
}

TEST(WantedFiles, Completeness) {
  const testing::TemporaryDirectory directory;
  const auto add = [&](const char* name, const char* text = "{}") {
    WriteFileAtomically(directory / name, text);
  };
  EXPECT_FALSE(IsComplete(directory.path(), false));
  add("config.json");
  EXPECT_FALSE(IsComplete(directory.path(), false));
  add("tokenizer.model");
  EXPECT_TRUE(IsComplete(directory.path(), false));
  EXPECT_FALSE(IsComplete(directory.path(), true));
  add(kHubIndex, R"({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}})");
  add("1.safetensors");
  EXPECT_FALSE(IsComplete(directory.path(), true));
  add("2.safetensors");
  EXPECT_TRUE(IsComplete(directory.path(), true));
}

}  // namespace
}  // namespace llmq
