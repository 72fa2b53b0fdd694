// Files of data sets from a Hub of two hosts on this machine.
#include <gtest/gtest.h>

#include <memory>

#include "base/file.h"
#include "llmq/error.h"
#include "tests/hub/local_hub.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;
using testing::HeardObserver;
using testing::LocalHub;

const fs::path kGolden = fs::path(LLMQ_TEST_GOLDEN_DIR) / "parquet";
const std::string kEasy = "ARC-Easy/test-00000-of-00001.parquet";
const std::string kChallenge = "ARC-Challenge/test-00000-of-00001.parquet";

class HubFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!LocalHub::Available()) GTEST_SKIP() << "no Python";
    hub_ = std::make_unique<LocalHub>();
    settings_ = hub_->Settings(directory_.path());
  }

  std::vector<fs::path> Fetch(const std::vector<std::string>& names,
                              const std::string& id = "allenai/ai2_arc",
                              HubKind kind = HubKind::kDataset) {
    return FetchHubFiles(settings_, {.id = id, .kind = kind}, names, observer_);
  }
  void ExpectError(ErrorCode code, const std::string& part, const std::vector<std::string>& names,
                   const std::string& id = "allenai/ai2_arc") {
    try {
      Fetch(names, id);
      ADD_FAILURE() << id;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
    }
  }

  const testing::TemporaryDirectory directory_;
  std::unique_ptr<LocalHub> hub_;
  HubSettings settings_;
  HeardObserver observer_;
};

TEST_F(HubFilesTest, AreFetchedInTheOrderOfTheNamesIntoPythonsCache) {
  settings_.token = "hf_good_token";
  const auto paths = Fetch({kChallenge, kEasy});
  ASSERT_EQ(paths.size(), 2u);
  EXPECT_EQ(ReadTextFile(paths[0]), ReadTextFile(kGolden / "hub_arc_challenge.parquet"));
  EXPECT_EQ(ReadTextFile(paths[1]), ReadTextFile(kGolden / "hub_arc_easy.parquet"));
  // datasets--org--name/snapshots/<commit>/ARC-Easy/test... -> ../../../blobs/<etag>
  const fs::path link = fs::read_symlink(paths[1]);
  EXPECT_TRUE(link.string().starts_with("../../../blobs/")) << link;
  const fs::path folder = settings_.cache / "datasets--allenai--ai2_arc";
  const std::string commit = ReadTextFile(folder / "refs/main");
  EXPECT_EQ(paths[1], folder / "snapshots" / commit / kEasy);
  EXPECT_EQ(hub_->Count("GET", "train"), 0);
  EXPECT_EQ(hub_->Count("GET", "README"), 0);
  for (const Json& request : hub_->Requests()) {
    const bool at_the_store = request.at("host") == "127.0.0.2";
    EXPECT_EQ(request.at("headers").contains("authorization"), !at_the_store);
  }
}

TEST_F(HubFilesTest, WhatIsThereIsNotFetchedAgain) {
  Fetch({kEasy});
  const size_t asked = hub_->Requests().size();
  Fetch({kEasy});
  EXPECT_EQ(hub_->Requests().size(), asked + 1);  // for the commit
  Fetch({kEasy, kChallenge});
  EXPECT_EQ(hub_->Count("GET", "ai2_arc/resolve"), 2);  // each file once
}

TEST_F(HubFilesTest, OfflineAndWithoutAHubTheCacheServes) {
  settings_.offline = true;
  ExpectError(ErrorCode::kModelNotFound, "offline", {kEasy});
  settings_.offline = false;
  const auto paths = Fetch({kEasy});
  settings_.offline = true;
  EXPECT_EQ(Fetch({kEasy}), paths);
  ExpectError(ErrorCode::kModelNotFound, "data set", {kEasy, kChallenge});
  settings_.offline = false;
  hub_.reset();
  EXPECT_EQ(Fetch({kEasy}), paths);
  EXPECT_EQ(observer_.warnings.size(), 1u);
  ExpectError(ErrorCode::kGeneral, "gives no answer", {kChallenge});
}

TEST_F(HubFilesTest, WhatIsNotThereIsNamed) {
  ExpectError(ErrorCode::kModelNotFound, "has no such data set", {kEasy}, "test/unknown");
  ExpectError(ErrorCode::kModelNotFound, "ARC-Easy/dev.parquet", {"ARC-Easy/dev.parquet"});
  ExpectError(ErrorCode::kModelNotFound, "revision 'main'", {"ARC-Hard/test.parquet"});
}

TEST_F(HubFilesTest, ModelsHaveFilesToo) {
  const auto paths = Fetch({"config.json"}, "test/stories260k", HubKind::kModel);
  EXPECT_EQ(paths[0].parent_path().parent_path().parent_path(),
            settings_.cache / "models--test--stories260k");
}

}  // namespace
}  // namespace llmq
