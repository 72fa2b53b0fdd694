// Opens a .littlebit file: header, directory and sizes are checked, then everything is a view.
//
// Before this: a file from anywhere. After this: runtime/weights takes the sections as they lie in
// the mapping. The layout leaves no freedom (sections follow one another at the next multiple of
// 64, unused fields and padding are 0), so every lie is a difference from the one possible value.
// The content of sections is formats/littlebit_verify's matter. Reference:
// docs/format/littlebit.md.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"
#include "formats/limits.h"
#include "formats/littlebit_layout.h"
#include "formats/littlebit_metadata.h"
#include "formats/littlebit_verify.h"
#include "formats/section_size.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"

namespace llmq {
namespace {

using littlebit_layout::Entry;
using littlebit_layout::Header;

[[noreturn]] void Fail(const std::string& where, const std::string& what,
                       const std::string& suggestion =
                           "The file is truncated or damaged; copy or make it "
                           "again") {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what), suggestion);
}

template <typename T>
void ExpectEqual(const std::string& where, const char* field, T expected, T found) {
  if (expected != found)
    Fail(where, fmt::format("{}: expected {}, found {}", field, expected, found));
}

template <typename T>
T ReadStruct(ByteReader& reader) {
  T value;
  std::memcpy(&value, reader.Take(sizeof(T)).data(), sizeof(T));
  return value;
}

bool AllZero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

Header ReadHeader(std::span<const std::byte> file, const std::string& path) {
  const std::string where = path + ": header";
  ByteReader reader(file, where);
  const auto header = ReadStruct<Header>(reader);
  if (header.magic != littlebit_layout::kMagic) {
    Fail(where, "expected the magic \"LTBT\", found something else", "Give a .littlebit file");
  }
  if (header.version != kLittleBitFormatVersion) {
    Fail(where,
         fmt::format("expected format version {}, found {}", kLittleBitFormatVersion,
                     header.version),
         "Use a version of llm-quantize that knows this format version");
  }
  ExpectEqual(where, "checksum", Checksum64(file.first(littlebit_layout::kHeaderChecksumOffset)),
              header.header_checksum);
  ExpectEqual(where, "file size", uint64_t{file.size()}, header.file_bytes);
  ExpectEqual(where, "flags", 0u, header.flags);
  ExpectEqual(where, "reserved field", uint64_t{0}, header.reserved);
  if (header.directory_offset > file.size() || header.directory_offset < sizeof(Header) ||
      header.directory_offset % kSectionAlignment != 0) {
    Fail(where,
         fmt::format("directory offset: expected a multiple of {} from {} to {}, found {}",
                     kSectionAlignment, sizeof(Header), file.size(), header.directory_offset));
  }
  ExpectEqual(where, "directory size", file.size() - header.directory_offset,
              header.directory_bytes);
  return header;
}

// Fields that the kind does not use must be 0.
void CheckUnusedFields(const Entry& entry, const std::string& where) {
  const auto kind = static_cast<StorageKind>(entry.kind);
  const bool tensor = kind != StorageKind::kFile && kind != StorageKind::kMetadata;
  if (kind != StorageKind::kDense) ExpectEqual(where, "unused dtype", 0u, entry.dtype);
  if (kind != StorageKind::kGroupQuant) ExpectEqual(where, "unused bits", 0u, entry.bits);
  if (!tensor) ExpectEqual(where, "unused dimensions", 0u, entry.dimensions);
  if (kind != StorageKind::kLittleBit) {
    ExpectEqual(where, "unused paths", 0u, entry.paths);
    ExpectEqual(where, "unused rank", uint64_t{0}, entry.rank);
    uint64_t relative_error_bits;  // so that -0.0 is refused too
    std::memcpy(&relative_error_bits, &entry.relative_error, sizeof(relative_error_bits));
    ExpectEqual(where, "unused relative error", uint64_t{0}, relative_error_bits);
  }
  if (entry.dimensions > littlebit_layout::kShapeSlots) {
    Fail(where, fmt::format("dimensions: expected at most {}, found {}",
                            littlebit_layout::kShapeSlots, entry.dimensions));
  }
  for (size_t i = entry.dimensions; i < entry.shape.size(); ++i) {
    ExpectEqual(where, "unused dimension", uint64_t{0}, entry.shape[i]);
  }
}

