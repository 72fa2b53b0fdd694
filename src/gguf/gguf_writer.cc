// GgufWriter: streams one tensor after the other behind heads that were planned before.
//
// Before this: a list of tensors and whoever makes their bytes. After this: files that stock
// readers take. All are complete on the disk before the first gets its name, and the first shard,
// by which a model is opened, gets it last.
#include <fmt/format.h>

#include <memory>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "gguf/gguf_plan.h"
#include "gguf/gguf_table.h"
#include "llmq/error.h"
#include "llmq/gguf.h"

namespace llmq {

struct GgufWriter::State {
  std::filesystem::path path;
  std::vector<GgufTensor> tensors;
  uint64_t alignment = 0;
  std::vector<GgufShardPlan> plans;
  std::vector<std::filesystem::path> paths;
  std::vector<std::unique_ptr<AtomicFile>> files;  // of the shards begun, in order
  size_t written = 0;                              // tensors, of all shards
  size_t written_in_shard = 0;
  uint64_t part_bytes = 0;  // of the tensor after them

  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", path.string(), what));
  }
  const GgufTensor& Next() const;
  void BeginShard();
  void CommitAll();
};

const GgufTensor& GgufWriter::State::Next() const {
  if (written == tensors.size()) {
    Fail(fmt::format("expected {} tensors, found one more", tensors.size()));
  }
  return tensors[written];
}

void GgufWriter::State::BeginShard() {
  GgufShardPlan& plan = plans[files.size()];
  files.push_back(std::make_unique<AtomicFile>(plan.path));
  files.back()->Append(plan.head);
  plan.head = std::string();
  written_in_shard = 0;
}

void GgufWriter::State::CommitAll() {
  for (const auto& file : files) file->Flush();
  size_t uncommitted = files.size();
  try {
    for (; uncommitted > 0; --uncommitted) files[uncommitted - 1]->Commit();
  } catch (const Error&) {
    std::error_code ignored;  // the first failure is the one to tell
    for (size_t i = uncommitted; i < files.size(); ++i) {
      std::filesystem::remove(files[i]->path(), ignored);
    }
    throw;
  }
}

GgufWriter::GgufWriter(const std::filesystem::path& path, std::vector<GgufKey> keys,
                       std::vector<GgufTensor> tensors, const GgufWriteOptions& options)
    : state_(std::make_unique<State>()) {
  state_->path = path;
  state_->plans = PlanGguf(path, keys, tensors, options);
  state_->tensors = std::move(tensors);
  state_->alignment = options.alignment;
  for (const GgufShardPlan& plan : state_->plans) state_->paths.push_back(plan.path);
  state_->BeginShard();
}

GgufWriter::~GgufWriter() = default;

void GgufWriter::Write(std::span<const std::byte> bytes) {
  const GgufTensor& tensor = state_->Next();
  const uint64_t missing = tensor.num_bytes() - state_->part_bytes;
  if (bytes.size() != missing) {
    state_->Fail(
        fmt::format("tensor {}: expected {} bytes, found {}", tensor.name, missing, bytes.size()));
  }
  WritePart(bytes);
}

void GgufWriter::WritePart(std::span<const std::byte> bytes) {
  State& state = *state_;
  const GgufTensor& tensor = state.Next();
  const uint64_t missing = tensor.num_bytes() - state.part_bytes;
  if (bytes.size() > missing) {
    state.Fail(fmt::format("tensor {}: expected at most {} bytes, found {}", tensor.name, missing,
                           bytes.size()));
  }
  if (state.written_in_shard == state.plans[state.files.size() - 1].tensors) state.BeginShard();
  AtomicFile& file = *state.files.back();
  file.Append(bytes);
  state.part_bytes += bytes.size();
  if (bytes.size() < missing) return;
  file.Append(std::string(PaddedBytes(tensor, state.alignment) - tensor.num_bytes(), '\0'));
  ++state.written;
  ++state.written_in_shard;
  state.part_bytes = 0;
}

uint64_t GgufWriter::Finish() {
  State& state = *state_;
  if (state.written != state.tensors.size()) {
    state.Fail(fmt::format("expected {} tensors, found {}", state.tensors.size(), state.written));
  }
  state.CommitAll();
  uint64_t bytes = 0;
  for (const auto& file : state.files) bytes += file->size();
  return bytes;
}

const std::vector<std::filesystem::path>& GgufWriter::paths() const { return state_->paths; }

}  // namespace llmq
