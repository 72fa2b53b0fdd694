// The emulator itself: what it computes, and that it sees what would hang or be wrong on a device.
#include "tests/cuda/emulated_device.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>
#include <vector>

namespace llmq {
namespace {

using emulated::Launch;

void ExpectFailure(const std::function<void()>& thread, const std::string& part) {
  try {
    Launch({.blocks = 1, .threads = 64, .shared_bytes = 4}, thread);
    FAIL() << "expected: " << part;
  } catch (const std::logic_error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(EmulatedDevice, RunsEveryThreadOfEveryBlockOnce) {
  std::vector<int> counts(3 * 64);
  Launch({.blocks = 3, .threads = 64}, [&] { ++counts[blockIdx.x * 64 + threadIdx.x]; });
  EXPECT_EQ(counts, std::vector<int>(3 * 64, 1));
}

TEST(EmulatedDevice, ShufflesWithinAWarp) {
  std::vector<unsigned> sums(64);
  Launch({.threads = 64}, [&] {
    unsigned sum = threadIdx.x;
    for (int mask = 16; mask > 0; mask /= 2) sum += __shfl_xor_sync(~0u, sum, mask);
    sums[threadIdx.x] = sum;
  });
  for (unsigned i = 0; i < 64; ++i) EXPECT_EQ(sums[i], i < 32 ? 496u : 1520u);
}

TEST(EmulatedDevice, BarriersOrderSharedMemory) {
  std::vector<float> seen(64);
  Launch({.threads = 64, .shared_bytes = 64 * 4}, [&] {
    auto* shared = reinterpret_cast<float*>(cuda::SharedMemory());
    shared[threadIdx.x] = static_cast<float>(threadIdx.x);
    __syncthreads();
    seen[threadIdx.x] = shared[63 - threadIdx.x];
  });
  for (int i = 0; i < 64; ++i) EXPECT_EQ(seen[i], static_cast<float>(63 - i));
}

TEST(EmulatedDevice, BlocksOfACooperativeLaunchMeet) {
  unsigned arrived = 0;
  std::vector<unsigned> seen(4 * 32);
  Launch({.blocks = 4, .threads = 32, .cooperative = true}, [&] {
    if (threadIdx.x == 0) cuda::atomicAdd(&arrived, 1u);
    while (cuda::LoadAcquire(&arrived) < 4) {
    }
    seen[blockIdx.x * 32 + threadIdx.x] = arrived;
  });
  EXPECT_EQ(seen, std::vector<unsigned>(4 * 32, 4u));
}

TEST(EmulatedDevice, SeesBarriersThatNotAllReach) {
  ExpectFailure(
      [] {
        if (threadIdx.x < 10) __syncthreads();
      },
      "others do not reach");
  ExpectFailure(
      [] {
        if (threadIdx.x < 10) {
          __syncthreads();
        } else {
          __syncthreads();
        }
      },
      "different barriers");
  ExpectFailure(
      [] {
        if (threadIdx.x % 2 == 0) __shfl_xor_sync(~0u, 1, 1);
      },
      "others do not reach");
}

TEST(EmulatedDevice, BytesAreMultipliedWithTheirSigns) {
  EXPECT_EQ(cuda::__dp4a(0x01020408, 0x7f80ff01, 5), 127 - 2 * 128 - 4 + 8 + 5);
}

}  // namespace
}  // namespace llmq
