#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "llmq/error.h"
#include "llmq/hub.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using Variables = std::map<std::string, std::string>;

HubSettings Read(const Variables& variables) {
  return ReadHubSettings([&](const char* name) -> std::optional<std::string> {
    const auto it = variables.find(name);
    return it == variables.end() ? std::nullopt : std::optional(it->second);
  });
}

TEST(HubSettings, Defaults) {
  const HubSettings settings = Read({{"HOME", "/home/x"}});
  EXPECT_EQ(settings.endpoint, "https://huggingface.co");
  EXPECT_EQ(settings.cache, "/home/x/.cache/huggingface/hub");
  EXPECT_EQ(settings.token, "");
  EXPECT_FALSE(settings.offline);
  EXPECT_TRUE(settings.symlinks);
  EXPECT_EQ(settings.metadata_timeout, 10);
}

TEST(HubSettings, WhereTheCacheIs) {
  EXPECT_EQ(Read({{"XDG_CACHE_HOME", "/c"}}).cache, "/c/huggingface/hub");
  EXPECT_EQ(Read({{"XDG_CACHE_HOME", "/c"}, {"HF_HOME", "/h"}}).cache, "/h/hub");
  EXPECT_EQ(Read({{"HOME", "/u"}, {"HF_HOME", "~/h"}}).cache, "/u/h/hub");
  EXPECT_EQ(Read({{"HF_HOME", "/h"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache, "/old");
  EXPECT_EQ(Read({{"HF_HUB_CACHE", "/new"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache, "/new");
  EXPECT_EQ(Read({{"HF_HUB_CACHE", ""}, {"HF_HOME", "/h"}}).cache, "/h/hub");
}

TEST(HubSettings, Offline) {
  for (const char* value : {"1", "on", "YES", "True"}) {
    EXPECT_TRUE(Read({{"HF_HUB_OFFLINE", value}}).offline) << value;
    EXPECT_TRUE(Read({{"TRANSFORMERS_OFFLINE", value}}).offline) << value;
  }
  for (const char* value : {"", "0", "no", "2"}) {
    EXPECT_FALSE(Read({{"HF_HUB_OFFLINE", value}}).offline) << value;
  }
}

TEST(HubSettings, Token) {
  const testing::TemporaryDirectory home;
  WriteFileAtomically(home / "token", " from-file\n");
  WriteFileAtomically(home / "other", "from-other");
  const std::string path = home.path();
  EXPECT_EQ(Read({{"HF_HOME", path}}).token, "from-file");
  EXPECT_EQ(Read({{"HF_HOME", path}, {"HF_TOKEN_PATH", path + "/other"}}).token, "from-other");
  EXPECT_EQ(Read({{"HF_HOME", path}, {"HUGGING_FACE_HUB_TOKEN", "old"}}).token, "old");
  EXPECT_EQ(Read({{"HUGGING_FACE_HUB_TOKEN", "old"}, {"HF_TOKEN", " new\n"}}).token, "new");
  EXPECT_EQ(Read({{"HF_TOKEN", "x"}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}}).token, "");
}

TEST(HubSettings, MalformedVariablesAreNamedButNoToken) {
  const std::vector<std::pair<std::string, std::string>> malformed = {
      {"HF_ENDPOINT", "ftp://secret-host"},
      {"HF_ENDPOINT", "huggingface.co"},
      {"HF_HUB_ETAG_TIMEOUT", "ten"},
      {"HF_HUB_DOWNLOAD_TIMEOUT", "-1"},
      {"HF_TOKEN", "hf_secret\nX-Evil: 1"}};
  for (const auto& [name, value] : malformed) {
    try {
      Read({{name, value}});
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 2);
      EXPECT_NE(error.message().find(name), std::string::npos) << error.message();
      EXPECT_EQ(error.message().find("hf_secret"), std::string::npos);
    }
  }
  EXPECT_EQ(Read({{"HF_ENDPOINT", "http://mirror:8080/"}}).endpoint, "http://mirror:8080");
}

}  // namespace
}  // namespace llmq
