#include "cli/human_units.h"

#include <gtest/gtest.h>

#include <limits>

namespace llmq {
namespace {

TEST(HumanUnits, Bytes) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.0 KB");
  EXPECT_EQ(FormatBytes(uint64_t{478} << 20), "478 MB");
  EXPECT_EQ(FormatBytes(14495514624), "13.5 GB");  // the contract's example
  EXPECT_EQ(FormatBytes(1023 * 1024), "1.0 MB");   // never "1023 KB" beside "1.0 MB"
  EXPECT_EQ(FormatBytes(std::numeric_limits<uint64_t>::max()), "16777216 TB");
}

TEST(HumanUnits, Counts) {
  EXPECT_EQ(FormatCount(512), "512");
  EXPECT_EQ(FormatCount(260'032), "260K");
  EXPECT_EQ(FormatCount(19'300'000), "19.3M");
  EXPECT_EQ(FormatCount(6'738'415'616), "6.7B");
  EXPECT_EQ(FormatCount(999'600), "1.0M");
  EXPECT_EQ(FormatThousands(6'738'415'616), "6,738,415,616");
  EXPECT_EQ(FormatThousands(999), "999");
  EXPECT_EQ(FormatThousands(1000), "1,000");
  EXPECT_EQ(FormatThousands(0), "0");
}

TEST(HumanUnits, Durations) {
  EXPECT_EQ(FormatDuration(0), "00:00");
  EXPECT_EQ(FormatDuration(135), "02:15");
  EXPECT_EQ(FormatDuration(3600 + 62), "1:01:02");
  EXPECT_EQ(FormatDuration(std::numeric_limits<double>::infinity()), "00:00");
  EXPECT_EQ(FormatDuration(-5), "00:00");
}

TEST(HumanUnits, Bpw) {
  EXPECT_EQ(FormatBpw(0.1), "0.1");
  EXPECT_EQ(FormatBpw(2), "2.0");
  EXPECT_EQ(FormatBpw(0.05), "0.05");
  EXPECT_EQ(FormatBpw(-1), "-1.0");
  EXPECT_EQ(FormatBpw(std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(FormatBpw(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(FormatDelta(61.57), "+61.6%");
  EXPECT_EQ(FormatDelta(-0.44), "-0.4%");
}

}  // namespace
}  // namespace llmq
