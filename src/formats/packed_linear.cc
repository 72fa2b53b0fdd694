// Names, shapes and values of a packed linear; see the header.
#include "formats/packed_linear.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/half.h"
#include "formats/half_scales.h"
#include "formats/packed_signs.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr std::array kFactorParts = {"U_packed", "V_packed", "U_shape", "V_shape"};
constexpr std::array kLittleBitScales = {"u1", "u2", "v1", "v2"};
constexpr std::array kNanoQuantScales = {"scale_pre", "scale_post", "scale_mid"};
constexpr double kWorstScaleError = 0x1.0p-10;

[[noreturn]] void Fail(const std::string& where, const std::string& tensor,
                       const std::string& what) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}: {}", where, tensor, what),
              "The checkpoint is damaged or was written by another program; write it again");
}

// "U_packed" of the residual path is "U_R_packed", "u1" is "u1_R".
std::string PartName(std::string part, bool residual) {
  if (!residual) return part;
  const size_t underscore = part.find('_');
  return part.insert(underscore == std::string::npos ? part.size() : underscore, "_R");
}

template <size_t N>
bool HasAny(const SafetensorsShards& shards, const std::string& linear,
            const std::array<const char*, N>& parts, bool residual) {
  return std::any_of(parts.begin(), parts.end(), [&](const char* part) {
    return shards.Find(linear + "." + PartName(part, residual)) != nullptr;
  });
}

class Finder {
 public:
  Finder(const SafetensorsShards& shards, const LinearSpec& linear, const std::string& where)
      : shards_(shards), where_(where) {
    found_.linear = linear;
    found_.shape = {linear.d_out, linear.d_in, 0, 0};
  }

  PackedLinear Find() && {
    const std::string& name = found_.linear.name;
    const bool nanoquant = HasAny(shards_, name, kNanoQuantScales, false);
    if (nanoquant && HasAny(shards_, name, kLittleBitScales, false)) {
      Fail(where_, name, "expected u1, u2, v1, v2 or scale_pre, scale_post, found some of both");
    }
    AddPath(nanoquant, false);
    const bool residual =
        HasAny(shards_, name, kFactorParts, true) || HasAny(shards_, name, kLittleBitScales, true);
    if (residual && nanoquant) {
      Fail(where_, name, "expected one path beside scale_pre and scale_post, found two");
    }
    if (residual) AddPath(false, true);
    return std::move(found_);
  }

 private:
  void AddPath(bool nanoquant, bool residual) {
    PackedPath path;
    path.rank = Rank("U_shape", 1, residual);
    const int64_t rank_of_v = Rank("V_shape", 0, residual);
    if (rank_of_v != path.rank) {
      Fail(where_, Name("V_shape", residual),
           fmt::format("expected rank {} as U_shape says, found {}", path.rank, rank_of_v));
    }
    const LittleBitShape& shape = found_.shape;
    path.u = Words("U_packed", shape.d_out, path.rank, residual);
    path.v = Words("V_packed", path.rank, shape.d_in, residual);
    path.g = Scale(nanoquant ? "scale_pre" : "v2", shape.d_in, residual);
    path.h = Scale(nanoquant ? "scale_post" : "u1", shape.d_out, residual);
    if (!nanoquant) {
      path.latent = {Scale("v1", path.rank, residual), Scale("u2", path.rank, residual)};
    } else if (shards_.Find(Name("scale_mid", false)) != nullptr) {
      path.latent = {Scale("scale_mid", path.rank, false)};
    }
    found_.shape.rank = std::max(found_.shape.rank, path.rank);
    found_.shape.paths += 1;
    found_.paths.push_back(std::move(path));
  }

  std::string Name(const char* part, bool residual) const {
    return found_.linear.name + "." + PartName(part, residual);
  }

  const TensorView& Get(const char* part, bool residual) {
    const std::string name = Name(part, residual);
    const TensorView* tensor = shards_.Find(name);
    if (tensor == nullptr) Fail(where_, name, "expected this tensor, found none");
    found_.tensors.push_back(tensor);
    return *tensor;
  }

