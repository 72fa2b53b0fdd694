// What `info` says of a dense GGUF file.
#include <algorithm>

#include "llamacpp/gguf_model.h"
#include "llmq/convert.h"

namespace llmq {

DenseGgufSummary SummarizeDenseGguf(const std::filesystem::path& path) {
  const GgufModel model(path);
  DenseGgufSummary summary{.config = model.config()};
  if (const auto* name = model.file().Get<std::string>("general.name")) summary.name = *name;
  std::map<std::string, int64_t> values;
  for (const GgufTensor& tensor : model.file().tensors()) {
    summary.parameters += tensor.num_elements();
    values[InfoOf(tensor.type).name] += tensor.num_elements();
  }
  summary.type =
      std::ranges::max_element(values, {}, [](const auto& v) { return v.second; })->first;
  return summary;
}

std::vector<std::string> NonFiniteTensors(const GgufFile& file) {
  std::vector<std::string> names;
  for (const GgufTensor& tensor : file.tensors()) {
    if (IsQuantizable(tensor.type) && !ScalesAreFinite(tensor.type, tensor.data)) {
      names.push_back(tensor.name);
    }
    file.Release(tensor);
  }
  return names;
}

}  // namespace llmq
