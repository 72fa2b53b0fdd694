// Whole downloads from a Hub of two hosts on this machine.
#include <gtest/gtest.h>

#include <thread>

#include "base/file.h"
#include "llmq/error.h"
#include "tests/hub/local_hub.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;
using testing::HeardObserver;
using testing::LocalHub;

const fs::path kModel = fs::path(LLMQ_TEST_MODEL_DIR) / "stories260k/hf-f32";

class HubModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!LocalHub::Available()) GTEST_SKIP() << "no Python";
    hub_ = std::make_unique<LocalHub>();
    settings_ = hub_->Settings(directory_.path());
  }

  fs::path FetchAll(const std::string& id) {
    return HubModel(settings_, *ParseHubModelId(id), observer_).FetchAll();
  }

  fs::path Folder(const std::string& name) { return settings_.cache / ("models--test--" + name); }

  const testing::TemporaryDirectory directory_;
  std::unique_ptr<LocalHub> hub_;
  HubSettings settings_;
  HeardObserver observer_;
};

void ExpectSameModel(const fs::path& directory, const fs::path& model = kModel) {
  for (const auto& entry : fs::directory_iterator(model)) {
    const fs::path name = entry.path().filename();
    ASSERT_TRUE(fs::exists(directory / name)) << name;
    EXPECT_EQ(ReadTextFile(directory / name), ReadTextFile(entry.path())) << name;
  }
}

TEST_F(HubModelTest, FetchesWhatIsNeededAndNothingElse) {
  const fs::path directory = FetchAll("test/stories260k");
  ExpectSameModel(directory);
  for (const char* name : {"README.md", "onnx", "flax_model.msgpack", ".gitattributes"}) {
    EXPECT_FALSE(fs::exists(directory / name)) << name;
  }
  EXPECT_EQ(hub_->Count("GET", "README"), 0);
  EXPECT_EQ(hub_->Count("GET", "msgpack"), 0);
  EXPECT_EQ(observer_.last, observer_.total);
  EXPECT_TRUE(observer_.warnings.empty());
  for (const auto& entry : fs::directory_iterator(Folder("stories260k") / "blobs")) {
    EXPECT_EQ(entry.path().filename().string().find("incomplete"), std::string::npos);
  }
}

TEST_F(HubModelTest, SmallFilesFirstThenTheRest) {
  HubModel model(settings_, *ParseHubModelId("test/stories260k"), observer_);
  const fs::path directory = model.FetchSmallFiles();
  EXPECT_TRUE(fs::exists(directory / "config.json"));
  EXPECT_TRUE(fs::exists(directory / "tokenizer.json"));
  EXPECT_FALSE(model.HasWeights());
  EXPECT_EQ(hub_->Count("GET", "model.safetensors"), 0);
  const size_t asked = hub_->Requests().size();
  EXPECT_EQ(model.FetchAll(), directory);
  EXPECT_TRUE(model.HasWeights());
  EXPECT_EQ(hub_->Requests().size(), asked + 3);  // HEAD, GET, GET of the store
}

TEST_F(HubModelTest, ShardsAreFetchedByTheIndex) {
  const fs::path directory = FetchAll("test/stories-19m");
  ExpectSameModel(directory, fs::path(LLMQ_TEST_MODEL_DIR) / "stories-19m");
}

TEST_F(HubModelTest, TheTokenNeverReachesTheStore) {
  settings_.token = "hf_good_token";
  ExpectSameModel(FetchAll("test/private"));
  ExpectSameModel(FetchAll("test/dropped"));
  int to_hub = 0;
  int to_store = 0;
  for (const Json& request : hub_->Requests()) {
    const bool store = request.at("host") == "127.0.0.2";
    (store ? to_store : to_hub) += 1;
    if (store) {
      EXPECT_FALSE(request.at("headers").contains("authorization")) << DumpJson(request);
    } else {
      EXPECT_EQ(request.at("headers").at("authorization"), "Bearer hf_good_token");
    }
    EXPECT_EQ(request.at("headers").at("accept-encoding"), "identity");
  }
  EXPECT_GT(to_hub, 20);
  EXPECT_GT(to_store, 4);
}

TEST_F(HubModelTest, ASecondRunAsksOnlyForTheCommit) {
  FetchAll("test/stories260k");
  const size_t asked = hub_->Requests().size();
  observer_.downloads = 0;
  FetchAll("test/stories260k");
  EXPECT_EQ(hub_->Requests().size(), asked + 2);  // the commit, its files
  EXPECT_EQ(observer_.downloads, 0);
}

TEST_F(HubModelTest, ACommitInTheCacheNeedsNoNetwork) {
  const std::string commit =
      HubModel(settings_, *ParseHubModelId("test/stories260k"), observer_).commit();
  FetchAll("test/stories260k@" + commit);
  const size_t asked = hub_->Requests().size();
  ExpectSameModel(FetchAll("test/stories260k@" + commit));
  EXPECT_EQ(hub_->Requests().size(), asked);
}

