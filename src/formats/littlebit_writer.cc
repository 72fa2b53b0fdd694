// Writes a .littlebit file from front to back, one section in memory at a time.
//
// Before this: compress/export (or formats/gguf conversion) hands over sections in the order of
// formats/output_plan. After this: a file that formats/littlebit_reader maps. The header is written
// last, over a placeholder, and the file appears under its name only when it is whole.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"
#include "base/limits.h"
#include "formats/littlebit_entry.h"
#include "formats/littlebit_layout.h"
#include "formats/littlebit_metadata.h"
#include "formats/section_size.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"

namespace llmq {
namespace {

using littlebit_layout::Entry;
using littlebit_layout::Header;

constexpr std::array<std::byte, kSectionAlignment> kZeros = {};

Entry MakeEntry(const SectionPlan& section) {
  Entry entry = {};
  entry.kind = static_cast<uint32_t>(section.kind);
  entry.name_bytes = static_cast<uint32_t>(section.name.size());
  entry.dtype = static_cast<uint32_t>(section.dtype);
  entry.bits = static_cast<uint32_t>(section.bits);
  entry.dimensions = static_cast<uint32_t>(section.shape.size());
  entry.paths = static_cast<uint32_t>(section.paths);
  entry.rank = static_cast<uint64_t>(section.rank);
  for (size_t i = 0; i < section.shape.size(); ++i) {
    entry.shape[i] = static_cast<uint64_t>(section.shape[i]);
  }
  return entry;
}

}  // namespace

struct LittleBitWriter::State {
  explicit State(const std::filesystem::path& path) : file(path) {}

  AtomicFile file;
  std::string directory;
  uint32_t section_count = 0;
  uint32_t version = kOldestLittleBitVersion;  // the lowest that can hold the sections so far
  std::unordered_set<std::string> names;

  [[noreturn]] void Fail(const std::string& name, const std::string& what) const {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: {}: {}", file.path().string(), name, what));
  }

  void PadTo(uint64_t alignment) {
    file.Append(std::span(kZeros).first(AlignUp(file.size(), alignment) - file.size()));
  }

  void Add(const SectionPlan& section, std::span<const std::byte> data, double relative_error);
  void AddTensor(const SectionPlan& section, std::span<const std::byte> data,
                 double relative_error);
};

void LittleBitWriter::State::Add(const SectionPlan& section, std::span<const std::byte> data,
                                 double relative_error) {
  if (!IsAllowedName(section.name)) {
    Fail(section.name.substr(0, 80),
         fmt::format("expected a name of 1 to {} bytes without control characters", kMaxNameBytes));
  }
  if (!names.insert(section.name).second)
    Fail(section.name, "expected a name not used yet, found it twice");
  Entry entry = MakeEntry(section);
  version = std::max(version, VersionOfSection(section.kind, section.bits));
  entry.offset = file.size();
  entry.data_bytes = data.size();
  entry.checksum = Checksum64(data);
  entry.relative_error = relative_error;
  file.Append(data);
  PadTo(kSectionAlignment);
  directory.append(reinterpret_cast<const char*>(&entry), sizeof(entry));
  directory.append(section.name);
  directory.resize(AlignUp(directory.size(), littlebit_layout::kNameAlignment), '\0');
  ++section_count;
}

void LittleBitWriter::State::AddTensor(const SectionPlan& section, std::span<const std::byte> data,
                                       double relative_error) {
  const std::optional<uint64_t> expected = TensorDataBytes(section);
  if (!expected || *expected != data.size()) {
    Fail(section.name,
         fmt::format("expected {} bytes for shape [{}], found {}", expected.value_or(0),
                     fmt::join(section.shape, ", "), data.size()));
  }
  if (!std::isfinite(relative_error) || relative_error < 0) {
    Fail(section.name, fmt::format("expected a finite relative error, found {}", relative_error));
  }
  Add(section, data, relative_error);
}

LittleBitWriter::LittleBitWriter(const std::filesystem::path& path)
    : state_(std::make_unique<State>(path)) {
  state_->file.Append(std::span(kZeros).first(sizeof(Header)));
}

LittleBitWriter::~LittleBitWriter() = default;

void LittleBitWriter::AddFile(const std::string& name, std::string_view content) {
  if (!IsPlainFileName(name)) state_->Fail(name.substr(0, 80), "expected a plain file name");
  state_->Add({.name = name, .kind = StorageKind::kFile}, AsBytes(content), 0);
}

void LittleBitWriter::AddDense(const TensorView& tensor) {
  if (tensor.column_stride != 0) {
    const std::vector<std::byte> bytes = RowMajorBytes(tensor);
    return AddDense({tensor.name, tensor.dtype, tensor.shape, bytes});
  }
  state_->AddTensor({.name = tensor.name,
                     .kind = StorageKind::kDense,
                     .dtype = tensor.dtype,
                     .shape = tensor.shape},
                    tensor.data, 0);
}

void LittleBitWriter::AddGroupQuant(const std::string& name, const GroupQuantShape& shape,
                                    std::span<const std::byte> bytes) {
  state_->AddTensor({.name = name,
                     .kind = StorageKind::kGroupQuant,
                     .shape = {shape.rows, shape.cols},
                     .bits = shape.bits},
                    bytes, 0);
}

void LittleBitWriter::AddLittleBit(const std::string& name, const LittleBitShape& shape,
                                   std::span<const std::byte> payload, double relative_error) {
  state_->AddTensor({.name = name,
                     .kind = StorageKind::kLittleBit,
                     .shape = {shape.d_out, shape.d_in},
                     .rank = shape.rank,
                     .paths = shape.paths,
                     .bits = SectionBits(shape)},
                    payload, relative_error);
}

uint64_t LittleBitWriter::Finish(const LittleBitMetadata& metadata) {
  const uint32_t version = std::max(state_->version, VersionOfMetadata(metadata));
  const std::string json = DumpMetadata(metadata, version);
  state_->Add({.name = littlebit_layout::kMetadataName, .kind = StorageKind::kMetadata},
              AsBytes(json), 0);

  Header header = {};
  header.magic = littlebit_layout::kMagic;
  header.version = version;
  header.directory_offset = state_->file.size();
  header.directory_bytes = state_->directory.size();
  header.directory_checksum = Checksum64(AsBytes(state_->directory));
  header.file_bytes = header.directory_offset + header.directory_bytes;
  header.section_count = state_->section_count;
  const auto bytes = std::as_bytes(std::span(&header, 1));
  header.header_checksum = Checksum64(bytes.first(littlebit_layout::kHeaderChecksumOffset));

  state_->file.Append(state_->directory);
  state_->file.WriteAt(0, bytes);
  state_->file.Commit();
  return header.file_bytes;
}

}  // namespace llmq
