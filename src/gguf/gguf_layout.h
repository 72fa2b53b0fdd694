// The numbers of GGUF, version 3. On disk means frozen: do not renumber.
//
// A file: magic, version u32, tensor count u64, key count u64; the keys; the table of tensors;
// zeros up to a multiple of the alignment; the tensors' data, each padded to the alignment.
// Reference: docs/format/gguf.md, "Container".
#ifndef LLMQ_GGUF_GGUF_LAYOUT_H_
#define LLMQ_GGUF_GGUF_LAYOUT_H_

#include <cstdint>
#include <string_view>

namespace llmq::gguf_layout {

inline constexpr std::string_view kMagic = "GGUF";
inline constexpr uint32_t kVersion = 3;
inline constexpr uint32_t kOldestVersion = 2;  // the same bytes as version 3

enum class ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,    // one byte, 0 or 1
  kString = 8,  // u64 number of bytes, bytes
  kArray = 9,   // u32 type of the elements, u64 number of elements, elements
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};
inline constexpr uint32_t kValueTypes = 13;

inline constexpr uint64_t kMaxKeyNameBytes = 65535;
inline constexpr uint64_t kMaxStringBytes = uint64_t{1} << 30;
inline constexpr uint64_t kMaxArrayElements = uint64_t{1} << 30;

// The fewest bytes that one can take in the file: a count is checked against these.
inline constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1;             // name "k", type, BOOL
inline constexpr uint64_t kMinTensorInfoBytes = 8 + 1 + 4 + 4 + 8;  // name "t", no dimension

inline constexpr uint64_t kDefaultAlignment = 32;
inline constexpr uint64_t kMinAlignment = 8;
inline constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;

inline constexpr std::string_view kAlignmentKey = "general.alignment";  // UINT32
inline constexpr std::string_view kSplitPrefix = "split.";
inline constexpr std::string_view kSplitNumberKey = "split.no";              // UINT16, from 0
inline constexpr std::string_view kSplitCountKey = "split.count";            // UINT16
inline constexpr std::string_view kSplitTensorsKey = "split.tensors.count";  // INT32, of all shards

}  // namespace llmq::gguf_layout

#endif  // LLMQ_GGUF_GGUF_LAYOUT_H_
