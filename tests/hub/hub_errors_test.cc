#include "hub/hub_errors.h"

#include <gtest/gtest.h>

namespace llmq {
namespace {

struct Case {
  int status;
  const char* code;
  const char* message;
  int exit_code;
  const char* part;  // of message or suggestion
};

class HubErrorTest : public ::testing::Test {
 protected:
  HubErrorTest() { settings_.endpoint = "https://hub.org"; }

  Error Of(const Case& one, const std::string& what = "config.json",
           const std::string& from = "https://hub.org/x") {
    HttpResponse response = {.status = one.status};
    response.headers = {{"x-error-code", one.code}, {"x-error-message", one.message}};
    return HubError(response, *ParseUrl(from), settings_, {.id = "org/name", .revision = "v1"},
                    what);
  }

  HubSettings settings_;
};

TEST_F(HubErrorTest, Table) {
  const Case cases[] = {
      {404, "RepoNotFound", "", 3, "org/name"},
      {401, "RepoNotFound", "", 3, "HF_TOKEN"},
      {401, "", "", 3, "HF_TOKEN"},
      {401, "", "Invalid username or password.", 3, "private"},
      {401, "", "Invalid credentials in Authorization header", 4, "does not accept the token"},
      {404, "RevisionNotFound", "", 3, "'v1'"},
      {404, "EntryNotFound", "", 3, "config.json"},
      {404, "", "", 3, "config.json"},
      {401, "GatedRepo", "", 4, "Visit https://hub.org/org/name to ask for access"},
      {403, "GatedRepo", "", 4, "HF_TOKEN"},
      {403, "", "", 4, "ask for access; set HF_TOKEN"},
      {403, "", "Access to this resource is disabled.", 4, "disabled"},
      {403, "", "because\x1b[31m red", 4, "because?[31m red"},
      {429, "", "", 1, "too many requests"},
      {500, "", "", 1, "HTTP 500"},
      {418, "", "", 1, "HTTP 418"},
  };
  for (const Case& one : cases) {
    const Error error = Of(one);
    EXPECT_EQ(error.exit_code(), one.exit_code) << one.status << one.code << one.message;
    EXPECT_NE((error.message() + error.suggestion()).find(one.part), std::string::npos)
        << error.message() << " | " << error.suggestion();
    EXPECT_FALSE(error.suggestion().empty());
  }
}

TEST_F(HubErrorTest, ATokenInUseIsNotAskedForAgain) {
  settings_.token = "hf_secret";
  for (const char* code : {"GatedRepo", "RepoNotFound"}) {
    const Error error = Of({403, code, "", 0, ""});
    EXPECT_EQ(error.suggestion().find("HF_TOKEN"), std::string::npos) << error.suggestion();
    EXPECT_EQ((error.message() + error.suggestion()).find("hf_secret"), std::string::npos);
  }
}

TEST_F(HubErrorTest, TheStoresRefusalsSayNothingAboutTheAccount) {
  for (const int status : {401, 403, 404}) {
    const Error error = Of({status, "GatedRepo", "", 0, ""}, "a.safetensors", "https://cdn.org/a");
    EXPECT_EQ(error.exit_code(), 1) << status;
    EXPECT_NE(error.message().find("cdn.org"), std::string::npos);
  }
}

}  // namespace
}  // namespace llmq
