// The factorization without its signs, as JSON for people and plots (FR-010).
//
// Before this: an open .littlebit file. After this: a text file beside the model. Ranks, sizes,
// errors and statistics of the scales always; the scales themselves if asked.
#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "llmq/littlebit_file.h"

namespace llmq {
namespace {

// Of magnitudes: a scale's sign is a matter of convention.
Json ScaleStatistics(const ScaleView& scales) {
  double smallest = HUGE_VAL, largest = 0, sum = 0;
  for (int64_t i = 0; i < scales.size(); ++i) {
    const double magnitude = std::fabs(scales[i]);
    smallest = std::min(smallest, magnitude);
    largest = std::max(largest, magnitude);
    sum += magnitude;
  }
  return {{"count", scales.size()},
          {"min_abs", smallest},
          {"max_abs", largest},
          {"mean_abs", sum / static_cast<double>(scales.size())}};
}

Json Scale(const ScaleView& scales, bool with_values) {
  Json json = ScaleStatistics(scales);
  if (!with_values) return json;
  Json values = Json::array();
  for (int64_t i = 0; i < scales.size(); ++i) values.push_back(static_cast<double>(scales[i]));
  json["values"] = std::move(values);
  return json;
}

Json Layer(const LittleBitSection& section, bool with_scales) {
  Json layer;
  layer["name"] = section.name;
  layer["d_out"] = section.shape[0];
  layer["d_in"] = section.shape[1];
  layer["rank"] = section.rank;
  layer["paths"] = section.paths;
  layer["scale_bits"] = section.littlebit_shape().scale_bits;
  layer["bytes"] = section.data.size();
  layer["bpw"] = 8.0 * static_cast<double>(section.data.size()) /
                 (static_cast<double>(section.shape[0]) * static_cast<double>(section.shape[1]));
  layer["relative_error"] = section.relative_error;
  layer["scales"] = Json::array();
  for (const LittleBitPathView& path :
       ViewLittleBitPaths(section.littlebit_shape(), section.data)) {
    layer["scales"].push_back({{"row", Scale(path.h, with_scales)},
                               {"column", Scale(path.g, with_scales)},
                               {"latent", Scale(path.l, with_scales)}});
  }
  return layer;
}

}  // namespace

std::string ExportFactorizationMetadata(const LittleBitFile& file, bool with_scales) {
  const LittleBitMetadata& metadata = file.metadata();
  Json json;
  json["format"] = "littlebit-factorization";
  json["format_version"] = 1;
  json["source_model"] = metadata.source_model;
  json["architecture"] = file.config().architecture;
  json["producer"] = metadata.producer;
  json["recipe"] = metadata.recipe;
  json["target_bpw"] = metadata.target_bpw;
  json["manual_rank"] = metadata.manual_rank;
  json["body_bpw"] = file.body_bpw();
  json["body_bytes"] = file.body_bytes();
  json["body_weights"] = file.body_weights();
  json["layers"] = Json::array();
  for (const LittleBitSection& section : file.sections()) {
    if (section.kind == StorageKind::kLittleBit)
      json["layers"].push_back(Layer(section, with_scales));
  }
  // One number a line would make a file of scales several times as large.
  return DumpJson(json, with_scales ? -1 : 2);
}

}  // namespace llmq
