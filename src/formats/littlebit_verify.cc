// Reads a section once and says whether it can be trusted.
//
// Before this: formats/littlebit_reader has checked the section's shape and size. After this:
// `littlebit validate`, and everyone who would rather know before he runs a model for an hour. A
// checksum tells damage; the rest tells a wrong writer: fast kernels count on zeros behind the last
// bit of a row, and one scale that is not finite turns every logit into NaN. Reference:
// docs/format/littlebit.md, "What Verify checks".
#include "formats/littlebit_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "llmq/error.h"

namespace llmq {
namespace {

[[noreturn]] void Fail(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what),
              "The file is damaged or was written by a faulty program; make it again");
}

void CheckScales(const ScaleView& scales, const std::string& where, const std::string& name) {
  if (const auto fault = FindScaleFault(scales))
    Fail(where, fmt::format("scale {}{}", name, *fault));
}

const std::byte* End(const ScaleView& scales) {
  return scales.bytes().data() + scales.bytes().size();
}

void CheckTailBits(const SignMatrixView& signs, const std::string& where, const std::string& name) {
  if (signs.cols % 8 == 0) return;
  for (int64_t row = 0; row < signs.rows; ++row) {
    if (signs.row(row)[signs.row_bytes() - 1] >> (signs.cols % 8) != 0) {
      Fail(where, fmt::format("signs {}, row {}: expected zeros after bit {}, found others", name,
                              row, signs.cols - 1));
    }
  }
}

// Bytes between the arrays of a payload: from where one array ends to where the next begins.
void CheckGap(const void* begin, const void* end, const std::string& where) {
  const auto* first = static_cast<const std::byte*>(begin);
  const auto* last = static_cast<const std::byte*>(end);
  if (std::any_of(first, last, [](std::byte b) { return b != std::byte{0}; })) {
    Fail(where, "expected zeros between the arrays of the payload, found other bytes");
  }
}

void VerifyLittleBit(const LittleBitSection& section, const std::string& where) {
  const auto paths = ViewLittleBitPaths(section.littlebit_shape(), section.data);
  const void* end = section.data.data();
  for (size_t p = 0; p < paths.size(); ++p) {
    const LittleBitPathView& path = paths[p];
    const auto name = [&](const char* array) { return fmt::format("{}{}", array, p + 1); };
    CheckTailBits(path.v, where, name("V"));
    CheckTailBits(path.u, where, name("U"));
    CheckScales(path.g, where, name("g"));
    CheckScales(path.h, where, name("h"));
    CheckScales(path.l, where, name("l"));
    CheckGap(end, path.v.bytes.data(), where);
    CheckGap(path.v.bytes.data() + path.v.bytes.size(), path.u.bytes.data(), where);
    CheckGap(path.u.bytes.data() + path.u.bytes.size(), path.g.bytes().data(), where);
    CheckGap(End(path.g), path.h.bytes().data(), where);
    CheckGap(End(path.h), path.l.bytes().data(), where);
    end = End(path.l);
  }
  CheckGap(end, section.data.data() + section.data.size(), where);
}

// One row of a grouped tensor: codes, zeros up to an even number of bytes, scales.
void VerifyGroupedRow(const GroupQuantShape& shape, std::span<const std::byte> row,
                      const std::string& where) {
  const auto group_count =
      static_cast<size_t>((shape.cols + GroupSize(shape.bits) - 1) / GroupSize(shape.bits));
  const auto codes = row.first(row.size() - 2 * group_count);
  const auto used = static_cast<size_t>(GroupQuantCodeBytes(shape));
  CheckGap(codes.data() + used, codes.data() + codes.size(), where);
  const int used_bits = static_cast<int>(shape.cols * shape.bits % 8);  // of the last byte; 0: all
  if (used_bits != 0 && (codes[used - 1] >> used_bits) != std::byte{0}) {
    Fail(where, "expected zero bits after the last code of a row, found others");
  }
  if (shape.bits == 8 && std::find(codes.begin(), codes.end(), std::byte{0x80}) != codes.end()) {
    Fail(where, "expected codes from -127 to 127, found -128");
  }
  for (size_t group = 0; group < group_count; ++group) {
    uint16_t scale;
    std::memcpy(&scale, row.data() + codes.size() + 2 * group, sizeof(scale));
    CheckScales(std::span<const uint16_t>(&scale, 1), where, fmt::format("of group {} ", group));
  }
}

void VerifyGrouped(const LittleBitSection& section, const std::string& where) {
  const GroupQuantShape shape = section.group_quant_shape();
  const auto row_bytes = static_cast<size_t>(GroupQuantRowBytes(shape));
  for (int64_t row = 0; row < shape.rows; ++row) {
    VerifyGroupedRow(shape, section.data.subspan(static_cast<size_t>(row) * row_bytes, row_bytes),
                     where);
  }
}

// Of the data as a .littlebit file has it: in a GGUF file the zeros that end a payload are missing.
uint64_t SectionChecksum(const LittleBitSection& section) {
  if (section.kind != StorageKind::kLittleBit) return Checksum64(section.data);
  const auto payload = static_cast<size_t>(LittleBitPayloadBytes(section.littlebit_shape()));
  const std::vector<std::byte> zeros(payload - section.data.size());
  StreamingChecksum64 checksum;
  checksum.Update(section.data);
  checksum.Update(zeros);
  return checksum.Digest();
}

}  // namespace

void VerifySection(const LittleBitSection& section, const std::string& where) {
  const uint64_t checksum = SectionChecksum(section);
  if (checksum != section.checksum) {
    Fail(where,
         fmt::format("checksum: expected {:#018x}, found {:#018x}", section.checksum, checksum));
  }
  if (section.kind == StorageKind::kLittleBit) VerifyLittleBit(section, where);
  if (section.kind == StorageKind::kGroupQuant) VerifyGrouped(section, where);
}

}  // namespace llmq