  void Expect(const TensorView& tensor, DType dtype, const std::vector<int64_t>& shape) const {
    if (tensor.dtype == dtype && tensor.shape == shape) return;
    Fail(where_, tensor.name,
         fmt::format("expected {} [{}], found {} {}", DTypeName(dtype), fmt::join(shape, ", "),
                     DTypeName(tensor.dtype), tensor.ShapeText()));
  }

  // The two numbers of a shape tensor, the one at `rank_at` being the rank.
  int64_t Rank(const char* part, size_t rank_at, bool residual) {
    const TensorView& tensor = Get(part, residual);
    Expect(tensor, DType::kI64, {2});
    std::array<int64_t, 2> numbers;
    std::memcpy(numbers.data(), tensor.data.data(), sizeof(numbers));
    const int64_t other = rank_at == 1 ? found_.shape.d_out : found_.shape.d_in;
    if (numbers[1 - rank_at] != other) {
      Fail(where_, tensor.name,
           fmt::format("expected {} at position {} as config.json says, found {}", other,
                       1 - rank_at, numbers[1 - rank_at]));
    }
    if (numbers[rank_at] < 1 || numbers[rank_at] > std::numeric_limits<int32_t>::max()) {
      Fail(where_, tensor.name,
           fmt::format("expected a rank from 1 to {}, found {}",
                       std::numeric_limits<int32_t>::max(), numbers[rank_at]));
    }
    return numbers[rank_at];
  }

  const TensorView* Words(const char* part, int64_t rows, int64_t cols, bool residual) {
    const TensorView& tensor = Get(part, residual);
    Expect(tensor, DType::kI32, {rows, WordsPerRow(cols)});
    return &tensor;
  }

  // A vector; the trainers keep it as [1, size].
  const TensorView* Scale(const char* part, int64_t size, bool residual) {
    const TensorView& tensor = Get(part, residual);
    const auto& shape = tensor.shape;
    const bool is_vector = !shape.empty() && shape.back() == size &&
                           std::all_of(shape.begin(), shape.end() - 1,
                                       [](int64_t dimension) { return dimension == 1; });
    if (!is_vector || !IsFloat(tensor.dtype)) {
      Fail(where_, tensor.name,
           fmt::format("expected [{}] of F32, F16, BF16 or F64, found {} of {}", size,
                       tensor.ShapeText(), DTypeName(tensor.dtype)));
    }
    return &tensor;
  }

  const SafetensorsShards& shards_;
  const std::string& where_;
  PackedLinear found_;
};

std::vector<float> ReadScale(const TensorView& tensor, const std::string& where) {
  std::vector<float> values = ToFloat(tensor);  // [n] f32
  const auto it = std::find_if_not(values.begin(), values.end(),
                                   [](float value) { return std::isfinite(value); });
  if (it != values.end()) {
    Fail(where, tensor.name,
         fmt::format("expected finite scales, found {} at {}", *it, it - values.begin()));
  }
  return values;
}

// In the type in which the trainers multiply: theirs if both factors have it, f32 otherwise.
float Multiply(float a, float b, const TensorView& a_tensor, const TensorView& b_tensor) {
  const float product = a * b;
  if (a_tensor.dtype != b_tensor.dtype) return product;
  if (a_tensor.dtype == DType::kBF16) return Bf16ToFloat(FloatToBf16(product));
  if (a_tensor.dtype == DType::kF16) return HalfToFloat(FloatToHalf(product));
  return product;
}

