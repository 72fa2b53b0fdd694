// The search for scales of groups of 16 or 32 values: the slow part of the 256-value block types.
//
// Station before: quantize_blocks256.cc, which cuts rows into groups; after: the same file, which
// packs scales and codes into blocks. Each path gives the same bits: fit_groups_lanes.h is compiled
// once per instruction set, one group per lane.
#ifndef LLMQ_QUANTS_FIT_GROUPS_H_
#define LLMQ_QUANTS_FIT_GROUPS_H_

#include <cstdint>

namespace llmq {

enum class FitPath { kScalar, kAvx2, kAvx512 };

// values: [groups, n] f32. codes: [groups, n], never negative. scales, minimums: [groups] f32.
// Finite values fit by value ~ scale * code - minimum (Q2_K, Q4_K, Q5_K) or
// value ~ scale * (code - offset) (Q3_K offset 4, Q6_K offset 32).
using FitScaleMin = void (*)(const float* values, int groups, uint8_t* codes, float* scales,
                             float* minimums);
using FitScale = void (*)(const float* values, int groups, uint8_t* codes, float* scales);

struct GroupFits {
  FitScaleMin q2;  // n = 16
  FitScale q3;     // n = 16
  FitScaleMin q4;  // n = 32
  FitScaleMin q5;  // n = 32
  FitScale q6;     // n = 16
  // codes[i] = clamp(nearest((values[i] + minimum) / scale), low, high) - low.
  void (*round_codes)(const float* values, int count, float minimum, float scale, int low, int high,
                      uint8_t* codes);
};

extern const GroupFits kScalarGroupFits;
extern const GroupFits kAvx2GroupFits;
extern const GroupFits kAvx512GroupFits;

bool FitPathAvailable(FitPath path);
FitPath BestFitPath();
// Precondition: FitPathAvailable(path).
const GroupFits& GroupFitsFor(FitPath path);

}  // namespace llmq

#endif  // LLMQ_QUANTS_FIT_GROUPS_H_
