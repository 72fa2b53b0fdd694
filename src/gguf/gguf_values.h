// The typed values of keys, from and to their bytes.
//
// Before this: a cursor behind a key's name. After this: a GgufValue whose C++ type is the type in
// the file.
#ifndef LLMQ_GGUF_GGUF_VALUES_H_
#define LLMQ_GGUF_GGUF_VALUES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "llmq/gguf.h"

namespace llmq {

// Type and value at the cursor. Throws Error{kGeneral} "where: expected X, found Y". A length is
// checked against the bytes that remain before memory is taken for it.
GgufValue ReadGgufValue(ByteReader& reader, const std::string& where);

// A string's bytes, borrowed from the reader's input.
std::string_view ReadGgufString(ByteReader& reader, const std::string& where);

// The little-endian bytes of a number, a string with its length, a value with its type.
template <typename T>
void AppendGgufNumber(T value, std::string& out) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}
void AppendGgufString(std::string_view text, std::string& out);
void AppendGgufValue(const GgufValue& value, std::string& out);

}  // namespace llmq

#endif  // LLMQ_GGUF_GGUF_VALUES_H_
