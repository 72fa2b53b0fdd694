// The printable alphabet of byte-level BPE (GPT-2): each of the 256 bytes written as one character.
//
// Bytes 21..7E, A1..AC and AE..FF are written as the code point of the same number, the other 68
// in order as U+0100, U+0101, ...: a space becomes U+0120.
#ifndef LLMQ_TEXT_BYTE_ALPHABET_H_
#define LLMQ_TEXT_BYTE_ALPHABET_H_

#include <array>
#include <optional>
#include <string>

namespace llmq {

// [256]: the character of each byte, UTF-8.
const std::array<std::string, 256>& ByteCharacters();
// The byte that `code` stands for, if it stands for one.
std::optional<unsigned char> ByteOfCharacter(char32_t code);

}  // namespace llmq

#endif  // LLMQ_TEXT_BYTE_ALPHABET_H_
