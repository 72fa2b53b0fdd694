#include "cuda/device_matrix.h"

#include <algorithm>
#include <cstring>

#include "cuda/sign_layout.h"

namespace llmq::cuda {
namespace {

constexpr int64_t kAlignment = 256;  // as cudaMalloc's
int64_t Rounded(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }
int64_t SignBytes(const SignTiles& tiles) { return 4 * SignWords(tiles.rows, tiles.cols); }

// Arrays one behind the other, on the host first, then on the device.
class Image {
 public:
  explicit Image(int64_t bytes) : bytes_(static_cast<size_t>(bytes)) {}

  int64_t Signs(const SignTiles& tiles) {
    std::vector<uint32_t> words(static_cast<size_t>(SignWords(tiles.rows, tiles.cols)));
    LayOutSigns(tiles, words);
    return Add(words.data(), SignBytes(tiles));
  }
  int64_t Halves(const uint16_t* from, int64_t n) { return Add(from, 2 * n); }
  const std::vector<char>& bytes() const { return bytes_; }

 private:
  // Zeros behind, up to the next array: scales are read eight at a time.
  int64_t Add(const void* from, int64_t bytes) {
    const int64_t at = end_;
    std::memcpy(bytes_.data() + at, from, static_cast<size_t>(bytes));
    end_ += Rounded(bytes);
    return at;
  }

  std::vector<char> bytes_;
  int64_t end_ = 0;
};

int64_t PathBytes(const HostPath& path) {
  return Rounded(SignBytes(path.v)) + Rounded(SignBytes(path.u)) + Rounded(2 * path.v.cols) +
         Rounded(2 * path.u.rows) + Rounded(2 * path.v.rows);
}

}  // namespace

DeviceMatrix::DeviceMatrix(Gpu& gpu, std::span<const HostPath> paths)
    : d_in_(static_cast<int>(paths[0].v.cols)) {
  for (const HostPath& path : paths) bytes_ += PathBytes(path);
  memory_ = DeviceMemory(gpu, bytes_);
  const char* base = memory_.as<char>();
  Image image(bytes_);
  const auto words = [&](int64_t at) { return reinterpret_cast<const uint32_t*>(base + at); };
  const auto halves = [&](int64_t at) { return reinterpret_cast<const uint16_t*>(base + at); };
  params_.d_out = static_cast<int>(paths[0].u.rows);
  for (const HostPath& from : paths) {
    PathParams& path = params_.paths[params_.num_paths++];
    path.v = words(image.Signs(from.v));
    path.u = words(image.Signs(from.u));
    path.g = halves(image.Halves(from.g, from.v.cols));
    path.l = halves(image.Halves(from.l, from.v.rows));
    path.h = halves(image.Halves(from.h, from.u.rows));
    path.rank = static_cast<int>(from.v.rows);
  }
  gpu.Upload(memory_.as<char>(), image.bytes().data(), bytes_);
}

CompressedParams CallOf(std::span<const DeviceMatrix* const> matrices) {
  CompressedParams params = {};
  params.d_in = matrices[0]->d_in();
  params.num_matrices = static_cast<int>(matrices.size());
  for (size_t m = 0; m < matrices.size(); ++m) {
    MatrixParams& matrix = params.matrices[m];
    matrix = matrices[m]->params();
    for (int i = 0; i < matrix.num_paths; ++i) {
      matrix.paths[i].latent = params.latents;
      params.latents += CeilDivide(matrix.paths[i].rank, kLatentAlign) * kLatentAlign;
    }
  }
  return params;
}

int64_t PartialFloats(const CompressedParams& params, int tokens) {
  return int64_t{SpansOf(params.d_in)} * tokens * params.latents;
}

namespace {

template <typename Span>
std::vector<PrefetchSpan> Spans(const CompressedParams& params, const Span& span) {
  std::vector<PrefetchSpan> spans;
  for (int m = 0; m < params.num_matrices; ++m) {
    for (int i = 0; i < params.matrices[m].num_paths; ++i)
      spans.push_back(span(params.matrices[m], params.matrices[m].paths[i]));
  }
  return spans;
}

}  // namespace

std::vector<PrefetchSpan> FirstStageSpans(const CompressedParams& params) {
  return Spans(params, [&](const MatrixParams&, const PathParams& path) {
    return PrefetchSpan{path.v, 4 * SignWords(path.rank, params.d_in)};
  });
}
std::vector<PrefetchSpan> SecondStageSpans(const CompressedParams& params) {
  return Spans(params, [](const MatrixParams& matrix, const PathParams& path) {
    return PrefetchSpan{path.u, 4 * SignWords(matrix.d_out, path.rank)};
  });
}

void AddPrefetch(const Gpu& gpu, std::span<const PrefetchSpan> spans, CompressedParams& params) {
  int64_t room = gpu.cache_bytes() / 2;
  for (int i = 0; i < params.num_prefetch; ++i) room -= params.prefetch[i].bytes;
  for (const PrefetchSpan& span : spans) {
    if (params.num_prefetch == kMaxPrefetch || room <= 0) return;
    const int64_t bytes = std::min(span.bytes, room);
    params.prefetch[params.num_prefetch++] = {span.begin, bytes};
    room -= bytes;
  }
}

}  // namespace llmq::cuda
