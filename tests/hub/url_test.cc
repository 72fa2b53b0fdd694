#include "hub/url.h"

#include <gtest/gtest.h>

namespace llmq {
namespace {

TEST(Url, Parts) {
  const auto url = ParseUrl("HTTPS://Example.ORG/a/b?c=d");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "example.org");
  EXPECT_EQ(url->port, "443");
  EXPECT_FALSE(url->has_user);
  EXPECT_TRUE(ParseUrl("http://u:p@h/")->has_user);
}

TEST(Url, OnlyWholeHttpUrls) {
  for (const char* text : {"", "example.org", "/a/b", "ftp://h/", "file:///etc/passwd", "http://",
                           "http://h:99999/", "http://h h/", "javascript:x"}) {
    EXPECT_FALSE(ParseUrl(text)) << text;
  }
}

TEST(Url, Resolve) {
  const Url base = *ParseUrl("https://h.org/a/b?q=1");
  EXPECT_EQ(ResolveUrl(base, "/c")->text, "https://h.org/c");
  EXPECT_EQ(ResolveUrl(base, "c")->text, "https://h.org/a/c");
  EXPECT_EQ(ResolveUrl(base, "http://x/y")->text, "http://x/y");
  EXPECT_EQ(ResolveUrl(base, "//x.org/y")->host, "x.org");
  EXPECT_FALSE(ResolveUrl(base, ""));
  EXPECT_FALSE(ResolveUrl(base, "file:///etc/passwd"));
}

TEST(Url, SameOrigin) {
  const auto same = [](const char* a, const char* b) {
    return SameOrigin(*ParseUrl(a), *ParseUrl(b));
  };
  EXPECT_TRUE(same("https://h.org/a", "https://H.org:443/b"));
  EXPECT_FALSE(same("https://h.org/", "http://h.org/"));
  EXPECT_FALSE(same("https://h.org/", "https://h.org:444/"));
  EXPECT_FALSE(same("https://h.org/", "https://cdn.h.org/"));
  EXPECT_FALSE(same("https://h.org/", "https://h.org.evil.net/"));
  EXPECT_FALSE(same("https://h.org/", "https://h.org@evil.net/"));
}

TEST(Url, PercentEncode) {
  EXPECT_EQ(PercentEncode("refs/pr/1", false), "refs%2Fpr%2F1");
  EXPECT_EQ(PercentEncode("a b/\xc3\xa4+?.safetensors", true), "a%20b/%C3%A4%2B%3F.safetensors");
}

TEST(Url, SignaturesAreNotShown) {
  EXPECT_EQ(ShownUrl("https://h/a?Signature=secret"), "https://h/a");
}

}  // namespace
}  // namespace llmq
