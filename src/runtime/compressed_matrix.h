// A compressed matrix as the kernels read it: signs in tiles, scales beside them.
//
// Before: a payload in a mapped file (core/littlebit). After: runtime/linear. What is laid out here
// is about as large as the payload, whose pages the loader then gives back.
#ifndef LLMQ_RUNTIME_COMPRESSED_MATRIX_H_
#define LLMQ_RUNTIME_COMPRESSED_MATRIX_H_

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "llmq/littlebit.h"
#include "runtime/large_memory.h"

namespace llmq {

// One path, y += h * (U (l * (V (g * x)))); borrows everything.
struct CompressedPath {
  SignTiles v;        // [r, d_in]
  SignTiles u;        // [d_out, r]
  const uint16_t* g;  // [d_in] fp16
  const uint16_t* h;  // [d_out] fp16
  const uint16_t* l;  // [r] fp16
};

// Bytes that Layout takes from a LargeMemory.
uint64_t CompressedBytes(const LittleBitShape& shape);
// Paths over memory taken from `memory`, still empty.
std::vector<CompressedPath> Layout(const LittleBitShape& shape, LargeMemory& memory);
// Fills what Layout has laid out.
void Fill(const LittleBitPathView& from, const CompressedPath& to);

}  // namespace llmq

#endif  // LLMQ_RUNTIME_COMPRESSED_MATRIX_H_
