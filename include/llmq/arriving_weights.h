// Weight files that are still on their way while their checkpoint is opened: what is known of them
// already, and how to wait for one.
#ifndef LLMQ_ARRIVING_WEIGHTS_H_
#define LLMQ_ARRIVING_WEIGHTS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "llmq/error.h"

namespace llmq {

struct ArrivingFile {
  std::string name;  // "model-00002-of-00003.safetensors"
  uint64_t bytes = 0;
  std::string header;  // the first bytes of the file: length field and JSON
};

class ArrivingWeights {
 public:
  virtual ~ArrivingWeights() = default;
  // Those that were not there at first, and stay in this list when they have come.
  virtual std::span<const ArrivingFile> files() const = 0;
  // Returns when the file lies in the checkpoint's directory, complete and verified, or with what
  // prevents that. Any thread may call it, and none gets an exception: the caller may be in the
  // compressor module.
  virtual std::optional<Error> Wait(const std::string& name) noexcept = 0;
};

// What Wait() returned, thrown by whoever needs the file.
class ArrivalError : public Error {
 public:
  explicit ArrivalError(const Error& error) : Error(error) {}
};

inline void WaitForAll(ArrivingWeights& weights) {
  for (const ArrivingFile& file : weights.files()) {
    if (const std::optional<Error> error = weights.Wait(file.name)) throw ArrivalError(*error);
  }
}

}  // namespace llmq

#endif  // LLMQ_ARRIVING_WEIGHTS_H_
