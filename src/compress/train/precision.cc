#include "compress/train/precision.h"

#include <ATen/autocast_mode.h>

#include "compress/device.h"

namespace llmq {

TrainPrecision ResolvePrecision(TrainPrecision precision, at::Device device) {
  if (precision != TrainPrecision::kAuto) return precision;
  return HasFastBf16(device) ? TrainPrecision::kBf16 : TrainPrecision::kFloat32;
}

AutocastGuard::AutocastGuard(TrainPrecision precision, at::Device device)
    : device_(device.type()),
      enabled_before_(at::autocast::is_autocast_enabled(device_)),
      cache_before_(at::autocast::is_autocast_cache_enabled()),
      type_before_(at::autocast::get_autocast_dtype(device_)) {
  at::autocast::set_autocast_dtype(device_, at::kBFloat16);
  // The cache is one for all threads; and each leaf is used once per forward pass.
  at::autocast::set_autocast_cache_enabled(false);
  at::autocast::set_autocast_enabled(device_, precision == TrainPrecision::kBf16);
}

AutocastGuard::~AutocastGuard() {
  at::autocast::set_autocast_enabled(device_, enabled_before_);
  at::autocast::set_autocast_cache_enabled(cache_before_);
  at::autocast::set_autocast_dtype(device_, type_before_);
}

}  // namespace llmq
