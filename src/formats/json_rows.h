// JSON files that are one object of objects, read row by row: the header of a safetensors file
// ({"name": {"dtype": ..}, ..}) and the index of a sharded checkpoint ({"weight_map": {"name":
// "file"}, ..}).
//
// A header may be 100 MB and comes from strangers, so the whole is never held as a tree, look-ups
// stay logarithmic, and names given twice (which a tree would silently merge) are refused.
#ifndef LLMQ_FORMATS_JSON_ROWS_H_
#define LLMQ_FORMATS_JSON_ROWS_H_

#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace llmq {

using JsonRow = nlohmann::json;  // keys sorted

// Calls `visit` for each member of the outer object, in order. Throws Error{kGeneral} beginning
// with `where` if the text is not an object of objects or names a row or a key of a row twice.
void ForEachJsonRow(std::string_view text, const std::string& where,
                    const std::function<void(const std::string& name, const JsonRow& row)>& visit);

}  // namespace llmq

#endif  // LLMQ_FORMATS_JSON_ROWS_H_
