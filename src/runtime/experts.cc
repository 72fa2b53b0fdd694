#include "runtime/experts.h"

#include <algorithm>
#include <cmath>

#include "runtime/layers.h"

namespace llmq {
namespace {

// Scratch memory only grows.
template <typename T>
T* Reserve(std::vector<T>& buffer, int64_t size) {
  if (buffer.size() < static_cast<size_t>(size)) buffer.resize(static_cast<size_t>(size));
  return buffer.data();
}

void Softmax(std::span<float> x) {
  const float largest = *std::ranges::max_element(x);
  float sum = 0;
  for (float& value : x) sum += value = std::exp(value - largest);
  for (float& value : x) value /= sum;
}

float Sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

}  // namespace

void ChooseExperts(const ExpertConfig& experts, std::span<float> logits,
                   std::span<ChosenExpert> chosen) {
  Softmax(logits);
  for (ChosenExpert& choice : chosen) {  // a handful: one pass each
    const auto best = std::ranges::max_element(logits);
    choice = {best - logits.begin(), *best};
    *best = -1;  // below every probability
  }
  if (experts.normalized) {
    float sum = 0;
    for (const ChosenExpert& choice : chosen) sum += choice.weight;
    for (ChosenExpert& choice : chosen) choice.weight /= sum;
  }
  std::ranges::sort(chosen, {}, &ChosenExpert::expert);
}

ExpertRunner::ExpertRunner(const ModelConfig& config, const FloatKernels& floats,
                           LinearRunner& linear, ThreadPool& pool)
    : config_(config),
      floats_(floats),
      linear_(linear),
      pool_(pool),
      per_token_(config.experts.per_token + (config.experts.shared_intermediate_size > 0 ? 1 : 0)) {
}

int64_t ExpertRunner::BytesPerToken(const ModelConfig& config) {
  const ExpertConfig& experts = config.experts;
  if (experts.count == 0) return 0;
  const int64_t shared = experts.shared_intermediate_size;
  const int64_t chosen = experts.per_token + (shared > 0 ? 1 : 0);
  const int64_t floats = 2 * chosen * config.hidden_size +
                         2 * (experts.per_token * experts.intermediate_size + shared) +
                         experts.count + 1;
  constexpr auto kPerChosen = static_cast<int64_t>(sizeof(ChosenExpert) + sizeof(int64_t));
  return 4 * floats + chosen * kPerChosen;
}

void ExpertRunner::Run(const LayerWeights& layer, const float* x, int64_t tokens, float* update) {
  Route(layer, x, tokens);
  MakeGroups(layer, tokens);
  Gather(x, tokens);
  RunGroups();
  AddUp(tokens, update);
}

void ExpertRunner::Route(const LayerWeights& layer, const float* x, int64_t tokens) {
  const ExpertConfig& experts = config_.experts;
  float* logits = Reserve(logits_, tokens * (experts.count + 1));
  float* shared = logits + tokens * experts.count;
  const bool has_shared = experts.shared_intermediate_size > 0;
  linear_.RunEach(layer[Router::kExperts], x, tokens, logits);
  if (has_shared) linear_.RunEach(layer[Router::kShared], x, tokens, shared);
  ChosenExpert* chosen = Reserve(chosen_, tokens * per_token_);
  for (int64_t t = 0; t < tokens; ++t, chosen += per_token_) {
    ChooseExperts(experts, {logits + t * experts.count, static_cast<size_t>(experts.count)},
                  {chosen, static_cast<size_t>(experts.per_token)});
    if (has_shared) chosen[experts.per_token] = {experts.count, Sigmoid(shared[t])};
  }
}

// Counts the tokens of every MLP, then hands out their rows.
void ExpertRunner::MakeGroups(const LayerWeights& layer, int64_t tokens) {
  const std::span<const ChosenExpert> chosen(chosen_.data(),
                                             static_cast<size_t>(tokens * per_token_));
  std::vector<int64_t> next(layer.mlps.size());  // rows of each, then its next row
  for (const ChosenExpert& choice : chosen) ++next[choice.expert];
  groups_.clear();
  int64_t first = 0, at = 0;
  for (size_t mlp = 0; mlp < next.size(); ++mlp) {
    const int64_t rows = next[mlp];
    next[mlp] = first;
    if (rows == 0) continue;
    groups_.push_back({&layer.mlps[mlp], first, rows, at});
    first += rows;
    at += rows * layer.mlps[mlp].up.d_out;
  }
  int64_t* row_of = Reserve(row_of_, tokens * per_token_);
  for (const ChosenExpert& choice : chosen) *row_of++ = next[choice.expert]++;
  Reserve(gate_, at);
  Reserve(up_, at);
}

void ExpertRunner::Gather(const float* x, int64_t tokens) {
  const int64_t hidden = config_.hidden_size;
  Reserve(made_, tokens * per_token_ * hidden);
  float* gathered = Reserve(gathered_, tokens * per_token_ * hidden);
  for (int64_t i = 0; i < tokens * per_token_; ++i) {
    std::copy_n(x + i / per_token_ * hidden, hidden, gathered + row_of_[i] * hidden);
  }
}

void ExpertRunner::RunGroups() {
  const int64_t hidden = config_.hidden_size;
  // Groups of one token all together, for threads to meet less often.
  const auto single = [](const Group& group) { return group.rows == 1; };
  const size_t per_run = std::ranges::all_of(groups_, single) ? groups_.size() : 1;
  for (size_t begin = 0; begin < groups_.size(); begin += per_run) {
    const auto run = std::span<const Group>(groups_).subspan(begin, per_run);
    const int64_t rows = run.front().rows;
    calls_.clear();
    for (const Group& group : run) {
      const float* x = gathered_.data() + group.first * hidden;
      calls_.push_back({&group.mlp->gate, x, gate_.data() + group.at});
      calls_.push_back({&group.mlp->up, x, up_.data() + group.at});
    }
    linear_.Run(calls_, rows);
    const Group& last = run.back();
    const int64_t end = last.at + last.rows * last.mlp->up.d_out;
    ActivateGate(config_.activation, floats_, pool_, up_.data() + run.front().at,
                 end - run.front().at, gate_.data() + run.front().at);
    calls_.clear();
    for (const Group& group : run) {
      calls_.push_back(
          {&group.mlp->down, gate_.data() + group.at, made_.data() + group.first * hidden});
    }
    linear_.Run(calls_, rows);
  }
}

void ExpertRunner::AddUp(int64_t tokens, float* update) const {
  const int64_t hidden = config_.hidden_size;
  pool_.ForEach(tokens, 4, [&](int, int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* sum = update + t * hidden;
      std::fill_n(sum, hidden, 0.0f);
      for (int64_t i = t * per_token_; i < (t + 1) * per_token_; ++i) {
        const float* made = made_.data() + row_of_[i] * hidden;
        for (int64_t j = 0; j < hidden; ++j) sum[j] += chosen_[i].weight * made[j];
      }
    }
  });
}

}  // namespace llmq
