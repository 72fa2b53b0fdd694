// Headers without files, and files that come while somebody waits.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "base/file.h"
#include "llmq/error.h"
#include "tests/hub/local_hub.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;
using testing::HeardObserver;
using testing::LocalHub;

const fs::path kShards = fs::path(LLMQ_TEST_MODEL_DIR) / "stories-19m";
const std::vector<std::string> kNames = {"model-00001-of-00002.safetensors",
                                         "model-00002-of-00002.safetensors"};

class HubWeightsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!LocalHub::Available()) GTEST_SKIP() << "no Python";
    hub_ = std::make_unique<LocalHub>();
    settings_ = hub_->Settings(directory_.path());
  }

  std::unique_ptr<HubModel> Model(const std::string& name) {
    auto model =
        std::make_unique<HubModel>(settings_, HubRepository{.id = "test/" + name}, observer_);
    snapshot_ = model->FetchSmallFiles();
    return model;
  }

  const testing::TemporaryDirectory directory_;
  std::unique_ptr<LocalHub> hub_;
  HubSettings settings_;
  HeardObserver observer_;
  fs::path snapshot_;
};

void ExpectHeaders(const std::vector<ArrivingFile>& files) {
  ASSERT_EQ(files.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const std::string whole = ReadTextFile(kShards / kNames[i]);
    uint64_t json = 0;
    std::memcpy(&json, whole.data(), sizeof(json));
    EXPECT_EQ(files[i].name, kNames[i]);
    EXPECT_EQ(files[i].bytes, whole.size());
    EXPECT_EQ(files[i].header, whole.substr(0, sizeof(json) + json));
  }
}

TEST_F(HubWeightsTest, HeadersAreBeginningsOfTheFiles) {
  for (const char* name : {"stories-19m", "shards", "shard-no-range"}) {
    const auto files = Model(name)->FetchHeaders();
    ASSERT_TRUE(files);
    ExpectHeaders(*files);
    for (const std::string& shard : kNames) EXPECT_FALSE(fs::exists(snapshot_ / shard));
  }
}

TEST_F(HubWeightsTest, HeadersFromServersThatFail) {
  for (const char* name : {"dropped", "flaky", "busy", "range416", "always-restarted"}) {
    const auto files = Model(name)->FetchHeaders();
    ASSERT_TRUE(files && files->size() == 1) << name;
    const std::string whole =
        ReadTextFile(fs::path(LLMQ_TEST_MODEL_DIR) / "stories260k/hf-f32/model.safetensors");
    EXPECT_EQ(whole.substr(0, files->front().header.size()), files->front().header) << name;
  }
  EXPECT_THROW((void)Model("store-403")->FetchHeaders(), Error);
  EXPECT_THROW((void)Model("loop")->FetchHeaders(), Error);
}

TEST_F(HubWeightsTest, WhatIsInTheCacheNeedsNoHeader) {
  Model("shards")->FetchAll();
  const size_t asked = hub_->Requests().size();
  const auto files = Model("shards")->FetchHeaders();
  ASSERT_TRUE(files);
  EXPECT_TRUE(files->empty());
  EXPECT_EQ(hub_->Requests().size(), asked + 2);  // the commit, its files
  fs::remove(snapshot_ / kNames[1]);
  settings_.offline = true;
  EXPECT_FALSE(Model("shards")->FetchHeaders());  // nobody to ask
}

TEST_F(HubWeightsTest, ACommitWhoseSmallFilesAreCachedNeedsNoHub) {
  const std::string commit = Model("shards")->commit();
  hub_.reset();
  HubModel model(settings_, {.id = "test/shards", .revision = commit}, observer_);
  EXPECT_EQ(model.FetchSmallFiles(), snapshot_);
  EXPECT_FALSE(model.FetchHeaders());
  ASSERT_EQ(observer_.warnings.size(), 1u);
  EXPECT_THROW(model.FetchAll(), Error);
}

TEST_F(HubWeightsTest, ASingleFileHasADigestToo) {
  const auto model = Model("stories260k");
  (void)model->FetchHeaders();
  EXPECT_NE(model->WeightsDigest().find("model.safetensors "), std::string::npos);
}

TEST_F(HubWeightsTest, TheDigestIsTheSameFromTheNetworkAndFromTheCache) {
  const auto model = Model("shards");
  (void)model->FetchHeaders();
  const std::string digest = model->WeightsDigest();
  EXPECT_NE(digest.find(kNames[1]), std::string::npos);
  model->FetchAll();
  settings_.offline = true;
  EXPECT_EQ(Model("shards")->WeightsDigest(), digest);
  EXPECT_NE(Model("shards")->WeightsDigest(), "");
  fs::remove(snapshot_ / kNames[0]);
  fs::copy_file(kShards / kNames[0], snapshot_ / kNames[0]);  // no link: nobody says what it is
  EXPECT_EQ(Model("shards")->WeightsDigest(), "");
}

TEST_F(HubWeightsTest, WaitsForEachFile) {
  const auto model = Model("stories-19m");
  HubWeights weights(*model, *model->FetchHeaders(), observer_);
  EXPECT_EQ(hub_->Count("GET", ".safetensors?Signature"), 2);
  int ticks = 0;
  weights.Start({kNames[1]}, [&] { ++ticks; });
  for (const std::string& name : kNames) {
    EXPECT_FALSE(weights.Wait(name));
    EXPECT_EQ(ReadTextFile(snapshot_ / name), ReadTextFile(kShards / name));
  }
  EXPECT_GT(ticks, 0);
  EXPECT_GT(weights.waited_seconds(), 0);
}

TEST_F(HubWeightsTest, AFailureIsToldToAllWhoWait) {
  const auto model = Model("shard-corrupt");
  HubWeights weights(*model, *model->FetchHeaders(), observer_);
  weights.Start(kNames, [] {});
  std::optional<Error> other;
  std::thread thread([&] { other = weights.Wait(kNames[1]); });
  const auto error = weights.Wait(kNames[1]);
  thread.join();
  ASSERT_TRUE(error && other);
  EXPECT_NE(error->message().find("checksum"), std::string::npos);
  EXPECT_EQ(other->message(), error->message());
  EXPECT_FALSE(fs::exists(snapshot_ / kNames[1]));
}

TEST_F(HubWeightsTest, LeavingEndsTheDownload) {
  const auto model = Model("stories-19m");
  {
    HubWeights weights(*model, *model->FetchHeaders(), observer_);
    weights.Start(kNames, [] {});
  }
  EXPECT_FALSE(fs::exists(snapshot_ / kNames[0]) && fs::exists(snapshot_ / kNames[1]));
  EXPECT_FALSE(observer_.cancelled);
}

TEST_F(HubWeightsTest, CancelledWhileWaiting) {
  const auto model = Model("stories-19m");
  HubWeights weights(*model, *model->FetchHeaders(), observer_);
  observer_.cancel_at = 1;
  weights.Start(kNames, [] {});
  const auto error = weights.Wait(kNames[1]);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kUserCancelled);
}

}  // namespace
}  // namespace llmq
