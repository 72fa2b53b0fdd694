#include "cli/text_choice.h"

#include <utility>

namespace llmq {

ChosenText ChooseText(const TextArguments& arguments) {
  ChosenText chosen;
  if (!arguments.held_out_data.empty()) chosen.held_out = LoadTextDataset(arguments.held_out_data);
  if (arguments.calibration_data.empty()) {
    chosen.training = BuiltInTrainingText();
    if (arguments.held_out_data.empty()) chosen.held_out = BuiltInHeldOutText();
    return chosen;
  }
  TextDataset calibration = LoadTextDataset(arguments.calibration_data);
  if (!arguments.held_out_data.empty()) {
    chosen.training = std::move(calibration);
    return chosen;
  }
  DatasetSplit split = SplitHeldOut(calibration);
  return {std::move(split.training), std::move(split.held_out)};
}

}  // namespace llmq
