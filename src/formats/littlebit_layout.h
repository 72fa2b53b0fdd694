// The bytes of a .littlebit file, versions 1 to 3, as constants. Section "Layout" of
// docs/format/littlebit.md.
//
// On disk means frozen: do not renumber, reorder or resize anything here. A change of bytes is a
// new version with its own layout, golden file and document. Everything is little endian.
#ifndef LLMQ_FORMATS_LITTLEBIT_LAYOUT_H_
#define LLMQ_FORMATS_LITTLEBIT_LAYOUT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "llmq/littlebit_file.h"

namespace llmq::littlebit_layout {

inline constexpr std::array<char, 4> kMagic = {'L', 'T', 'B', 'T'};
inline constexpr uint64_t kNameAlignment = 8;  // names in the directory are padded to it with zeros
inline constexpr uint64_t kMetadataBytes = 1024;  // JSON, padded with spaces: the size of a file is
                                                  // known before its metadata is
inline constexpr const char* kMetadataName = "metadata";
inline constexpr size_t kShapeSlots = 8;

// Bytes 0..63 of the file. magic and version keep their place in every future version.
struct Header {
  std::array<char, 4> magic;
  uint32_t version;
  uint64_t file_bytes;
  uint64_t directory_offset;  // a multiple of 64; the directory ends the file
  uint64_t directory_bytes;
  uint64_t directory_checksum;  // XXH64, seed 0
  uint32_t section_count;
  uint32_t flags;            // 0
  uint64_t reserved;         // 0
  uint64_t header_checksum;  // XXH64, seed 0, of the 56 bytes before it
};
inline constexpr size_t kHeaderChecksumOffset = 56;
static_assert(sizeof(Header) == 64 && std::is_trivially_copyable_v<Header>);
static_assert(offsetof(Header, version) == 4 && offsetof(Header, file_bytes) == 8);
static_assert(offsetof(Header, directory_offset) == 16 && offsetof(Header, directory_bytes) == 24);
static_assert(offsetof(Header, directory_checksum) == 32 && offsetof(Header, section_count) == 40);
static_assert(offsetof(Header, flags) == 44 && offsetof(Header, reserved) == 48);
static_assert(offsetof(Header, header_checksum) == kHeaderChecksumOffset);

// One entry of the directory; the name follows it. Fields that the kind does not use are 0.
struct Entry {
  uint32_t kind;                            // StorageKind
  uint32_t name_bytes;                      // without padding
  uint64_t offset;                          // of the data in the file, a multiple of 64
  uint64_t data_bytes;                      // without padding
  uint64_t checksum;                        // XXH64, seed 0, of the data
  uint32_t dtype;                           // DType; kDense
  uint32_t bits;                            // 8, 6 (version 2) or 4; kGroupQuant, and
                                            // from version 3 kLittleBit, or 0
  uint32_t dimensions;                      // of shape; kDense, kGroupQuant, kLittleBit
  uint32_t paths;                           // 1 or 2; kLittleBit
  uint64_t rank;                            // kLittleBit
  double relative_error;                    // kLittleBit
  std::array<uint64_t, kShapeSlots> shape;  // outermost first; unused slots are 0
};
static_assert(sizeof(Entry) == 128 && std::is_trivially_copyable_v<Entry>);
static_assert(offsetof(Entry, offset) == 8 && offsetof(Entry, data_bytes) == 16);
static_assert(offsetof(Entry, checksum) == 24 && offsetof(Entry, dtype) == 32);
static_assert(offsetof(Entry, bits) == 36 && offsetof(Entry, dimensions) == 40);
static_assert(offsetof(Entry, paths) == 44 && offsetof(Entry, rank) == 48);
static_assert(offsetof(Entry, relative_error) == 56 && offsetof(Entry, shape) == 64);

static_assert(kOldestLittleBitVersion == 1 && kNewestLittleBitVersion == 3);
static_assert(static_cast<uint32_t>(StorageKind::kFile) == 1 &&
              static_cast<uint32_t>(StorageKind::kMetadata) == 2 &&
              static_cast<uint32_t>(StorageKind::kDense) == 3 &&
              static_cast<uint32_t>(StorageKind::kGroupQuant) == 4 &&
              static_cast<uint32_t>(StorageKind::kLittleBit) == 5);
static_assert(static_cast<int>(DType::kF32) == 0 && static_cast<int>(DType::kF8E5M2) == 14);
static_assert(kSectionAlignment == 64 && kArrayAlignment == 8);

}  // namespace llmq::littlebit_layout

#endif  // LLMQ_FORMATS_LITTLEBIT_LAYOUT_H_
