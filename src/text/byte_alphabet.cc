#include "text/byte_alphabet.h"

#include "text/utf8.h"

namespace llmq {
namespace {

constexpr size_t kCodes = 256 + 68;

struct Alphabet {
  std::array<std::string, 256> characters;  // by byte
  std::array<int, kCodes> bytes;            // by code point; -1 where it is no byte's character
  Alphabet() {
    bytes.fill(-1);
    char32_t next = 256;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool same = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      const char32_t code = same ? byte : next++;
      AppendUtf8(code, characters[byte]);
      bytes[code] = static_cast<int>(byte);
    }
  }
};

const Alphabet& TheAlphabet() {
  static const Alphabet alphabet;
  return alphabet;
}

}  // namespace

const std::array<std::string, 256>& ByteCharacters() { return TheAlphabet().characters; }

std::optional<unsigned char> ByteOfCharacter(char32_t code) {
  if (code >= kCodes || TheAlphabet().bytes[code] < 0) return std::nullopt;
  return static_cast<unsigned char>(TheAlphabet().bytes[code]);
}

}  // namespace llmq
