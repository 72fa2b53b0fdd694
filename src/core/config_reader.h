// Numbers of config.json, each within a range in which nothing downstream can meet an impossible
// shape.
//
// Before: base/json. After: model_config, rope_config and architectures fill ModelConfig.
#ifndef LLMQ_CORE_CONFIG_READER_H_
#define LLMQ_CORE_CONFIG_READER_H_

#include <cstdint>
#include <string>

#include "base/json.h"

namespace llmq {

// Far above any published model. 10 matrices of 2^22 x 2^20 in 2^12 layers at 16 bits are below
// 2^62 bits: four of attention, three of an MLP or of all experts together, three of a shared one.
inline constexpr int64_t kMaxHidden = int64_t{1} << 20;
inline constexpr int64_t kMaxIntermediate = int64_t{1} << 22;
inline constexpr int64_t kMaxLayers = 4096;
inline constexpr int64_t kMaxExperts = int64_t{1} << 17;  // in all layers together
inline constexpr int64_t kMaxHeads = int64_t{1} << 16;
inline constexpr int64_t kMaxHeadDim = int64_t{1} << 14;
inline constexpr int64_t kMaxAttentionWidth = int64_t{1} << 22;  // heads * head_dim
inline constexpr int64_t kMaxVocab = int64_t{1} << 24;
inline constexpr int64_t kMaxPosition = int64_t{1} << 28;

// An object of config.json and its place, for messages. All throw Error{kGeneral}.
class ConfigReader {
 public:
  // Borrows the object.
  ConfigReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  [[noreturn]] void Fail(const std::string& what,
                         const std::string& suggestion = "Check config.json") const;
  // There, and not null.
  bool Has(const char* key) const;
  const Json& object() const { return object_; }
  const std::string& where() const { return where_; }

  // A missing or null key gives the fallback.
  int64_t Int(const char* key, int64_t fallback, int64_t low, int64_t high) const;
  double Number(const char* key, double fallback, double low, double high) const;
  bool Bool(const char* key, bool fallback) const;
  std::string Text(const char* key, const std::string& fallback) const;

  int64_t RequiredInt(const char* key, int64_t high) const;  // from 1
  void Require(const char* key) const;                       // a number

 private:
  const Json& object_;
  std::string where_;
};

}  // namespace llmq

#endif  // LLMQ_CORE_CONFIG_READER_H_
