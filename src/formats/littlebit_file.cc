// A compressed model in one file, whichever container it came in.
//
// Before this: formats/littlebit_reader or formats/gguf_ext has made sections of the bytes. After
// this: runtime/weights takes the sections as they lie in the mapping. Checked here: that the
// sections make a whole model.
#include "llmq/littlebit_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"
#include "formats/gguf_ext.h"
#include "formats/littlebit_entry.h"
#include "formats/littlebit_layout.h"
#include "formats/littlebit_metadata.h"
#include "formats/littlebit_reader.h"
#include "formats/littlebit_verify.h"
#include "llmq/error.h"
#include "llmq/gguf.h"

namespace llmq {
namespace {

[[noreturn]] void Fail(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what),
              "The file is damaged or incomplete; copy or make it again");
}

}  // namespace

struct LittleBitFile::State {
  explicit State(const std::filesystem::path& path);

  std::filesystem::path path;
  std::optional<MappedFile> file;  // one of the two
  std::optional<GgufFile> gguf;
  uint32_t version = 0;
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
  void CheckTensors() const;
  void CheckKinds() const;
  void CheckVersion() const;
};

LittleBitFile::State::State(const std::filesystem::path& p) : path(p) {
  std::string json;
  if (LooksLikeGguf(path)) {
    gguf.emplace(path);
    GgufExtContent content = ReadGgufExt(*gguf);
    version = content.version;
    sections = std::move(content.sections);
    json = std::move(content.metadata);
  } else {
    file.emplace(path);
    LittleBitContent content = ReadLittleBitContent(file->bytes(), path.string());
    version = content.version;
    sections = std::move(content.sections);
  }
  IndexNames();
  if (const LittleBitSection* section = Find(littlebit_layout::kMetadataName)) {
    json = AsText(section->data);
  } else if (file) {
    Fail(path.string(), "expected a metadata section, found none");
  }
  metadata = ParseMetadata(json, version, path.string() + ": metadata");
  if (Find("config.json") == nullptr) {
    Fail(path.string(), "config.json: expected this file inside, found none");
  }
  config = ParseModelConfig(Files(), path.string() + ": config.json");
  CheckTensors();
  CheckKinds();
  CheckVersion();
}

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
      Fail(path.string(), fmt::format("{}: expected one section, found two", section.name));
    }
  }
}

// Every tensor of the architecture is there, in its shape and in a type that can be computed with.
void LittleBitFile::State::CheckTensors() const {
  const std::string where = path.string();
  for (const ExpectedTensor& expected : ExpectedTensors(config)) {
    const LittleBitSection* section = Find(expected.name);
    const std::string shape = fmt::format("[{}]", fmt::join(expected.shape, ", "));
    if (section == nullptr) {
      Fail(where,
           fmt::format("{}: expected a tensor of shape {}, found none", expected.name, shape));
    }
    if (section->shape != expected.shape) {
      Fail(where, fmt::format("{}: expected shape {}, found [{}]", expected.name, shape,
                              fmt::join(section->shape, ", ")));
    }
    if (section->kind == StorageKind::kDense && !IsFloat(section->dtype)) {
      Fail(where, fmt::format("{}: expected F32, F16, BF16 or F64, found {}", expected.name,
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
      Fail(path.string(), fmt::format("{}: expected another kind, found {}", section.name,
                                      static_cast<uint32_t>(section.kind)));
    }
  }
}

// A version that its content does not need, or that cannot hold it, is no writer's.
void LittleBitFile::State::CheckVersion() const {
  uint32_t needed = VersionOfMetadata(metadata);
  for (const LittleBitSection& section : sections)
    needed = std::max(needed, VersionOfSection(section.kind, section.bits));
  if (version != needed) {
    Fail(path.string(), fmt::format("format version: expected {} for what the file holds, found {}",
                                    needed, version));
  }
}

LittleBitFile::LittleBitFile(const std::filesystem::path& path)
    : state_(std::make_unique<State>(path)) {}

LittleBitFile::~LittleBitFile() = default;
LittleBitFile::LittleBitFile(LittleBitFile&&) noexcept = default;
LittleBitFile& LittleBitFile::operator=(LittleBitFile&&) noexcept = default;

const std::filesystem::path& LittleBitFile::path() const { return state_->path; }
const ModelConfig& LittleBitFile::config() const { return state_->config; }
const LittleBitMetadata& LittleBitFile::metadata() const { return state_->metadata; }
ModelFiles LittleBitFile::files() const { return state_->Files(); }
std::span<const LittleBitSection> LittleBitFile::sections() const { return state_->sections; }
const LittleBitSection* LittleBitFile::Find(std::string_view name) const {
  return state_->Find(name);
}
uint64_t LittleBitFile::file_bytes() const {
  return state_->file ? state_->file->bytes().size() : state_->gguf->file_bytes();
}
LittleBitContainer LittleBitFile::container() const {
  return state_->file ? LittleBitContainer::kNative : LittleBitContainer::kGguf;
}
uint32_t LittleBitFile::format_version() const { return state_->version; }

int64_t LittleBitFile::body_bytes() const {
  int64_t bytes = 0;
  for (const LittleBitSection& section : sections()) {
    if (section.kind == StorageKind::kLittleBit) bytes += static_cast<int64_t>(section.data.size());
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
  if (state_->file) {
    state_->file->Release(section.data);
  } else {
    GgufTensor tensor;
    tensor.data = section.data;
    state_->gguf->Release(tensor);
  }
}

bool LooksLikeLittleBit(const std::filesystem::path& path) {
  return FileBeginsWith(path, {littlebit_layout::kMagic.data(), littlebit_layout::kMagic.size()});
}

bool HoldsLittleBit(const std::filesystem::path& path) {
  if (LooksLikeLittleBit(path)) return true;
  return LooksLikeGguf(path) && GgufFile(path).Find(kGgufExtVersionKey) != nullptr;
}

}  // namespace llmq
