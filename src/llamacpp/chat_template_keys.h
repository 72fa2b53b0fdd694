// Chat templates into and out of GGUF keys, verbatim.
#ifndef LLMQ_LLAMACPP_CHAT_TEMPLATE_KEYS_H_
#define LLMQ_LLAMACPP_CHAT_TEMPLATE_KEYS_H_

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "llmq/checkpoint.h"
#include "llmq/gguf.h"

namespace llmq {

// From tokenizer_config.json (a string, or a list of names and templates), else
// chat_template.jinja, else chat_template.json. None if there is none.
std::vector<GgufKey> ChatTemplateKeys(const ModelFiles& files, const std::string& where);

// The "chat_template" of a tokenizer_config.json: null, a string or a list.
SortedJson ChatTemplateFromKeys(std::span<const GgufKey> keys, const std::string& where);

}  // namespace llmq

#endif  // LLMQ_LLAMACPP_CHAT_TEMPLATE_KEYS_H_
