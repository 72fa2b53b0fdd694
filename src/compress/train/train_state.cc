// Trainer's state to and from a file: every parameter, AdamW's moments and the losses so far, bit
// for bit.
//
// Before: trainer, between two steps. After: state_file. Batches and learning rate follow from the
// step, so they are not in it.
#include <cstring>
#include <span>

#include "compress/state_file.h"
#include "compress/train/trainer.h"

namespace llmq {
namespace {

std::span<const std::byte> TensorBytes(const at::Tensor& cpu) {
  return {static_cast<const std::byte*>(cpu.const_data_ptr()), cpu.nbytes()};
}

// The tensors of a parameter, with the names they are saved under.
template <typename Visit>
void VisitTensors(const Parameter& parameter, const Visit& visit) {
  visit(parameter.name, parameter.value);
  if (!parameter.moves()) return;
  visit(parameter.name + ":first", parameter.first_moment);
  visit(parameter.name + ":second", parameter.second_moment);
}

constexpr const char* kLossesName = "losses";
constexpr const char* kTotalStepsName = "total steps";

}  // namespace

void Trainer::Save(const std::filesystem::path& path) const {
  const std::vector<Parameter>& parameters = student_.parameters();
  uint32_t arrays = 2;
  for (const Parameter& parameter : parameters) arrays += parameter.moves() ? 3 : 1;
  StateWriter writer(path, arrays);
  writer.Add(kLossesName, std::as_bytes(std::span(losses_)));
  writer.Add(kTotalStepsName, std::as_bytes(std::span(&total_steps_, 1)));
  for (const Parameter& parameter : parameters) {
    VisitTensors(parameter, [&](const std::string& name, const at::Tensor& tensor) {
      const at::Tensor cpu = tensor.cpu();
      writer.Add(name, TensorBytes(cpu));
    });
  }
  writer.Commit();
}

void Trainer::Load(const std::filesystem::path& path) {
  const StateReader reader(path);
  const std::span<const std::byte> losses = reader.Get(kLossesName);
  const auto total_steps = reader.Get(kTotalStepsName, sizeof(total_steps_));
  for (const Parameter& parameter : student_.parameters()) {  // all sizes before the first change
    VisitTensors(parameter, [&](const std::string& name, const at::Tensor& tensor) {
      (void)reader.Get(name, tensor.nbytes());
    });
  }
  std::memcpy(&total_steps_, total_steps.data(), sizeof(total_steps_));
  losses_.resize(losses.size() / sizeof(double));
  if (!losses_.empty()) {  // before the first step there are none
    std::memcpy(losses_.data(), losses.data(), losses_.size() * sizeof(double));
  }
  for (const Parameter& parameter : student_.parameters()) {
    VisitTensors(parameter, [&](const std::string& name, const at::Tensor& tensor) {
      const at::Tensor cpu = at::empty(tensor.sizes(), at::kFloat);
      std::memcpy(cpu.mutable_data_ptr(), reader.Get(name).data(), cpu.nbytes());
      tensor.copy_(cpu);
    });
  }
  student_.RefreshLeaves();
}

}  // namespace llmq
