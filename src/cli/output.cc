#include "cli/output.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace llmq {

void Output::Result(const Json& object, std::string_view human) {
  Stream(json_ ? DumpJson(object, 2) + "\n" : std::string(human));
}

void Output::Stream(std::string_view text) {
  const size_t written = std::fwrite(text.data(), 1, text.size(), stream_);
  if (written == text.size() && std::fflush(stream_) == 0) return;
  throw Error(
      ErrorCode::kGeneral,
      fmt::format("standard output: cannot write: {}", std::generic_category().message(errno)),
      "Check where the output goes");
}

Json ErrorObject(const Error& error) {
  return Json{{"status", "error"},
              {"error_code", error.exit_code()},
              {"error_type", ErrorTypeName(error.code())},
              {"message", error.message()},
              {"suggestion", error.suggestion()}};
}

void ReserveStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) != -1) continue;
    // open() takes the lowest free descriptor, which is `fd`. Reading only: writing to it fails.
    (void)open("/dev/null", O_RDONLY);
  }
}

}  // namespace llmq