TEST_F(HubModelTest, Offline) {
  settings_.offline = true;
  EXPECT_THROW(FetchAll("test/stories260k"), Error);
  EXPECT_TRUE(hub_->Requests().empty());
  settings_.offline = false;
  HubModel(settings_, *ParseHubModelId("test/stories260k"), observer_).FetchSmallFiles();
  settings_.offline = true;
  const size_t asked = hub_->Requests().size();
  try {
    FetchAll("test/stories260k");  // the weights are not there
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 3);
    EXPECT_NE(error.message().find("offline"), std::string::npos);
  }
  EXPECT_EQ(hub_->Requests().size(), asked);
  settings_.offline = false;
  FetchAll("test/stories260k");
  settings_.offline = true;
  ExpectSameModel(FetchAll("test/stories260k"));
}

TEST_F(HubModelTest, WithoutANetworkTheCacheServesWithAWarning) {
  FetchAll("test/stories260k");
  hub_.reset();
  ExpectSameModel(FetchAll("test/stories260k"));
  ASSERT_EQ(observer_.warnings.size(), 1u);
  EXPECT_NE(observer_.warnings[0].find("cache"), std::string::npos);
  try {
    FetchAll("test/other");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 1);
    EXPECT_NE(error.message().find("gives no answer"), std::string::npos) << error.message();
  }
}

TEST_F(HubModelTest, ARefusalDoesNotTakeAwayWhatIsInTheCache) {
  settings_.token = "hf_good_token";
  FetchAll("test/private");
  settings_.token = "";
  ExpectSameModel(FetchAll("test/private"));
  ASSERT_EQ(observer_.warnings.size(), 1u);
  EXPECT_NE(observer_.warnings[0].find("private"), std::string::npos);
}

TEST_F(HubModelTest, Revisions) {
  settings_.symlinks = false;
  for (const char* revision : {"main", "v1.0", "refs/pr/1"}) {
    ExpectSameModel(FetchAll(std::string("test/stories260k@") + revision));
    EXPECT_TRUE(fs::exists(Folder("stories260k") / "refs" / revision)) << revision;
  }
  EXPECT_GT(hub_->Count("GET", "revision/refs%2Fpr%2F1"), 0);
}

TEST_F(HubModelTest, CancelledDownloadsGoOnWhereTheyStopped) {
  observer_.cancel_at = 4 << 20;
  try {
    FetchAll("test/stories-19m");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 9);
  }
  uint64_t left = 0;
  for (const auto& entry : fs::directory_iterator(Folder("stories-19m") / "blobs")) {
    if (entry.path().extension() == ".incomplete") left += fs::file_size(entry.path());
  }
  EXPECT_GE(left, 3u << 20);
  HeardObserver second;
  const fs::path directory =
      HubModel(settings_, *ParseHubModelId("test/stories-19m"), second).FetchAll();
  EXPECT_EQ(second.present, left);
  ExpectSameModel(directory, fs::path(LLMQ_TEST_MODEL_DIR) / "stories-19m");
  int resumed = 0;
  for (const Json& request : hub_->Requests()) resumed += request.at("headers").contains("range");
  EXPECT_GE(resumed, 2);  // at the Hub and at the store
}

TEST_F(HubModelTest, ARemnantOfOtherBytesIsReplaced) {
  const fs::path source = kModel / "model.safetensors";
  FetchAll("test/stories260k");
  std::string etag;
  for (const auto& entry : fs::directory_iterator(Folder("stories260k") / "blobs")) {
    if (fs::file_size(entry) == fs::file_size(source)) etag = entry.path().filename();
  }
  ASSERT_EQ(etag.size(), 64u);
  fs::remove_all(Folder("stories260k") / "snapshots");
  fs::remove(Folder("stories260k") / "blobs" / etag);
  WriteFileAtomically(Folder("stories260k") / "blobs" / (etag + ".incomplete"),
                      std::string(5000, 'x'));
  ExpectSameModel(FetchAll("test/stories260k"));
  // A blob of the wrong size, by whomever, is not believed either.
  WriteFileAtomically(Folder("stories260k") / "blobs" / etag, "short");
  ExpectSameModel(FetchAll("test/stories260k"));
}

TEST_F(HubModelTest, TwoAtOnceFetchOnce) {
  HeardObserver other;
  std::thread second(
      [&] { HubModel(settings_, *ParseHubModelId("test/stories-19m"), other).FetchAll(); });
  const fs::path directory = FetchAll("test/stories-19m");
  second.join();
  ExpectSameModel(directory, fs::path(LLMQ_TEST_MODEL_DIR) / "stories-19m");
  int from_store = 0;
  for (const Json& request : hub_->Requests()) {
    from_store += request.at("host") == "127.0.0.2" &&
                  request.at("path").get<std::string>().find(".safetensors") != std::string::npos;
  }
  EXPECT_EQ(from_store, 2);  // each shard once
}

}  // namespace
}  // namespace llmq
