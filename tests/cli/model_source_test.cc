#include "cli/model_source.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "base/file.h"
#include "llmq/error.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

// Never asks a Hub: offline, with a cache of the test's own.
class ModelSourceTest : public ::testing::Test {
 protected:
  ModelSource Resolve(const std::string& model, const std::string& revision = "",
                      ModelNeed need = ModelNeed::kWeights) {
    return ResolveModel(model, revision, need,
                        [this](const char* name) -> std::optional<std::string> {
                          if (name == std::string_view("HF_HUB_OFFLINE")) return "1";
                          if (name == std::string_view("HF_HUB_CACHE")) return directory_ / "cache";
                          return std::nullopt;
                        });
  }

  std::optional<Error> FailureOf(const std::string& model, const std::string& revision = "") {
    try {
      Resolve(model, revision);
    } catch (const Error& error) {
      return error;
    }
    return std::nullopt;
  }

  const testing::TemporaryDirectory directory_;
};

TEST_F(ModelSourceTest, DirectoriesAreTakenAsTheyAre) {
  const ModelSource empty = Resolve(directory_.path());
  EXPECT_EQ(empty.directory, directory_.path());
  EXPECT_EQ(empty.name, directory_.path());
  EXPECT_FALSE(empty.has_weights);
  EXPECT_EQ(empty.hub, nullptr);
  WriteFileAtomically(directory_ / "a.safetensors", "x");
  EXPECT_TRUE(Resolve(directory_.path()).has_weights);
}

TEST_F(ModelSourceTest, WhatIsNeitherDirectoryNorModel) {
  WriteFileAtomically(directory_ / "file", "x");
  for (const std::string& model : {(directory_ / "file").string(), (directory_ / "none").string(),
                                   std::string(), std::string("a/b/c"), std::string("x.littlebit"),
                                   std::string("a/x.gguf"), std::string("one-word")}) {
    const auto error = FailureOf(model);
    ASSERT_TRUE(error) << model;
    EXPECT_EQ(error->exit_code(), 3) << model;
    EXPECT_EQ(error->message().find("offline"), std::string::npos) << model;
  }
}

TEST_F(ModelSourceTest, OfflineOnlyTheCacheCounts) {
  for (const char* model : {"org/name", "org/name@v1"}) {
    const auto error = FailureOf(model);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->exit_code(), 3);
    EXPECT_NE(error->message().find("offline"), std::string::npos) << error->message();
  }
}

TEST_F(ModelSourceTest, Revisions) {
  const auto twice = FailureOf("org/name@a", "b");
  ASSERT_TRUE(twice);
  EXPECT_EQ(twice->exit_code(), 2);
  const auto of_directory = FailureOf(directory_.path(), "main");
  ASSERT_TRUE(of_directory);
  EXPECT_EQ(of_directory->exit_code(), 2);
  const auto outside = FailureOf("org/name", "../../x");
  ASSERT_TRUE(outside);
  EXPECT_EQ(outside->exit_code(), 2);
  EXPECT_EQ(FailureOf("org/name@a", "a")->exit_code(), 3);  // said twice, but the same
}

}  // namespace
}  // namespace llmq