// What the entry says about its tensor, as numbers that fit our types.
SectionPlan ToPlan(const Entry& entry, const std::string& name, const std::string& where) {
  const auto too_large = [](uint64_t value) { return value > kMaxElements; };
  if (too_large(entry.rank) || std::any_of(entry.shape.begin(), entry.shape.end(), too_large)) {
    Fail(where, fmt::format("shape and rank: expected numbers up to {}, found a larger one",
                            kMaxElements));
  }
  if (entry.dtype > static_cast<uint32_t>(DType::kF8E5M2)) {
    Fail(where, fmt::format("dtype: expected at most {}, found {}",
                            static_cast<int>(DType::kF8E5M2), entry.dtype));
  }
  SectionPlan plan{.name = name,
                   .kind = static_cast<StorageKind>(entry.kind),
                   .data_bytes = entry.data_bytes,
                   .dtype = static_cast<DType>(entry.dtype),
                   .rank = static_cast<int64_t>(entry.rank),
                   .paths = entry.paths,
                   .bits = static_cast<int>(std::min<uint32_t>(entry.bits, 255))};
  plan.shape.assign(entry.shape.begin(), entry.shape.begin() + entry.dimensions);
  return plan;
}

void CheckDataBytes(const SectionPlan& plan, const std::string& where) {
  if (plan.kind == StorageKind::kFile) return;  // any size
  if (plan.kind == StorageKind::kMetadata) {
    ExpectEqual(where, "bytes of metadata", littlebit_layout::kMetadataBytes, plan.data_bytes);
    return;
  }
  const std::optional<uint64_t> expected = TensorDataBytes(plan);
  if (!expected) {
    Fail(where,
         fmt::format(
             "expected a shape that can be stored, found [{}] with rank {}, {} paths, {} bits",
             fmt::join(plan.shape, ", "), plan.rank, plan.paths, plan.bits));
  }
  ExpectEqual(where, "bytes of data", *expected, plan.data_bytes);
}

void CheckEntryName(const SectionPlan& plan, const std::string& where) {
  if (plan.kind == StorageKind::kFile && !IsPlainFileName(plan.name)) {
    Fail(where, "expected a plain file name, found a path");
  }
  if ((plan.kind == StorageKind::kMetadata) != (plan.name == littlebit_layout::kMetadataName)) {
    Fail(where, "expected the name \"metadata\" for the metadata section and for no other");
  }
}

// The data must begin where the section before it ended, and zeros must pad it.
std::span<const std::byte> TakeData(ByteReader& sections, const Entry& entry,
                                    const std::string& where) {
  if (entry.offset != sections.offset()) {
    const char* kind = entry.offset % kSectionAlignment != 0 ? "misaligned"
                       : entry.offset < sections.offset()    ? "overlap"
                                                             : "hole";
    Fail(where,
         fmt::format("offset: expected {}, found {} ({})", sections.offset(), entry.offset, kind));
  }
  const auto data = sections.Take(entry.data_bytes);
  const uint64_t padding = AlignUp(entry.data_bytes, kSectionAlignment) - entry.data_bytes;
  if (!AllZero(sections.Take(padding)))
    Fail(where, "expected zeros after the data, found other bytes");
  return data;
}

