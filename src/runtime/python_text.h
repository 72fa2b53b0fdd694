// What Python's methods of texts do, where a protocol is defined by a program in Python.
#ifndef LLMQ_RUNTIME_PYTHON_TEXT_H_
#define LLMQ_RUNTIME_PYTHON_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace llmq {

// str.strip(): without white space of any script at both ends.
std::string Strip(std::string_view text);

// len(text.rstrip()), in bytes.
size_t LengthWithoutSpacesBehind(std::string_view text);

// str.capitalize(), but that a first letter outside ASCII stays as it is.
std::string Capitalize(const std::string& text);

}  // namespace llmq

#endif  // LLMQ_RUNTIME_PYTHON_TEXT_H_
