// The beginning of a weight file, without the rest: enough to know its tensors.
//
// Before: hub_api.h knows that the file exists. After: formats/safetensors checks the header as it
// checks a file's. Nothing vouches for these bytes: they serve to plan, and the file that comes
// later is checked against them.
#ifndef LLMQ_HUB_WEIGHT_HEADER_H_
#define LLMQ_HUB_WEIGHT_HEADER_H_

#include <string>

#include "hub/hub_api.h"
#include "hub/hub_session.h"

namespace llmq {

// Length field and JSON of a safetensors file, by requests for ranges of it, or from the beginning
// of the whole where the server knows no ranges. Throws Error, TransportError, HttpCancelled.
std::string FetchWeightHeader(HubSession& session, const std::string& commit, const HubFile& file);

}  // namespace llmq

#endif  // LLMQ_HUB_WEIGHT_HEADER_H_
