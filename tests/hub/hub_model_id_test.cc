#include <gtest/gtest.h>

#include "llmq/hub.h"

namespace llmq {
namespace {

TEST(HubModelId, Accepted) {
  const auto plain = ParseHubModelId("meta-llama/Llama-2-7b-hf");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->id, "meta-llama/Llama-2-7b-hf");
  EXPECT_EQ(plain->revision, "main");
  EXPECT_EQ(ParseHubModelId("a/b@refs/pr/1")->revision, "refs/pr/1");
  EXPECT_EQ(ParseHubModelId("a/b@v1.0")->id, "a/b");
  for (const char* id : {"a/b", "0x/1", "Qwen/Qwen2.5-0.5B", "a_b/c.d-e"}) {
    EXPECT_TRUE(ParseHubModelId(id)) << id;
  }
}

TEST(HubModelId, Refused) {
  const std::string long_name(97, 'x');
  for (const std::string& id : {std::string(),
                                std::string("one"),
                                std::string("a/"),
                                std::string("/a"),
                                std::string("./a"),
                                std::string("../a"),
                                std::string("a/.."),
                                std::string("a/b/c"),
                                std::string("a/b.git"),
                                std::string("a/b--c"),
                                std::string("a/b..c"),
                                std::string("-a/b"),
                                std::string("a/b-"),
                                std::string("a/b."),
                                std::string("a b/c"),
                                std::string("a/b\n"),
                                std::string("a/\xc3\xa4"),
                                std::string("dir/x.littlebit"),
                                std::string("dir/x.gguf"),
                                std::string("dir/x.safetensors"),
                                std::string("a/b@"),
                                std::string("a/b@../x"),
                                std::string("a/b@x//y"),
                                std::string("a/b@/x"),
                                std::string("a/b@x\ny"),
                                "a/" + long_name}) {
    EXPECT_FALSE(ParseHubModelId(id)) << id;
  }
}

}  // namespace
}  // namespace llmq
