// Reads gguf-ext: keys become directory entries, tensors become the sections' data.
//
// Before this: formats/gguf has checked the container. After this: formats/littlebit_file. Every
// fact is checked as if it stood in a .littlebit directory, and the tensors must be exactly those
// that the writer makes of it.
#include <fmt/format.h>

#include <limits>

#include "base/limits.h"
#include "formats/gguf_ext.h"
#include "formats/littlebit_entry.h"
#include "formats/littlebit_layout.h"
#include "formats/littlebit_reader.h"
#include "llmq/error.h"

namespace llmq {
namespace {

using littlebit_layout::Entry;

[[noreturn]] void Fail(
    const std::string& where, const std::string& what,
    const std::string& suggestion = "The file is damaged or was not written by llm-quantize") {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what), suggestion);
}

template <typename T>
const T& Required(const GgufFile& file, const std::string& key) {
  if (const T* value = file.Get<T>(key)) return *value;
  Fail(file.path().string(), fmt::format("{}: expected this key, found none", key));
}

// One of the arrays that have an item for each section.
template <typename T>
const std::vector<T>& Column(const GgufFile& file, const char* name, size_t size) {
  const std::string key = fmt::format("littlebit.section.{}", name);
  const auto& column = Required<std::vector<T>>(file, key);
  if (column.size() != size) {
    Fail(file.path().string(),
         fmt::format("{}: expected {} items, found {}", key, size, column.size()));
  }
  return column;
}

// The arrays as one directory.
std::vector<Entry> ReadEntries(const GgufFile& file, size_t count) {
  std::vector<Entry> entries(count);
  const auto fill = [&]<typename T>(const char* name, T Entry::*field) {
    const std::vector<T>& column = Column<T>(file, name, count);
    for (size_t i = 0; i < count; ++i) entries[i].*field = column[i];
  };
  fill("kind", &Entry::kind);
  fill("bytes", &Entry::data_bytes);
  fill("checksum", &Entry::checksum);
  fill("dtype", &Entry::dtype);
  fill("bits", &Entry::bits);
  fill("dimensions", &Entry::dimensions);
  fill("paths", &Entry::paths);
  fill("rank", &Entry::rank);
  fill("relative_error", &Entry::relative_error);

  const auto& shapes = Required<std::vector<uint64_t>>(file, "littlebit.section.shape");
  size_t used = 0;
  for (Entry& entry : entries) {
    for (uint32_t d = 0; d < entry.dimensions; ++d, ++used) {
      if (d == littlebit_layout::kShapeSlots || used == shapes.size()) {
        Fail(file.path().string(),
             "littlebit.section.shape: expected the numbers that "
             "littlebit.section.dimensions counts, found others");
      }
      entry.shape[d] = shapes[used];
    }
  }
  if (used != shapes.size()) {
    Fail(file.path().string(), fmt::format("littlebit.section.shape: expected {} numbers, found {}",
                                           used, shapes.size()));
  }
  return entries;
}

bool SameBytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || a.data() == b.data());
}

// Hands out the tensors of the file in order.
class TensorCursor {
 public:
  explicit TensorCursor(const GgufFile& file) : file_(file) {}

  // The bytes of the next `count` tensors, from the first to the last.
  std::span<const std::byte> Peek(size_t count, const std::string& where) const {
    const auto tensors = file_.tensors();
    if (count > tensors.size() - next_) {
      Fail(where, fmt::format("expected {} more tensors, found {}", count, tensors.size() - next_));
    }
    const auto first = tensors[next_].data;
    const auto last = tensors[next_ + count - 1].data;
    const auto begin = reinterpret_cast<uintptr_t>(first.data());
    const auto end = reinterpret_cast<uintptr_t>(last.data()) + last.size();
    if (end < begin) Fail(where, "expected its tensors in one file and in order");
    return {first.data(), end - begin};
  }

  // The next tensors must be these.
  void Expect(const std::vector<GgufTensor>& expected, const std::string& where) {
    for (const GgufTensor& tensor : expected) {
      const GgufTensor& found = file_.tensors()[next_++];
      if (found.name != tensor.name || found.type != tensor.type || found.shape != tensor.shape ||
          !SameBytes(found.data, tensor.data)) {
        Fail(where, fmt::format("expected tensor {} {} [{}], found {} {} [{}]", tensor.name,
                                InfoOf(tensor.type).name, fmt::join(tensor.shape, ", "), found.name,
                                InfoOf(found.type).name, fmt::join(found.shape, ", ")));
      }
    }
  }

  size_t remaining() const { return file_.tensors().size() - next_; }

 private:
  const GgufFile& file_;
  size_t next_ = 0;
};

void TakeData(LittleBitSection& section, uint64_t data_bytes, const std::string& base,
              const std::string& where, TensorCursor& tensors) {
  constexpr size_t kArraysOfPath = 5;
  const bool factors = section.kind == StorageKind::kLittleBit;
  section.data = tensors.Peek(factors ? kArraysOfPath * section.paths : 1, where);
  const uint64_t expected =
      factors ? static_cast<uint64_t>(LittleBitArrayBytes(section.littlebit_shape())) : data_bytes;
  if (section.data.size() != expected) {
    Fail(where,
         fmt::format("expected {} bytes of tensors, found {}", expected, section.data.size()));
  }
  tensors.Expect(GgufExtTensors(section, base), where);
}

}  // namespace

GgufExtContent ReadGgufExt(const GgufFile& file) {
  const std::string path = file.path().string();
  const uint32_t* version = file.Get<uint32_t>(kGgufExtVersionKey);
  if (version == nullptr) {
    Fail(path,
         fmt::format("{}: expected this key of a GGUF file with LittleBit factors, found none",
                     kGgufExtVersionKey),
         "Give a .littlebit file or one made with 'convert FILE gguf-ext'");
  }
  CheckLittleBitVersion(*version, fmt::format("{}: {}", path, kGgufExtVersionKey));
  if (file.alignment() != kGgufExtAlignment) {
    Fail(path, fmt::format("general.alignment: expected {}, found {}", kGgufExtAlignment,
                           file.alignment()));
  }
  GgufExtContent content{.version = *version};
  content.metadata = Required<std::string>(file, "littlebit.metadata");
  const auto& names = Required<std::vector<std::string>>(file, "littlebit.section.name");
  const auto& bases = Column<std::string>(file, "tensor", names.size());
  const std::vector<Entry> entries = ReadEntries(file, names.size());
  TensorCursor tensors(file);
  for (size_t i = 0; i < names.size(); ++i) {
    LittleBitSection section = SectionFromEntry(entries[i], names[i], path);
    if (section.kind == StorageKind::kMetadata) {
      Fail(path, "littlebit.section.kind: expected the metadata in littlebit.metadata only");
    }
    TakeData(section, entries[i].data_bytes, bases[i], path + ": " + names[i], tensors);
    content.sections.push_back(std::move(section));
  }
  if (tensors.remaining() != 0) {
    Fail(path, fmt::format("expected no more tensors than sections name, found {} more",
                           tensors.remaining()));
  }
  return content;
}

}  // namespace llmq
