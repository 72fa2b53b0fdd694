// Joins shards and index; see the header.
#include "formats/safetensors_shards.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"
#include "base/limits.h"
#include "formats/json_rows.h"
#include "llmq/error.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr uint64_t kMaxIndexBytes = uint64_t{256} << 20;
constexpr const char* kFetchAgain =
    "Fetch the checkpoint again: all shards and the index of one version";

using WeightMap = std::map<std::string, std::string>;  // tensor name -> shard file name

[[noreturn]] void Fail(const std::string& where, const std::string& what,
                       const std::string& suggestion) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what), suggestion);
}

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Shards lie beside the index: a name with a path in it would read files elsewhere.
bool IsShardName(const std::string& name) {
  return IsPlainFileName(name) && name.ends_with(".safetensors");
}

WeightMap ReadIndex(const fs::path& path) {
  const std::string where = path.string();
  WeightMap map;
  const MappedFile file(path);
  if (file.bytes().size() > kMaxIndexBytes) {
    Fail(where,
         fmt::format("expected at most {} bytes, found {}", kMaxIndexBytes, file.bytes().size()),
         kFetchAgain);
  }
  ForEachJsonRow(AsText(file.bytes()), where, [&](const std::string& name, const JsonRow& row) {
    if (name != "weight_map") return;
    for (const auto& [tensor, shard] : row.items()) {
      if (!shard.is_string() || !IsShardName(shard.get<std::string>())) {
        Fail(where,
             fmt::format("\"weight_map\": {}: expected the name of a .safetensors file, found {}",
                         tensor, shard.dump(-1, ' ', true).substr(0, 80)),
             kFetchAgain);
      }
      map[tensor] = shard.get<std::string>();
    }
  });
  if (map.empty()) Fail(where, "\"weight_map\": expected tensors, found none", kFetchAgain);
  return map;
}

bool IsPickled(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".bin" || extension == ".pt" || extension == ".pth";
}

[[noreturn]] void ThrowPickled(const fs::path& directory, const fs::path& file) {
  Fail(directory.string(),
       fmt::format("expected {} or {}, found only pickled weights ({})", kSingleFile, kIndexFile,
                   file.filename().string()),
       "Pickled weights can run code when they are read; convert them to safetensors first");
}

[[noreturn]] void ThrowNoWeights(const fs::path& directory) {
  std::error_code ignored;
  if (fs::is_regular_file(directory, ignored) && IsPickled(directory)) {
    ThrowPickled(directory, directory);
  }
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    if (IsPickled(entry.path())) ThrowPickled(directory, entry.path());
  }
  throw Error(ErrorCode::kModelNotFound,
              fmt::format("{}: expected {} or {}, found neither", directory.string(), kSingleFile,
                          kIndexFile),
              "Give a directory with config.json and *.safetensors files");
}

// The index and the shards must say the same.
void CheckAgainstIndex(const WeightMap& map, const std::set<std::string>& found_in_shard,
                       const std::string& shard, const std::string& where) {
  for (const auto& [tensor, mapped_shard] : map) {
    if (mapped_shard == shard && !found_in_shard.contains(tensor)) {
      Fail(where,
           fmt::format("{}: expected this tensor as {} says, found none", tensor, kIndexFile),
           kFetchAgain);
    }
  }
  for (const std::string& tensor : found_in_shard) {
    const auto it = map.find(tensor);
    if (it == map.end() || it->second != shard) {
      Fail(where,
           fmt::format("{}: expected only tensors that {} places here, found one that it places {}",
                       tensor, kIndexFile, it == map.end() ? "nowhere" : "in " + it->second),
           kFetchAgain);
    }
  }
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// Of a tensor that has the shape of the whole.
std::vector<TensorView> PartsOf(const TensorView& tensor, const PublishedTensor& published) {
  std::vector<TensorView> parts;
  const size_t element = DTypeBytes(tensor.dtype);
  size_t begin = 0;  // elements
  for (const ExpectedTensor& part : published.parts) {
    TensorView view{part.name, tensor.dtype, part.shape, {}};
    if (published.transposed) {  // columns [begin, begin + rows) of [in, out], from first to last
      view.column_stride = tensor.shape[1];
      const auto last = static_cast<size_t>((part.shape[1] - 1) * view.column_stride);
      const size_t rows = static_cast<size_t>(part.shape[0]);
      view.data = tensor.data.subspan(begin * element, (last + rows) * element);
      begin += rows;
    } else {
      const auto elements = static_cast<size_t>(view.num_elements());
      view.data = tensor.data.subspan(begin * element, elements * element);
      begin += elements;
    }
    parts.push_back(std::move(view));
  }
  return parts;
}

}  // namespace