LittleBitSection ReadSection(ByteReader& directory, ByteReader& sections, const std::string& path) {
  const auto entry = ReadStruct<Entry>(directory);
  if (entry.name_bytes > kMaxNameBytes) {
    Fail(path + ": directory", fmt::format("expected a name of at most {} bytes, found {}",
                                           kMaxNameBytes, entry.name_bytes));
  }
  const std::string name(AsText(directory.Take(entry.name_bytes)));
  const uint64_t padding = AlignUp(name.size(), littlebit_layout::kNameAlignment) - name.size();
  if (!AllZero(directory.Take(padding)) || !IsAllowedName(name)) {
    Fail(path + ": directory", "expected a name without control characters, padded with zeros");
  }
  const std::string where = path + ": " + name;
  if (entry.kind < static_cast<uint32_t>(StorageKind::kFile) ||
      entry.kind > static_cast<uint32_t>(StorageKind::kLittleBit)) {
    Fail(where, fmt::format("kind: expected 1 to 5, found {}", entry.kind));
  }
  CheckUnusedFields(entry, where);
  const SectionPlan plan = ToPlan(entry, name, where);
  CheckEntryName(plan, where);
  CheckDataBytes(plan, where);
  if (!std::isfinite(entry.relative_error) || entry.relative_error < 0) {
    Fail(where, fmt::format("relative error: expected a finite number from 0, found {}",
                            entry.relative_error));
  }
  return {.name = name,
          .kind = plan.kind,
          .dtype = plan.dtype,
          .shape = plan.shape,
          .rank = plan.rank,
          .paths = plan.paths,
          .bits = plan.bits,
          .relative_error = entry.relative_error,
          .offset = entry.offset,
          .checksum = entry.checksum,
          .data = TakeData(sections, entry, where)};
}

std::vector<LittleBitSection> ReadSections(std::span<const std::byte> file,
                                           const std::string& path) {
  const Header header = ReadHeader(file, path);
  const auto directory_bytes = file.subspan(header.directory_offset);
  ExpectEqual(path + ": directory", "checksum", Checksum64(directory_bytes),
              header.directory_checksum);
  if (header.section_count > directory_bytes.size() / sizeof(Entry)) {
    Fail(path + ": header",
         fmt::format("section count: expected at most {}, found {}",
                     directory_bytes.size() / sizeof(Entry), header.section_count));
  }
  ByteReader directory(directory_bytes, path + ": directory");
  ByteReader data(file.first(header.directory_offset), path + ": sections");
  data.Take(sizeof(Header));
  std::vector<LittleBitSection> sections;
  sections.reserve(header.section_count);
  for (uint32_t i = 0; i < header.section_count; ++i) {
    sections.push_back(ReadSection(directory, data, path));
  }
  directory.ExpectEnd();
  data.ExpectEnd();
  return sections;
}

}  // namespace

struct LittleBitFile::State {
  explicit State(const std::filesystem::path& path) : file(path) {}

  MappedFile file;
  std::vector<LittleBitSection> sections;
  std::unordered_map<std::string_view, const LittleBitSection*> by_name;
  ModelConfig config;
  LittleBitMetadata metadata;

  const LittleBitSection* Find(std::string_view name) const {
    const auto it = by_name.find(name);
    return it == by_name.end() ? nullptr : it->second;
  }
  ModelFiles Files() const;
  void IndexNames();
  void ReadMetadata();
  void CheckTensors() const;
  void CheckKinds() const;
};

ModelFiles LittleBitFile::State::Files() const {
  ModelFiles files;
  for (const LittleBitSection& section : sections) {
    if (section.kind == StorageKind::kFile) files[section.name] = std::string(AsText(section.data));
  }
  return files;
}

void LittleBitFile::State::IndexNames() {
  by_name.reserve(sections.size());
  for (const LittleBitSection& section : sections) {
    if (!by_name.emplace(section.name, &section).second) {
      Fail(file.path().string(), fmt::format("{}: expected one section, found two", section.name));
    }
  }
}

void LittleBitFile::State::ReadMetadata() {
  const LittleBitSection* section = Find(littlebit_layout::kMetadataName);
  if (section == nullptr) Fail(file.path().string(), "expected a metadata section, found none");
  metadata = ParseMetadata(AsText(section->data), file.path().string() + ": metadata");
}

