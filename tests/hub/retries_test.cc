#include "hub/retries.h"

#include <gtest/gtest.h>

#include <ctime>
#include <vector>

namespace llmq {
namespace {

HttpResponse With(const char* name, const std::string& value) {
  return {.status = 429, .headers = {{name, value}}};
}

TEST(RequestedWait, Headers) {
  EXPECT_EQ(RequestedWait(With("retry-after", "7")), 7.0);
  EXPECT_EQ(RequestedWait(With("retry-after", "0")), 0.0);
  EXPECT_EQ(RequestedWait(With("ratelimit", "\"api\";r=0;t=55")), 55.0);
  EXPECT_EQ(RequestedWait(With("ratelimit", "\"api\";r=12;t=55")), std::nullopt);
  EXPECT_EQ(RequestedWait(With("ratelimit", "nonsense")), std::nullopt);
  EXPECT_EQ(RequestedWait(With("retry-after", "soon")), std::nullopt);
  EXPECT_EQ(RequestedWait(With("retry-after", "99999999999999999999")), std::nullopt);
  EXPECT_EQ(RequestedWait({}), std::nullopt);
}

TEST(RequestedWait, Dates) {
  const std::time_t later = std::time(nullptr) + 100;
  char text[64];
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", std::gmtime(&later));
  const auto wait = RequestedWait(With("retry-after", text));
  ASSERT_TRUE(wait);
  EXPECT_GT(*wait, 90);
  EXPECT_LE(*wait, 100);
  EXPECT_EQ(RequestedWait(With("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")), 0.0);
}

class RetriesTest : public ::testing::Test {
 protected:
  Retries New(int count) {
    return Retries(count, 1.0, [this](double s, const std::string&) { waits_.push_back(s); });
  }
  std::vector<double> waits_;
};

TEST_F(RetriesTest, WaitsDoubleAndEnd) {
  Retries retries = New(5);
  while (retries.WaitForAnother(nullptr, "x")) {
  }
  EXPECT_EQ(waits_, (std::vector<double>{1, 2, 4, 8, 8}));
}

TEST_F(RetriesTest, ProgressBeginsAnew) {
  Retries retries = New(2);
  EXPECT_TRUE(retries.WaitForAnother(nullptr, "x"));
  EXPECT_TRUE(retries.WaitForAnother(nullptr, "x"));
  retries.Progressed();
  EXPECT_TRUE(retries.WaitForAnother(nullptr, "x"));
  EXPECT_EQ(waits_, (std::vector<double>{1, 2, 1}));
}

TEST_F(RetriesTest, TheServersWishCountsWithinReason) {
  Retries retries = New(5);
  const HttpResponse minute = With("retry-after", "60");
  EXPECT_TRUE(retries.WaitForAnother(&minute, "x"));
  const HttpResponse day = With("retry-after", "86400");
  EXPECT_FALSE(retries.WaitForAnother(&day, "x"));
  EXPECT_EQ(waits_, (std::vector<double>{60}));
}

}  // namespace
}  // namespace llmq
