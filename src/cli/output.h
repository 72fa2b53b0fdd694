// The result of a command on standard output: text for people or one JSON object, never both.
//
// Commands hand both forms to Result(); everything else a command says goes to stderr (base/log.h,
// cli/progress.h).
#ifndef LLMQ_CLI_OUTPUT_H_
#define LLMQ_CLI_OUTPUT_H_

#include <cstdio>
#include <string>
#include <string_view>

#include "base/json.h"
#include "llmq/error.h"

namespace llmq {

class Output {
 public:
  Output(bool json, std::FILE* stream) : json_(json), stream_(stream) {}

  bool json() const { return json_; }

  // Prints the form that was asked for. Throws Error{kGeneral} if the stream does not take it
  // (closed, disk full): a script must not take half a result for a whole one.
  void Result(const Json& object, std::string_view human);
  // A piece of a result that comes bit by bit; human mode only.
  void Stream(std::string_view text);

 private:
  bool json_;
  std::FILE* stream_;
};

// {status:"error", error_code, error_type, message, suggestion}: error_code is the exit code.
Json ErrorObject(const Error& error);

// Opens /dev/null in place of standard streams that the caller closed: a file opened later must not
// get descriptor 1 or 2 and then receive our messages. A closed stdout stays unwritable, as it was.
void ReserveStandardStreams();

}  // namespace llmq

#endif  // LLMQ_CLI_OUTPUT_H_
