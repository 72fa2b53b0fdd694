// Chat templates arrive verbatim, in each of the forms in which models ship them.
#include "llamacpp/chat_template_keys.h"

#include "tests/llamacpp/tokenizer_keys_support.h"

namespace llmq {
namespace {

const std::string kText = "{% if x %}\n \"a\" \\ \u2581é{{ y }}\t{% endif %}\n";

TEST(ChatTemplateKeys, OneTemplateInAnyForm) {
  const std::string json = DumpJson(SortedJson{{"chat_template", kText}});
  const std::vector<ModelFiles> forms = {
      {{"tokenizer_config.json", json}},
      {{"chat_template.jinja", kText}},
      {{"chat_template.json", json}},
      {{"tokenizer_config.json", "{}"}, {"chat_template.jinja", kText}},
      {{"tokenizer_config.json", json}, {"chat_template.jinja", "another"}},
  };
  for (const ModelFiles& files : forms) {
    const auto keys = ChatTemplateKeys(files, "model");
    ASSERT_EQ(keys.size(), 1u);
    EXPECT_EQ(Value<std::string>(keys, "tokenizer.chat_template"), kText);
    EXPECT_EQ(ChatTemplateFromKeys(keys, "f.gguf"), SortedJson(kText));
  }
  EXPECT_TRUE(ChatTemplateKeys({}, "model").empty());
  EXPECT_TRUE(ChatTemplateFromKeys({}, "f.gguf").is_null());
}

TEST(ChatTemplateKeys, NamedTemplates) {
  const SortedJson list = {{{"name", "default"}, {"template", kText}},
                           {{"name", "tool_use"}, {"template", "t"}},
                           {{"name", "r-a g"}, {"template", "r"}}};
  const ModelFiles files = {
      {"tokenizer_config.json", DumpJson(SortedJson{{"chat_template", list}})}};
  const auto keys = ChatTemplateKeys(files, "model");
  EXPECT_EQ(Value<std::string>(keys, "tokenizer.chat_template"), kText);
  EXPECT_EQ(Value<std::string>(keys, "tokenizer.chat_template.tool_use"), "t");
  EXPECT_EQ(Value<std::string>(keys, "tokenizer.chat_template.r_a_g"), "r");
  EXPECT_EQ(Value<std::vector<std::string>>(keys, "tokenizer.chat_templates"),
            (std::vector<std::string>{"tool_use", "r_a_g"}));
  const SortedJson back = ChatTemplateFromKeys(keys, "f.gguf");
  ASSERT_EQ(back.size(), 3u);
  EXPECT_EQ(back[0], list[0]);
  EXPECT_EQ(back[1], list[1]);
}

// As transformers writes several since version 4.51: the default in a file, the others in a folder.
TEST(ChatTemplateKeys, TemplatesInAFolder) {
  const ModelFiles files = {{"chat_template.jinja", kText},
                            {"additional_chat_templates.rag.jinja", "r"},
                            {"additional_chat_templates.tool_use.jinja", "t"}};
  const auto keys = ChatTemplateKeys(files, "model");
  EXPECT_EQ(Value<std::string>(keys, "tokenizer.chat_template"), kText);
  EXPECT_EQ(Value<std::string>(keys, "tokenizer.chat_template.tool_use"), "t");
  EXPECT_EQ(Value<std::vector<std::string>>(keys, "tokenizer.chat_templates"),
            (std::vector<std::string>{"rag", "tool_use"}));
}

TEST(ChatTemplateKeys, RefusesWhatIsNoTemplate) {
  for (const char* bad :
       {R"({"chat_template": 5})", R"({"chat_template": [1]})",
        R"({"chat_template": [{"name": "a"}]})", R"({"chat_template": [{"template": "a"}]})",
        R"({"chat_template": [{"name": "a", "template": 1}]})",
        R"({"chat_template": [{"name": "a b", "template": "x"},
                                                {"name": "a_b", "template": "y"}]})"}) {
    const std::string error = ErrorOf([&] {
      ChatTemplateKeys({{"tokenizer_config.json", bad}}, "model");
    });
    EXPECT_TRUE(error.starts_with("1: model: ")) << bad << error;
  }
  const std::vector<GgufKey> wrong = {{"tokenizer.chat_template", uint32_t{5}}};
  const std::vector<GgufKey> damaged = {{"tokenizer.chat_template", std::string("\xFF")}};
  for (const auto& keys : {wrong, damaged}) {
    const std::string error = ErrorOf([&] { ChatTemplateFromKeys(keys, "f.gguf"); });
    EXPECT_TRUE(error.starts_with("1: f.gguf: tokenizer.chat_template: expected a text")) << error;
  }
}

}  // namespace
}  // namespace llmq
