#include "compress/train/own_text.h"

#include <algorithm>
#include <atomic>

#include "base/random.h"

namespace llmq {
namespace {

// Uniform numbers in [0, 1): [B, T] f64, a row per sequence from `first` on.
at::Tensor Uniform(uint64_t seed, int64_t first, int64_t sequences, int64_t length) {
  at::Tensor points = at::empty({sequences, length}, at::kDouble);
  auto* point = points.data_ptr<double>();
  for (int64_t i = first; i < first + sequences; ++i) {
    uint64_t state = seed;
    state = NextRandom(state) + static_cast<uint64_t>(i);
    for (int64_t t = 0; t < length; ++t) {
      *point++ = static_cast<double>(NextRandom(state) >> 11) * 0x1p-53;
    }
  }
  return points;
}

// logits [B, vocab], points [B, 1] -> ids [B, 1] i64. In whole numbers, whose sums have one value
// on every device.
at::Tensor Draw(const at::Tensor& logits, const at::Tensor& points) {
  constexpr double kOne = 0x1p52;
  const at::Tensor p = at::softmax(logits.to(at::kDouble), -1);
  const at::Tensor sums = (p * kOne).to(at::kLong).cumsum(-1);  // [B, vocab]
  const at::Tensor at_point = (points * sums.narrow(1, -1, 1)).to(at::kLong);
  return at::searchsorted(sums, at_point, /*out_int32=*/false, /*right=*/true)
      .clamp_max(logits.size(1) - 1);
}

// ids [B, 1] with what begins a document in place of what ends one.
at::Tensor BeginAnew(const at::Tensor& ids, const OwnTextForm& form) {
  if (!form.bos || form.ends.empty()) return ids;
  const at::Tensor ends = at::tensor(form.ends, at::kLong).to(ids.device());
  return ids.masked_fill(at::isin(ids, ends), *form.bos);
}

}  // namespace

std::vector<int32_t> WriteOwnText(const TrainableModel& model, const Teacher& teacher,
                                  const OwnTextForm& form, uint64_t seed, at::Device device,
                                  WorkerPool& workers,
                                  const std::function<bool(double)>& keep_going) {
  const int64_t sequence_tokens = form.sequence_tokens;
  const auto count = static_cast<int64_t>(form.starts.size());
  const int64_t groups = (count + kOwnTextGroup - 1) / kOwnTextGroup;
  std::vector<int32_t> text(static_cast<size_t>(count * sequence_tokens));
  std::atomic<int64_t> written = 0;  // tokens
  std::atomic<bool> stopped = false;
  const auto write = [&](int64_t group) {
    const at::NoGradGuard no_grad;
    const int64_t begin = group * kOwnTextGroup;
    const int64_t size = std::min(kOwnTextGroup, count - begin);
    const at::Tensor points = Uniform(seed, begin, size, sequence_tokens).to(device);
    const at::ArrayRef<int32_t> begun(&form.starts[static_cast<size_t>(begin)],
                                      static_cast<size_t>(size));
    std::vector<at::Tensor> columns = {at::tensor(begun, at::kLong).unsqueeze(1).to(device)};
    Prefix prefix = model.EmptyPrefix(size);
    for (int64_t t = 1; t < sequence_tokens && !stopped; ++t) {
      const at::Tensor logits =
          model.Continue(teacher.frame, teacher.linears, columns.back(), prefix);
      columns.push_back(BeginAnew(Draw(logits, points.narrow(1, t, 1)), form));
      written += size;
    }
    if (stopped) return;
    const at::Tensor ids = at::cat(columns, 1).to(at::kCPU, at::kInt).contiguous();  // [B, T]
    std::copy_n(ids.data_ptr<int32_t>(), ids.numel(),
                &text[static_cast<size_t>(begin * sequence_tokens)]);
  };
  const auto watch = [&] {
    const auto done = static_cast<double>(written) / static_cast<double>(sequence_tokens);
    if (!keep_going(done)) stopped = true;
    return !stopped;
  };
  workers.Run(groups, write, {.done = {}, .keep_going = watch});
  if (stopped) return {};
  return text;
}

}  // namespace llmq
