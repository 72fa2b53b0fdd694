// Random compressed matrices, and what the CPU's scalar kernels make of them.
#ifndef LLMQ_TESTS_CUDA_RANDOM_PATHS_H_
#define LLMQ_TESTS_CUDA_RANDOM_PATHS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/half.h"
#include "base/random.h"
#include "cuda/device_matrix.h"
#include "kernels/kernels.h"

namespace llmq::testing {

inline float Uniform(uint64_t& state, float low, float high) {
  return low + (high - low) * static_cast<float>(NextRandom(state) >> 40) * 0x1p-24f;
}
inline std::vector<float> RandomFloats(int64_t n, uint64_t seed, float low = -1, float high = 1) {
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = Uniform(seed, low, high);
  return values;
}
inline std::vector<uint16_t> RandomHalves(int64_t n, uint64_t seed) {
  std::vector<uint16_t> halves;
  for (const float value : RandomFloats(n, seed, 0.5f, 1.5f)) halves.push_back(FloatToHalf(value));
  return halves;
}

// A random path that owns what HostPath borrows. Padding of the tiles is random too: nobody may
// read it as something.
struct OwnedPath {
  std::vector<uint32_t> v, u;
  std::vector<uint16_t> g, h, l;
  cuda::HostPath view;

  OwnedPath(int64_t d_out, int64_t d_in, int64_t rank, uint64_t seed) {
    for (auto* words : {&v, &u}) {
      words->resize(static_cast<size_t>(words == &v ? SignTileWords(rank, d_in)
                                                    : SignTileWords(d_out, rank)));
      for (uint32_t& word : *words) word = static_cast<uint32_t>(NextRandom(seed));
    }
    g = RandomHalves(d_in, seed + 1);
    h = RandomHalves(d_out, seed + 2);
    l = RandomHalves(rank, seed + 3);
    view = {{v.data(), rank, d_in}, {u.data(), d_out, rank}, g.data(), h.data(), l.data()};
  }
  OwnedPath(OwnedPath&&) = default;
};

// The scalar kernels' y [d_out] for one input [d_in].
inline std::vector<float> ScalarResult(const std::vector<OwnedPath>& paths, const float* x) {
  const KernelTable& kernels = KernelsFor(Isa::kScalar);
  const auto product = [&](const SignTiles& signs, const uint16_t* scale, const float* from) {
    std::vector<std::byte> prepared(static_cast<size_t>(kernels.int8->prepared_bytes(signs.cols)) +
                                    64);
    auto* at = prepared.data() + (64 - reinterpret_cast<uintptr_t>(prepared.data()) % 64) % 64;
    kernels.int8->prepare(scale, from, signs.cols, at);
    std::vector<float> sums(static_cast<size_t>(signs.rows));
    kernels.int8->sums(signs, at, 0, signs.rows, sums.data());
    return sums;
  };
  std::vector<float> y(static_cast<size_t>(paths[0].view.u.rows), 0.0f);
  for (const OwnedPath& path : paths) {
    const std::vector<float> latent = product(path.view.v, path.view.g, x);
    const std::vector<float> sums = product(path.view.u, path.view.l, latent.data());
    kernels.floats->add_scaled(path.view.h, sums.data(), path.view.u.rows, y.data());
  }
  return y;
}

struct Shape {
  int d_out, d_in, rank, paths;
};

inline std::vector<OwnedPath> RandomPaths(const Shape& shape, uint64_t seed) {
  std::vector<OwnedPath> paths;
  for (int i = 0; i < shape.paths; ++i)
    paths.emplace_back(shape.d_out, shape.d_in, shape.rank, seed + 100 * i);
  return paths;
}

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_CUDA_RANDOM_PATHS_H_
