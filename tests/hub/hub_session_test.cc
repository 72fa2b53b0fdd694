// Redirects, the token and retries, against a transport that answers from a script.
#include "hub/hub_session.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "base/bytes.h"
#include "llmq/error.h"

namespace llmq {
namespace {

using Answers = std::map<std::string, std::vector<HttpResponse>>;  // by URL; the last one repeats

struct Script {
  Answers answers;
  std::vector<HttpRequest> requests = {};

  std::string AuthorizationOf(const std::string& url) const {
    for (const HttpRequest& request : requests) {
      if (request.url != url) continue;
      for (const auto& [name, value] : request.headers) {
        if (name == "Authorization") return value;
      }
    }
    return "";
  }
};

class ScriptedTransport : public HttpTransport {
 public:
  explicit ScriptedTransport(Script& script) : script_(script) {}
  HttpResponse Exchange(const HttpRequest& request, BodySink& sink) override {
    script_.requests.push_back(request);
    const auto it = script_.answers.find(request.url);
    if (it == script_.answers.end()) throw TransportError("refused", true);
    HttpResponse response = it->second.front();
    if (it->second.size() > 1) it->second.erase(it->second.begin());
    if (sink.Begin(response)) sink.Write(AsBytes("body"));
    return response;
  }

 private:
  Script& script_;
};

HttpResponse Redirect(const std::string& location, int status = 302) {
  return {.status = status, .headers = {{"location", location}}};
}
const HttpResponse kOk = {.status = 200};

class HubSessionTest : public ::testing::Test {
 protected:
  HubSessionTest() {
    settings_.endpoint = "https://hub.org";
    settings_.token = "hf_secret";
    settings_.first_wait = 0;
  }

  HubSession Session(Answers answers) {
    script_ = {.answers = std::move(answers)};
    return HubSession(settings_, model_,
                      {.cancelled = [] { return false; }, .info = [](const std::string&) {}},
                      std::make_unique<ScriptedTransport>(script_));
  }

  std::optional<Error> FailureOf(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      return error;
    }
    return std::nullopt;
  }

