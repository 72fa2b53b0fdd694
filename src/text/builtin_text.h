// The texts that ship inside the program, as they lie in data/builtin.
#ifndef LLMQ_TEXT_BUILTIN_TEXT_H_
#define LLMQ_TEXT_BUILTIN_TEXT_H_

#include <string_view>

namespace llmq {

// Documents are separated by a line that holds only a form feed. Static storage.
std::string_view BuiltInTrainingFile();
std::string_view BuiltInHeldOutFile();
std::string_view BuiltInWordsFile();

}  // namespace llmq

#endif  // LLMQ_TEXT_BUILTIN_TEXT_H_