// Which of the files can be read by now, and what is to be read from each when it has come.
class SafetensorsShards::Arrivals {
 public:
  explicit Arrivals(ArrivingWeights& source) : source_(source) {}

  static const ArrivingFile* Find(const ArrivingWeights* source, const std::string& name) {
    if (source == nullptr) return nullptr;
    const auto file = std::ranges::find(source->files(), name, &ArrivingFile::name);
    return file == source->files().end() ? nullptr : &*file;
  }

  void Expect(const std::string& file) { expected_.insert(file); }

  void Expect(AttachedScales scales) {
    const BlockScales* of = scales.scales.get();
    scales_.emplace(of, std::move(scales));
  }

  // Others may wait for the same file meanwhile; the first one maps it.
  void Await(const SafetensorsFile& file) {
    const std::string name = file.file().path().filename().string();
    {
      const std::lock_guard lock(mutex_);
      if (!expected_.contains(name)) return;
    }
    if (const std::optional<Error> error = source_.Wait(name)) throw ArrivalError(*error);
    const std::lock_guard lock(mutex_);
    if (!expected_.contains(name)) return;
    try {
      file.Arrive();
    } catch (const Error& error) {
      throw ArrivalError(error);
    }
    expected_.erase(name);
  }

  // The scales of a matrix, which may lie in another file than the matrix.
  void AwaitScales(const SafetensorsShards& shards, const BlockScales* of) {
    std::optional<AttachedScales> scales;
    {
      const std::lock_guard lock(mutex_);
      const auto it = scales_.find(of);
      if (it == scales_.end()) return;
      scales = it->second;
    }
    Await(shards.FileOf(scales->tensor));
    const std::lock_guard lock(mutex_);
    if (scales_.erase(of) > 0) scales->Read();
  }

 private:
  ArrivingWeights& source_;
  std::mutex mutex_;
  std::set<std::string> expected_;                       // files that nobody has waited for yet
  std::map<const BlockScales*, AttachedScales> scales_;  // not read yet
};

SafetensorsShards::~SafetensorsShards() = default;

SafetensorsShards::SafetensorsShards(const fs::path& directory, ArrivingWeights* arriving) {
  if (arriving != nullptr) arrivals_ = std::make_unique<Arrivals>(*arriving);
  Open(directory, arriving);
  for (const SafetensorsFile& file : files_) {
    tensors_.insert(tensors_.end(), file.tensors().begin(), file.tensors().end());
  }
  Sort();
}

void SafetensorsShards::Sort() { std::ranges::sort(tensors_, {}, &TensorView::name); }

void SafetensorsShards::Open(const fs::path& directory, ArrivingWeights* arriving) {
  const auto open = [&](const std::string& name) {
    const fs::path path = directory / name;
    if (const ArrivingFile* file = Arrivals::Find(arriving, name)) {
      files_.emplace_back(path, *file);
      arrivals_->Expect(name);
      return true;
    }
    if (!Exists(path)) return false;
    files_.emplace_back(path);
    return true;
  };
  if (open(kSingleFile)) return;
  if (!Exists(directory / kIndexFile)) ThrowNoWeights(directory);
  const WeightMap map = ReadIndex(directory / kIndexFile);
  std::set<std::string> names;  // shard files
  for (const auto& [tensor, shard] : map) names.insert(shard);
  for (const std::string& shard : names) {
    const std::string where = (directory / shard).string();
    if (!open(shard)) {
      Fail(where, fmt::format("expected a shard that {} names, found no file", kIndexFile),
           kFetchAgain);
    }
    std::set<std::string> found;
    for (const TensorView& tensor : files_.back().tensors()) found.insert(tensor.name);
    CheckAgainstIndex(map, found, shard, where);
  }
}

const TensorView* SafetensorsShards::Find(std::string_view name) const {
  const auto it =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const TensorView& t, std::string_view n) { return t.name < n; });
  return it != tensors_.end() && it->name == name ? &*it : nullptr;
}

