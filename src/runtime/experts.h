// The MLPs of a block with experts: which of them a token gets, and the sum of what they make of
// it.
//
// Before: runtime/transformer has normalised the residual stream. After: it adds the update. Tokens
// are grouped by expert, so each expert that is used is read once, and no other. Every token is
// routed by itself and its experts are added up in their order, so how tokens are grouped does not
// change a bit of what compressed experts make.
#ifndef LLMQ_RUNTIME_EXPERTS_H_
#define LLMQ_RUNTIME_EXPERTS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "llmq/model_config.h"
#include "runtime/linear.h"
#include "runtime/weights.h"

namespace llmq {

// An expert of a token, and the weight of what it makes.
struct ChosenExpert {
  int64_t expert = 0;
  float weight = 0;
};

// The experts with the highest probabilities (of equal ones the first), in the order of their
// numbers. logits [count] f32 of the router are used up. chosen: per_token of them.
void ChooseExperts(const ExpertConfig& experts, std::span<float> logits,
                   std::span<ChosenExpert> chosen);

class ExpertRunner {
 public:
  // Borrows all four.
  ExpertRunner(const ModelConfig& config, const FloatKernels& floats, LinearRunner& linear,
               ThreadPool& pool);

  // Memory that Run takes for each of its tokens.
  static int64_t BytesPerToken(const ModelConfig& config);

  // x [T, hidden] f32 -> update [T, hidden] f32. Precondition: the layer has experts.
  void Run(const LayerWeights& layer, const float* x, int64_t tokens, float* update);

 private:
  // The tokens of one MLP: rows [first, first + rows) of gathered_.
  struct Group {
    const MlpWeights* mlp;
    int64_t first;
    int64_t rows;
    int64_t at;  // in gate_ and up_
  };

  void Route(const LayerWeights& layer, const float* x, int64_t tokens);
  void MakeGroups(const LayerWeights& layer, int64_t tokens);
  void Gather(const float* x, int64_t tokens);
  void RunGroups();
  void AddUp(int64_t tokens, float* update) const;

  const ModelConfig& config_;
  const FloatKernels& floats_;
  LinearRunner& linear_;
  ThreadPool& pool_;
  int64_t per_token_;                 // MLPs that a token runs, the shared one included
  std::vector<float> logits_;         // [T, experts], then [T] of the shared expert's gate
  std::vector<ChosenExpert> chosen_;  // [T, per_token_]; the shared one last
  std::vector<Group> groups_;         // by expert, the shared one last
  std::vector<int64_t> row_of_;       // [T, per_token_]: where in gathered_ and made_
  std::vector<LinearCall> calls_;
  std::vector<float> gathered_;  // [T * per_token_, hidden] f32, by group
  std::vector<float> gate_;      // per group [rows, its intermediate size] f32
  std::vector<float> up_;        // the same
  std::vector<float> made_;      // [T * per_token_, hidden] f32
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_EXPERTS_H_