std::vector<float> ReadLatentScale(const PackedPath& path, const std::string& where) {
  if (path.latent.empty()) return std::vector<float>(static_cast<size_t>(path.rank), 1.0f);
  std::vector<float> l = ReadScale(*path.latent[0], where);
  for (size_t factor = 1; factor < path.latent.size(); ++factor) {
    const std::vector<float> values = ReadScale(*path.latent[factor], where);
    for (size_t k = 0; k < l.size(); ++k) {
      l[k] = Multiply(l[k], values[k], *path.latent[0], *path.latent[factor]);
      if (!std::isfinite(l[k])) {
        Fail(where, path.latent[0]->name,
             fmt::format("expected a finite product with {}, found {} at {}",
                         path.latent[factor]->name, l[k], k));
      }
    }
  }
  return l;
}

// One path in memory: what LittleBitPathView borrows from.
struct PathBuffers {
  std::vector<uint8_t> v;  // [r, ceil(d_in/8)]
  std::vector<uint8_t> u;  // [r, ceil(d_out/8)]
  HalfScales scales;

  LittleBitPathView View(const LittleBitShape& shape, int64_t rank) const {
    return {.v = {rank, shape.d_in, v},
            .u = {rank, shape.d_out, u},
            .g = std::span<const uint16_t>(scales.g),
            .h = std::span<const uint16_t>(scales.h),
            .l = std::span<const uint16_t>(scales.l)};
  }
};

void ExpectNoPaddingBit(const TensorView& words, int64_t rows, int64_t cols,
                        const std::string& where) {
  if (const auto row = FindPaddingBit(words.data, rows, cols)) {
    Fail(where, words.name,
         fmt::format("expected zero bits after bit {} of row {}, found others", cols - 1, *row));
  }
}

PathBuffers ReadPath(const PackedPath& path, const PackedLinear& packed, const std::string& where,
                     std::vector<std::string>& warnings) {
  const LittleBitShape& shape = packed.shape;
  ExpectNoPaddingBit(*path.v, path.rank, shape.d_in, where);
  ExpectNoPaddingBit(*path.u, shape.d_out, path.rank, where);
  PathBuffers buffers;
  buffers.v = RowsOfBytes(path.v->data, path.rank, shape.d_in);
  buffers.u = TransposedRowsOfBytes(path.u->data, shape.d_out, path.rank);  // -> [r, d_out]
  auto scales = ToHalfScales(ReadScale(*path.g, where), ReadScale(*path.h, where),
                             ReadLatentScale(path, where));
  if (!scales) {
    Fail(where, packed.linear.name,
         "expected scales whose products fp16 can hold, found larger ones");
  }
  if (scales->worst_relative_error > kWorstScaleError) {
    warnings.push_back(fmt::format("{}: scales differ by up to {:.2g} of themselves in fp16",
                                   packed.linear.name, scales->worst_relative_error));
  }
  buffers.scales = std::move(*scales);
  return buffers;
}

}  // namespace

bool IsPackedLinear(const SafetensorsShards& shards, const std::string& linear) {
  return HasAny(shards, linear, kFactorParts, false);
}

bool IsPackedTensorName(std::string_view last_part) {
  const auto is_part = [&](const char* part) {
    return last_part == part || last_part == PartName(part, true);
  };
  return std::any_of(kFactorParts.begin(), kFactorParts.end(), is_part) ||
         std::any_of(kLittleBitScales.begin(), kLittleBitScales.end(), is_part) ||
         std::any_of(kNanoQuantScales.begin(), kNanoQuantScales.end(), is_part);
}

PackedLinear FindPackedLinear(const SafetensorsShards& shards, const LinearSpec& linear,
                              const std::string& where) {
  return Finder(shards, linear, where).Find();
}

LittleBitLinear ReadPackedLinear(const PackedLinear& packed, const std::string& where,
                                 std::vector<std::string>& warnings) {
  std::vector<PathBuffers> buffers;
  for (const PackedPath& path : packed.paths) {
    buffers.push_back(ReadPath(path, packed, where, warnings));
  }
  std::vector<LittleBitPathView> views;
  for (size_t p = 0; p < buffers.size(); ++p) {
    views.push_back(buffers[p].View(packed.shape, packed.paths[p].rank));
  }
  return PackLittleBit(packed.shape, views);
}

}  // namespace llmq
