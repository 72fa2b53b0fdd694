// Every way in which a Hub can fail (hub_server.py, FAULTS), and how it ends.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "llmq/error.h"
#include "tests/hub/local_hub.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;
using testing::HeardObserver;
using testing::LocalHub;

// One server for all; each fault has a repository, and each test a cache.
class HubFaultsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (LocalHub::Available()) hub_ = std::make_unique<LocalHub>();
  }
  static void TearDownTestSuite() { hub_.reset(); }
  void SetUp() override {
    if (!hub_) GTEST_SKIP() << "no Python";
    settings_ = hub_->Settings(directory_.path());
  }

  fs::path FetchAll(const std::string& name) {
    return HubModel(settings_, {.id = "test/" + name}, observer_).FetchAll();
  }

  void ExpectGood(const std::string& name) {
    const fs::path directory = FetchAll(name);
    const fs::path model = fs::path(LLMQ_TEST_MODEL_DIR) / "stories260k/hf-f32";
    for (const auto& entry : fs::directory_iterator(model)) {
      const fs::path file = entry.path().filename();
      EXPECT_EQ(ReadTextFile(directory / file), ReadTextFile(entry.path())) << name << file;
    }
  }

  void ExpectFailure(const std::string& name, int exit_code, const std::string& part) {
    try {
      FetchAll(name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), exit_code) << name << ": " << error.message();
      EXPECT_NE((error.message() + " | " + error.suggestion()).find(part), std::string::npos)
          << name << ": " << error.message() << " | " << error.suggestion();
      EXPECT_FALSE(error.suggestion().empty()) << name;
      EXPECT_EQ((error.message() + error.suggestion()).find("secret"), std::string::npos);
    }
    EXPECT_FALSE(fs::exists(directory_ / "evil"));
    // No whole-looking weights are left in the snapshot.
    const fs::path folder = settings_.cache / ("models--test--" + name);
    if (!fs::exists(folder / "snapshots")) return;
    for (const auto& commit : fs::directory_iterator(folder / "snapshots")) {
      EXPECT_FALSE(fs::exists(commit.path() / "model.safetensors")) << name;
    }
  }

  static std::unique_ptr<LocalHub> hub_;
  const testing::TemporaryDirectory directory_;
  HubSettings settings_;
  HeardObserver observer_;
};
std::unique_ptr<LocalHub> HubFaultsTest::hub_;

TEST_F(HubFaultsTest, Refusals) {
  ExpectFailure("unknown", 3, "HF_TOKEN");
  ExpectFailure("private", 3, "HF_TOKEN");
  ExpectFailure("gated", 4, hub_->url() + "/test/gated to ask for access");
  ExpectFailure("disabled", 4, "disabled");
  settings_.token = "hf_good_token";
  ExpectFailure("unknown", 3, "no such repository");
  ExpectFailure("gated", 4, "restricted");
  settings_.token = "hf_secret_of_mine";
  ExpectFailure("private", 4, "does not accept the token");
  settings_.token = "hf_good_token";
  ExpectGood("private");
}

TEST_F(HubFaultsTest, RevisionsThatAreNotThere) {
  try {
    HubModel(settings_, {.id = "test/stories260k", .revision = "v9"}, observer_);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 3);
    EXPECT_NE(error.message().find("'v9'"), std::string::npos);
  }
}

TEST_F(HubFaultsTest, RepositoriesThatCannotBeUsed) {
  ExpectFailure("empty", 3, "config.json");
  ExpectFailure("pickled", 1, "safetensors");
  EXPECT_EQ(hub_->Count("GET", "pytorch_model.bin"), 0);
  ExpectFailure("absent-shard", 1, "model-00001-of-00001.safetensors");
}

TEST_F(HubFaultsTest, ServersThatRecover) {
  for (const char* name : {"busy", "ratelimit", "flaky", "renamed", "paged", "weak-etag"}) {
    ExpectGood(name);
  }
}

TEST_F(HubFaultsTest, ServersThatDoNot) {
  ExpectFailure("broken", 1, "HTTP 500");
  ExpectFailure("api-broken", 1, "HTTP 500");
  ExpectFailure("bad-json", 1, "JSON");
  ExpectFailure("loop", 1, "redirects");
  ExpectFailure("store-403", 1, "127.0.0.2");
}

TEST_F(HubFaultsTest, AServerThatSaysNothing) {
  settings_.metadata_timeout = settings_.stall_timeout = 1;
  ExpectFailure("silent", 1, "gives no answer");
}

TEST_F(HubFaultsTest, BrokenConnectionsAreResumed) {
  ExpectGood("dropped");
  int ranges = 0;
  for (const Json& request : hub_->Requests()) {
    ranges += request.at("host") == "127.0.0.2" && request.at("headers").contains("range");
  }
  EXPECT_EQ(ranges, 3);  // three breaks
  ExpectGood("dropped-no-range");
  ExpectGood("range416");
  ExpectFailure("always-dropped", 1, "the download continues where it stopped");
  ExpectFailure("always-restarted", 1, "the download continues where it stopped");
  ExpectFailure("wrong-range", 1, "expected 'bytes ");
}

TEST_F(HubFaultsTest, AStalledConnectionIsGivenUpAndResumed) {
  settings_.stall_timeout = 1;
  ExpectGood("stalled");
}

TEST_F(HubFaultsTest, Lies) {
  ExpectFailure("short", 1, "bytes, found an answer of");
  ExpectFailure("long", 1, "found more");
  ExpectFailure("corrupt", 1, "expected checksum");
  ExpectFailure("corrupt-small", 1, "expected checksum");
  ExpectFailure("size-differs", 1, "as the file list says");
  ExpectFailure("etag-differs", 1, "SHA-256");
  ExpectFailure("other-commit", 1, "expected commit");
  ExpectFailure("no-etag", 1, "ETag");
}

TEST_F(HubFaultsTest, NothingLeavesTheCache) {
  ExpectFailure("evil-etag", 1, "ETag");
  ExpectFailure("evil-commit", 1, "commit of 40");
  ExpectFailure("evil-index", 1, "weight_map");
  ExpectFailure("to-file", 1, "redirect");
  ExpectFailure("paged-elsewhere", 1, "same host");
  for (const auto& entry : fs::directory_iterator(directory_.path())) {
    EXPECT_EQ(entry.path().filename(), "cache");
  }
}

TEST_F(HubFaultsTest, AFullDisk) {
  // Nothing here has so much room: what the list announces is believed before a byte is asked for.
  ExpectFailure("huge", 1, "free disk space");
  EXPECT_EQ(hub_->Count("GET", "test/huge/resolve"), 0);
}

}  // namespace
}  // namespace llmq