const TensorView* SafetensorsShards::Find(const std::string& prefix,
                                          const std::string& name) const {
  const TensorView* tensor = Find(prefix + name);
  return tensor != nullptr ? tensor : Find(name);
}

int64_t SafetensorsShards::RenamePrefixes(const PublishedNames& names) {
  const auto left_out = std::erase_if(tensors_, [&](const TensorView& tensor) {
    return std::ranges::any_of(names.not_of_text, [&](std::string_view prefix) {
      return tensor.name.starts_with(prefix);
    });
  });
  for (TensorView& tensor : tensors_) {
    const auto prefix = std::ranges::find_if(names.prefixes, [&](const PublishedPrefix& one) {
      return tensor.name.starts_with(one.published);
    });
    if (prefix == names.prefixes.end()) continue;
    tensor.name.replace(0, prefix->published.size(), prefix->own);
  }
  Sort();
  return static_cast<int64_t>(left_out);
}

void SafetensorsShards::Rename(const PublishedNames& names, const std::string& where) {
  std::set<std::string> taken;
  for (const std::string& name : names.unused) {
    const TensorView* tensor = Find(names.optional_prefix, name);
    if (tensor != nullptr) taken.insert(tensor->name);
  }
  std::vector<TensorView> renamed;
  for (const PublishedTensor& published : names.tensors) {
    const TensorView* tensor = Find(names.optional_prefix, published.name);
    if (tensor == nullptr && published.optional) continue;
    CheckFloatTensor(tensor, {names.optional_prefix + published.name, published.shape}, where);
    taken.insert(tensor->name);
    for (TensorView& part : PartsOf(*tensor, published)) renamed.push_back(std::move(part));
  }
  std::erase_if(tensors_, [&](const TensorView& tensor) { return taken.contains(tensor.name); });
  std::ranges::move(renamed, std::back_inserter(tensors_));
  Sort();
  const auto twice = std::ranges::adjacent_find(tensors_, {}, &TensorView::name);
  if (twice == tensors_.end()) return;
  Fail(where, fmt::format("{}: expected this tensor once, found it under two names", twice->name),
       kFetchAgain);
}

const SafetensorsFile& SafetensorsShards::FileOf(const TensorView& tensor) const {
  return *std::ranges::find_if(files_, [&](const auto& file) { return file.Holds(tensor); });
}

void SafetensorsShards::AttachScales(const ModelConfig& config, const std::string& where) {
  for (AttachedScales& scales : AttachFp8Scales(config, where, tensors_)) {
    if (arrivals_) {
      arrivals_->Expect(std::move(scales));
    } else {
      scales.Read();
    }
  }
}

void SafetensorsShards::Await(const TensorView& tensor) const {
  if (!arrivals_ || tensor.data.empty()) return;
  arrivals_->Await(FileOf(tensor));
  if (tensor.scales != nullptr) arrivals_->AwaitScales(*this, tensor.scales.get());
}

void SafetensorsShards::AwaitAll() const {
  if (!arrivals_) return;
  for (const SafetensorsFile& file : files_) arrivals_->Await(file);
}

void SafetensorsShards::Release(const TensorView& tensor) const {
  for (const SafetensorsFile& file : files_) {
    if (file.Holds(tensor)) file.file().Release(tensor.data);
  }
}

void CheckFloatTensor(const TensorView* tensor, const ExpectedTensor& expected,
                      const std::string& where) {
  const std::string suggestion =
      "The weights do not belong to this config.json; fetch the checkpoint again";
  if (tensor == nullptr) {
    Fail(where,
         fmt::format("{}: expected a tensor of shape {}, found none", expected.name,
                     ShapeText(expected.shape)),
         suggestion);
  }
  if (tensor->shape != expected.shape) {
    Fail(where,
         fmt::format("{}: expected shape {}, found {}", expected.name, ShapeText(expected.shape),
                     ShapeText(tensor->shape)),
         suggestion);
  }
  if (!HasFloatValues(*tensor)) {
    Fail(where,
         fmt::format("{}: expected F32, F16, BF16, F64 or FP8 with scales, found {}", expected.name,
                     DTypeName(tensor->dtype)),
         "Start from the original checkpoint in full precision");
  }
}

}  // namespace llmq
