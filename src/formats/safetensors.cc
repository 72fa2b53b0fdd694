// The safetensors header, checked before it is believed.
//
// Layout: u64 length of the header, the header (JSON, padded with spaces), the data. An entry of
// the header is {"dtype", "shape", "data_offsets": [begin, end)} with offsets from the beginning of
// the data.
#include "formats/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "base/limits.h"
#include "formats/json_rows.h"
#include "llmq/error.h"

namespace llmq {
namespace {

[[noreturn]] void Fail(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what),
              "The file is truncated or damaged; fetch or write it again");
}

// A list of non-negative integers, as "shape" and "data_offsets" are.
std::vector<uint64_t> ReadNumbers(const JsonRow& row, const char* key, const std::string& where) {
  const auto it = row.find(key);
  if (it == row.end() || !it->is_array()) {
    Fail(where, fmt::format("\"{}\": expected a list, found {}", key,
                            it == row.end() ? "nothing" : it->type_name()));
  }
  std::vector<uint64_t> numbers;
  for (const JsonRow& item : *it) {
    if (!item.is_number_unsigned()) {
      Fail(where, fmt::format("\"{}\": expected non-negative integers, found {}", key,
                              item.dump(-1, ' ', true).substr(0, 40)));
    }
    numbers.push_back(item.get<uint64_t>());
  }
  return numbers;
}

DType ReadDType(const JsonRow& row, const std::string& where) {
  const auto it = row.find("dtype");
  if (it == row.end() || !it->is_string()) {
    Fail(where, fmt::format("\"dtype\": expected a string, found {}",
                            it == row.end() ? "nothing" : it->type_name()));
  }
  const std::string& name = it->get_ref<const std::string&>();
  const std::optional<DType> dtype = DTypeFromName(name);
  if (!dtype) {
    Fail(where,
         fmt::format("\"dtype\": expected a known element type, found \"{}\"", name.substr(0, 40)));
  }
  return *dtype;
}

TensorView ReadEntry(const std::string& name, const JsonRow& row, std::span<const std::byte> data,
                     const std::string& where) {
  TensorView tensor;
  tensor.name = name;
  tensor.dtype = ReadDType(row, where);
  const std::vector<uint64_t> shape = ReadNumbers(row, "shape", where);
  const std::optional<uint64_t> elements = CountElements(shape);
  if (!elements) {
    Fail(where, fmt::format("\"shape\": expected at most {} dimensions and {} elements, found [{}]",
                            kMaxDimensions, kMaxElements,
                            fmt::format("{}", fmt::join(shape, ", ")).substr(0, 80)));
  }
  const uint64_t expected_bytes = *elements * DTypeBytes(tensor.dtype);
  tensor.shape.assign(shape.begin(), shape.end());
  const std::vector<uint64_t> offsets = ReadNumbers(row, "data_offsets", where);
  if (offsets.size() != 2) {
    Fail(where, fmt::format("\"data_offsets\": expected two numbers, found {}", offsets.size()));
  }
  if (offsets[0] > offsets[1] || offsets[1] > data.size()) {
    Fail(where, fmt::format("\"data_offsets\": expected begin <= end <= {}, found [{}, {}]",
                            data.size(), offsets[0], offsets[1]));
  }
  if (offsets[1] - offsets[0] != expected_bytes) {
    Fail(where, fmt::format("expected {} bytes of {} for shape {}, found {}", expected_bytes,
                            DTypeName(tensor.dtype), tensor.ShapeText(), offsets[1] - offsets[0]));
  }
  tensor.data = data.subspan(offsets[0], expected_bytes);
  return tensor;
}

void CheckMetadata(const JsonRow& row, const std::string& where) {
  for (const auto& [key, value] : row.items()) {
    if (!value.is_string()) {
      Fail(where, fmt::format("\"{}\": expected a string, found {}", key, value.type_name()));
    }
  }
}

// Every byte of the data belongs to exactly one tensor.
void CheckTiling(const std::vector<TensorView>& tensors, std::span<const std::byte> data,
                 const std::string& where) {
  std::vector<const TensorView*> sorted;
  for (const TensorView& tensor : tensors) sorted.push_back(&tensor);
  std::sort(sorted.begin(), sorted.end(), [](const TensorView* a, const TensorView* b) {
    return std::pair(a->data.data(), a->data.size()) < std::pair(b->data.data(), b->data.size());
  });
  uint64_t end = 0;
  for (const TensorView* tensor : sorted) {
    const auto begin = static_cast<uint64_t>(tensor->data.data() - data.data());
    if (begin != end) {
      Fail(where, fmt::format("{}: expected data at offset {}, found {} ({})", tensor->name, end,
                              begin, begin < end ? "overlap" : "hole"));
    }
    end += tensor->data.size();
  }
  if (end != data.size()) {
    Fail(where, fmt::format("expected {} bytes of data, found {}", end, data.size()));
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  ReadHeader(file_.bytes());
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path, const ArrivingFile& file)
    : file_(MappedFile::Reserve(path, file.bytes)) {
  const auto header = AsBytes(file.header);
  fetched_header_.assign(header.begin(), header.end());
  if (header.size() > file.bytes) {
    Fail(path.string(),
         fmt::format("expected a header within {} bytes, found {}", file.bytes, header.size()));
  }
  ReadHeader(fetched_header_);
}

void SafetensorsFile::Arrive() const {
  file_.Fill();
  if (std::ranges::equal(file_.bytes().first(header_.size()), header_)) return;
  Fail(file_.path().string(), "expected the header that was fetched first, found another");
}

void SafetensorsFile::ReadHeader(std::span<const std::byte> begin) {
  const std::string where = file_.path().string();
  ByteReader reader(begin, where);
  const auto header_bytes = reader.Read<uint64_t>();
  const uint64_t most = std::min(kMaxSafetensorsHeaderBytes, reader.remaining());
  if (header_bytes > most) {
    Fail(where, fmt::format("expected a header of at most {} bytes, found {}", most, header_bytes));
  }
  const std::string_view json = AsText(reader.Take(header_bytes));
  if (json.empty() || json.front() != '{') Fail(where, "expected a header that begins with '{'");
  header_ = begin.first(reader.offset());
  const auto data = file_.bytes().subspan(reader.offset());

  ForEachJsonRow(json, where, [&](const std::string& name, const JsonRow& row) {
    if (!IsAllowedName(name)) {
      Fail(where,
           fmt::format("expected tensor names of 1 to {} bytes without control characters, found "
                       "another",
                       kMaxNameBytes));
    }
    const std::string entry = fmt::format("{}: {}", where, name);
    if (name == "__metadata__") return CheckMetadata(row, entry);
    tensors_.push_back(ReadEntry(name, row, data, entry));
  });
  CheckTiling(tensors_, data, where);
}

bool SafetensorsFile::Holds(const TensorView& tensor) const {
  const auto bytes = file_.bytes();
  return tensor.data.data() >= bytes.data() && tensor.data.data() < bytes.data() + bytes.size();
}

}  // namespace llmq
