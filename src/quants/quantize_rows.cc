// Cuts a tensor into blocks for the threads. Blocks do not know of each other nor of their row, so
// that neither few long rows nor many short ones leave a thread idle, and the bytes do not depend
// on the number of threads.
#include <algorithm>
#include <cassert>

#include "base/thread_pool.h"
#include "llmq/ggml_type.h"
#include "quants/fit_groups.h"
#include "quants/quantize_blocks.h"

namespace llmq {

void QuantizeBlocks(GgmlType type, const GroupFits& fits, const float* values, int64_t blocks,
                    std::byte* out) {
  if (InfoOf(type).block_values == 256) {
    QuantizeBlocks256(type, fits, values, blocks, out);
  } else {
    QuantizeSmallBlocks(type, values, blocks, out);
  }
}

void QuantizeRows(GgmlType type, int64_t rows, int64_t cols, std::span<const float> values,
                  std::span<std::byte> out, int threads) {
  const GgmlTypeInfo& info = InfoOf(type);
  assert(IsQuantizable(type) && cols % info.block_values == 0);
  assert(values.size() == static_cast<size_t>(rows * cols));
  assert(out.size() == values.size() / static_cast<size_t>(info.block_values) *
                           static_cast<size_t>(info.block_bytes));
  if (values.empty()) return;
  constexpr int64_t kShareValues = 1 << 14;  // worth waking a thread for
  const int64_t blocks = rows * cols / info.block_values;
  const int64_t grain = kShareValues / info.block_values;
  const GroupFits& fits = GroupFitsFor(BestFitPath());
  const int64_t shares = (blocks + grain - 1) / grain;
  ThreadPool pool(static_cast<int>(std::min<int64_t>(ResolveThreadCount(threads), shares)));
  pool.ParallelFor(blocks, grain, [&](int64_t begin, int64_t end) {
    QuantizeBlocks(type, fits, values.data() + begin * info.block_values, end - begin,
                   out.data() + begin * info.block_bytes);
  });
}

}  // namespace llmq