// Every tensor of the architecture is there, in its shape and in a type that can be computed with.
void LittleBitFile::State::CheckTensors() const {
  const std::string path = file.path().string();
  for (const ExpectedTensor& expected : ExpectedTensors(config)) {
    const LittleBitSection* section = Find(expected.name);
    const std::string shape = fmt::format("[{}]", fmt::join(expected.shape, ", "));
    if (section == nullptr) {
      Fail(path,
           fmt::format("{}: expected a tensor of shape {}, found none", expected.name, shape));
    }
    if (section->shape != expected.shape) {
      Fail(path, fmt::format("{}: expected shape {}, found [{}]", expected.name, shape,
                             fmt::join(section->shape, ", ")));
    }
    if (section->kind == StorageKind::kDense && !IsFloat(section->dtype)) {
      Fail(path, fmt::format("{}: expected F32, F16, BF16 or F64, found {}", expected.name,
                             DTypeName(section->dtype)));
    }
  }
}

// Only linears of blocks are factorized and only embedding and head are grouped, so whoever runs a
// model meets each kind in one place.
void LittleBitFile::State::CheckKinds() const {
  std::unordered_set<std::string> factorizable, groupable = {kEmbeddingName};
  for (const LinearSpec& linear : BlockLinears(config))
    factorizable.insert(linear.name + ".weight");
  if (!config.tie_word_embeddings) groupable.insert(kHeadName);
  for (const LittleBitSection& section : sections) {
    const bool misplaced =
        (section.kind == StorageKind::kLittleBit && !factorizable.contains(section.name)) ||
        (section.kind == StorageKind::kGroupQuant && !groupable.contains(section.name));
    if (misplaced) {
      Fail(file.path().string(), fmt::format("{}: expected another kind, found {}", section.name,
                                             static_cast<uint32_t>(section.kind)));
    }
  }
}

LittleBitFile::LittleBitFile(const std::filesystem::path& path)
    : state_(std::make_unique<State>(path)) {
  state_->sections = ReadSections(state_->file.bytes(), path.string());
  state_->IndexNames();
  state_->ReadMetadata();
  if (state_->Find("config.json") == nullptr) {
    Fail(path.string(), "config.json: expected this file inside, found none");
  }
  state_->config = ParseModelConfig(state_->Files(), path.string() + ": config.json");
  state_->CheckTensors();
  state_->CheckKinds();
}

LittleBitFile::~LittleBitFile() = default;
LittleBitFile::LittleBitFile(LittleBitFile&&) noexcept = default;
LittleBitFile& LittleBitFile::operator=(LittleBitFile&&) noexcept = default;

const std::filesystem::path& LittleBitFile::path() const { return state_->file.path(); }
const ModelConfig& LittleBitFile::config() const { return state_->config; }
const LittleBitMetadata& LittleBitFile::metadata() const { return state_->metadata; }
ModelFiles LittleBitFile::files() const { return state_->Files(); }
std::span<const LittleBitSection> LittleBitFile::sections() const { return state_->sections; }
const LittleBitSection* LittleBitFile::Find(std::string_view name) const {
  return state_->Find(name);
}
uint64_t LittleBitFile::file_bytes() const { return state_->file.bytes().size(); }

int64_t LittleBitFile::body_bytes() const {
  int64_t bytes = 0;
  for (const LittleBitSection& section : sections()) {
    if (section.kind != StorageKind::kLittleBit) continue;
    bytes += static_cast<int64_t>(AlignUp(section.data.size(), kSectionAlignment));
  }
  return bytes;
}

int64_t LittleBitFile::body_weights() const {
  int64_t weights = 0;
  for (const LittleBitSection& section : sections()) {
    if (section.kind == StorageKind::kLittleBit) weights += section.shape[0] * section.shape[1];
  }
  return weights;
}

double LittleBitFile::body_bpw() const {
  const int64_t weights = body_weights();
  return weights == 0 ? 0 : 8.0 * static_cast<double>(body_bytes()) / static_cast<double>(weights);
}

void LittleBitFile::Verify() const {
  for (const LittleBitSection& section : sections()) {
    VerifySection(section, path().string() + ": " + section.name);
    Release(section);
  }
}

void LittleBitFile::Release(const LittleBitSection& section) const {
  state_->file.Release(section.data);
}

bool LooksLikeLittleBit(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, littlebit_layout::kMagic.size()> magic = {};
  return file.read(magic.data(), magic.size()) && magic == littlebit_layout::kMagic;
}

}  // namespace llmq
