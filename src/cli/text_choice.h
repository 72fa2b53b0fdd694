// Which text trains and which text measures: files of the user, or those that ship inside the
// program.
#ifndef LLMQ_CLI_TEXT_CHOICE_H_
#define LLMQ_CLI_TEXT_CHOICE_H_

#include <cstdint>
#include <string>

#include "llmq/text_dataset.h"

namespace llmq {

// Options that compress and validate share.
struct TextArguments {
  std::string calibration_data;  // empty: the built-in text
  std::string held_out_data;     // empty: set aside from the calibration data
  int64_t samples = 256;         // most windows to measure on
};

struct ChosenText {
  TextDataset training;
  TextDataset held_out;  // never trained on
};

// --calibration-data trains and --held-out-data measures. With only the first, every k-th document
// of it measures and the rest trains; with only the second, the built-in text trains. Throws as
// LoadTextDataset.
ChosenText ChooseText(const TextArguments& arguments);

}  // namespace llmq

#endif  // LLMQ_CLI_TEXT_CHOICE_H_
