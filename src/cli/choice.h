// Options that several commands have in the same way: one of a few words, a seed.
#ifndef LLMQ_CLI_CHOICE_H_
#define LLMQ_CLI_CHOICE_H_

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>

namespace llmq {

template <typename T>
using Choices = std::map<std::string, T>;

// Turns a word into what it stands for; refuses every other text, naming the words. (CLI11's own
// transformer also takes the numbers behind the words, and shows them.) T is an enumeration or
// bool.
template <typename T>
CLI::Validator OneOf(const Choices<T>& choices) {
  return CLI::Validator(
      [choices](std::string& text) -> std::string {
        const auto it = choices.find(text);
        if (it != choices.end()) {
          text = std::to_string(static_cast<int>(it->second));
          return "";
        }
        std::string words;
        for (const auto& [word, value] : choices) words += (words.empty() ? "" : ", ") + word;
        return fmt::format("expected {}, found '{}'", words, text);
      },
      "");
}

// An option whose value is one of the words.
template <typename Target, typename T>
CLI::Option* AddChoice(CLI::App& app, const char* name, Target& target, const Choices<T>& choices,
                       const std::string& description) {
  return app.add_option(name, target, description)->type_name("TEXT")->transform(OneOf(choices));
}

// --seed: 0 to the largest number of 18 digits.
inline CLI::Option* AddSeed(CLI::App& app, uint64_t& seed, const std::string& description) {
  constexpr uint64_t kLargest = 999'999'999'999'999'999;
  return app.add_option("--seed", seed, description)
      ->type_name("INT")
      ->check(CLI::Range(uint64_t{0}, kLargest).description(""))
      ->capture_default_str();
}

}  // namespace llmq

#endif  // LLMQ_CLI_CHOICE_H_
