// The commands of llm-quantize.
#include <array>

#include "cli/command.h"

namespace llmq {

std::span<const Command> Commands() {
  static constexpr std::array<Command, 8> kCommands = {{
      {"", "info", "Display information about a model", SetupModelInfo},
      {"", "tokenize", "Text to token ids and back", SetupTokenize},
      {"littlebit", "compress", "Compress a model using LittleBit factorization", SetupCompress},
      {"littlebit", "info", "Display information about a .littlebit file", SetupLittleBitInfo},
      {"littlebit", "convert", "Convert between LittleBit formats", SetupConvert},
      {"littlebit", "validate", "Validate the quality of a compressed model", SetupValidate},
      {"littlebit", "run", "Write text with a compressed model", SetupRun},
      {"littlebit", "bench", "Measure how fast a model reads and writes", SetupBench},
  }};
  return kCommands;
}

}  // namespace llmq