  HubSettings settings_;
  HubRepository model_ = {.id = "org/name"};
  Script script_;
};

TEST_F(HubSessionTest, TheTokenStaysAtHome) {
  auto session = Session({{"https://hub.org/a", {Redirect("/b")}},
                          {"https://hub.org/b", {Redirect("https://cdn.org/c")}},
                          {"https://cdn.org/c", {Redirect("https://hub.org:444/d")}},
                          {"https://hub.org:444/d", {Redirect("https://sub.hub.org/e")}},
                          {"https://sub.hub.org/e", {kOk}}});
  EXPECT_EQ(session.GetText("https://hub.org/a").first, "body");
  EXPECT_EQ(script_.AuthorizationOf("https://hub.org/a"), "Bearer hf_secret");
  EXPECT_EQ(script_.AuthorizationOf("https://hub.org/b"), "Bearer hf_secret");
  for (const char* url : {"https://cdn.org/c", "https://hub.org:444/d", "https://sub.hub.org/e"}) {
    EXPECT_EQ(script_.AuthorizationOf(url), "") << url;
  }
  EXPECT_EQ(script_.requests.size(), 5u);
}

TEST_F(HubSessionTest, FromHttpsToHttpNeverEvenOnTheSameHost) {
  for (const char* target : {"http://hub.org/b", "http://cdn.org/b"}) {
    auto session = Session({{"https://hub.org/a", {Redirect(target)}}, {target, {kOk}}});
    const auto error = FailureOf([&] { session.GetText("https://hub.org/a"); });
    ASSERT_TRUE(error) << target;
    EXPECT_EQ(error->exit_code(), 1);
    EXPECT_NE(error->message().find("from https to unencrypted http"), std::string::npos);
    EXPECT_EQ(script_.requests.size(), 1u);
    const auto head = FailureOf([&] { session.HeadFile("https://hub.org/a", "x"); });
    EXPECT_TRUE(head);
  }
  settings_.endpoint = "http://hub.org";  // a local Hub may lead to a safer place
  auto session = Session(
      {{"http://hub.org/a", {Redirect("https://hub.org/b")}}, {"https://hub.org/b", {kOk}}});
  EXPECT_EQ(session.GetText("http://hub.org/a").first, "body");
}

TEST_F(HubSessionTest, OtherRedirectsThatAreRefused) {
  for (const char* target :
       {"", "file:///etc/passwd", "ftp://x/y", "https://user:pw@x/y", "http:"}) {
    auto session = Session({{"https://hub.org/a", {Redirect(target)}}});
    EXPECT_TRUE(FailureOf([&] { session.GetText("https://hub.org/a"); })) << target;
    EXPECT_EQ(script_.requests.size(), 1u);
  }
}

TEST_F(HubSessionTest, AtMostTenRedirects) {
  Answers answers;
  for (int i = 0; i < 11; ++i) {
    answers[fmt::format("https://hub.org/{}", i)] = {Redirect(fmt::format("/{}", i + 1))};
  }
  answers["https://hub.org/11"] = {kOk};
  auto session = Session(answers);
  EXPECT_EQ(session.GetText("https://hub.org/1").first, "body");  // ten
  EXPECT_TRUE(FailureOf([&] { session.GetText("https://hub.org/0"); }));
  auto loop = Session({{"https://hub.org/a", {Redirect("/a")}}});
  const auto error = FailureOf([&] { loop.HeadFile("https://hub.org/a", "x"); });
  ASSERT_TRUE(error);
  EXPECT_NE(error->message().find("redirects"), std::string::npos);
  EXPECT_EQ(script_.requests.size(), 11u);
}

TEST_F(HubSessionTest, HeadStopsWhereTheBytesAreElsewhere) {
  HttpResponse first = Redirect("/cache/a", 307);
  first.headers.emplace_back("x-repo-commit", "c0ffee");
  HttpResponse second = Redirect("https://cdn.org/a");
  second.headers.emplace_back("x-linked-etag", "\"abc\"");
  auto session = Session({{"https://hub.org/a", {first}}, {"https://hub.org/cache/a", {second}}});
  const HttpResponse response = session.HeadFile("https://hub.org/a", "a");
  EXPECT_EQ(response.status, 302);
  EXPECT_EQ(response.Header("x-repo-commit"), "c0ffee");  // of the first
  EXPECT_EQ(response.Header("x-linked-etag"), "\"abc\"");
  EXPECT_EQ(script_.requests.size(), 2u);
  EXPECT_TRUE(script_.requests[0].head);
}

TEST_F(HubSessionTest, TemporaryFailuresAreRetriedOthersAreNot) {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    auto session = Session({{"https://hub.org/a", {{.status = status}, {.status = status}, kOk}}});
    EXPECT_EQ(session.GetText("https://hub.org/a").first, "body") << status;
    EXPECT_EQ(script_.requests.size(), 3u);
  }
  for (const int status : {400, 401, 403, 404, 410, 501}) {
    auto session = Session({{"https://hub.org/a", {{.status = status}}}});
    EXPECT_TRUE(FailureOf([&] { session.GetText("https://hub.org/a"); })) << status;
    EXPECT_EQ(script_.requests.size(), 1u) << status;
  }
  auto session = Session({{"https://hub.org/a", {{.status = 500}}}});
  EXPECT_TRUE(FailureOf([&] { session.GetText("https://hub.org/a"); }));
  EXPECT_EQ(script_.requests.size(), 6u);  // once, and five times again
  EXPECT_TRUE(FailureOf([&] { session.GetText("https://hub.org/a", /*retry=*/false); }));
  EXPECT_EQ(script_.requests.size(), 7u);
}

TEST_F(HubSessionTest, NoAnswerIsRetriedToo) {
  auto session = Session({});
  EXPECT_THROW(session.GetText("https://hub.org/a"), TransportError);
  EXPECT_EQ(script_.requests.size(), 6u);
}

}  // namespace
}  // namespace llmq
