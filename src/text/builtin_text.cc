// The assembler takes the files of data/builtin in whole; CMake knows that this file depends on
// them. Sources and licences: data/builtin/SOURCES.md.
#include "text/builtin_text.h"

#define LLMQ_EMBED(symbol, file)                            \
  __asm__(                                                  \
      ".pushsection .rodata\n"                              \
      ".hidden " #symbol                                    \
      "_begin\n"                                            \
      ".hidden " #symbol                                    \
      "_end\n"                                              \
      ".global " #symbol                                    \
      "_begin\n"                                            \
      ".global " #symbol "_end\n" #symbol                   \
      "_begin:\n"                                           \
      ".incbin \"" LLMQ_BUILTIN_DIR "/" file "\"\n" #symbol \
      "_end:\n"                                             \
      ".popsection\n");                                     \
  extern "C" __attribute__((visibility("hidden"))) const char symbol##_begin[], symbol##_end[]

LLMQ_EMBED(llmq_builtin_train, "train.txt");
LLMQ_EMBED(llmq_builtin_held_out, "held_out.txt");
LLMQ_EMBED(llmq_builtin_words, "words.txt");

namespace llmq {

std::string_view BuiltInTrainingFile() {
  return {llmq_builtin_train_begin, llmq_builtin_train_end};
}

std::string_view BuiltInHeldOutFile() {
  return {llmq_builtin_held_out_begin, llmq_builtin_held_out_end};
}

std::string_view BuiltInWordsFile() { return {llmq_builtin_words_begin, llmq_builtin_words_end}; }

}  // namespace llmq
