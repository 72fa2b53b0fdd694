// The one error type of llm-quantize and the exit codes it carries.
//
// Every failure that ends a command is an llmq::Error. The code is the exit code of the
// command-line contract (docs/cli.md, "Exit codes"); `message` says "where: what was expected, what
// was found"; and `suggestion` says what to do next. Expected absences are std::optional, not
// errors.
#ifndef LLMQ_ERROR_H_
#define LLMQ_ERROR_H_

#include <exception>
#include <string>

namespace llmq {

// Values are exit codes seen by scripts: do not renumber.
enum class ErrorCode : int {
  kGeneral = 1,
  kInvalidArguments = 2,
  kModelNotFound = 3,
  kAuthenticationRequired = 4,
  kOutOfMemory = 5,
  kValidationFailed = 6,
  kCheckpointError = 7,
  kUnsupportedConversion = 8,
  kUserCancelled = 9,
  kFactorizationFailed = 20,
  kQualityThresholdExceeded = 21,
  kInvalidBpwRange = 22,
  kRankSelectionFailed = 23,
  kReconstructionFailed = 24,
};

// The contract's error_type, for example "FactorizationFailed". Never null.
const char* ErrorTypeName(ErrorCode code);

class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message, std::string suggestion = "");

  ErrorCode code() const { return code_; }
  int exit_code() const { return static_cast<int>(code_); }
  const std::string& message() const { return message_; }
  const std::string& suggestion() const { return suggestion_; }  // may be empty
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
  std::string suggestion_;
};

}  // namespace llmq

#endif  // LLMQ_ERROR_H_
